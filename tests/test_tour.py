"""`formant-mcp tour`, as a newcomer runs it."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.cells import cell_len

from formant_mcp.commands.tour import STEPS, run_tour
from tests.command import run
from tests.examples import some
from tests.terminal import ESCAPE, shown_in_terminal

SCRIPT = Path(sys.executable).with_name("formant-mcp")
REDIRECTED = {
    "FORMANT_API_KEY": "key-nobody-may-see",
    "FORMANT_BASE_URL": "http://127.0.0.1:9",
    "FORMANT_REDACT": "numbers",
    "FORMANT_RECORDINGS_DIR": "/nowhere",
}
in_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def taken(tmp_path_factory: pytest.TempPathFactory, *options: str) -> str:
    """Its output, run from another folder with settings that would break or redirect an ordinary server."""
    environment = {
        **os.environ,
        **REDIRECTED,
        "HOME": str(tmp_path_factory.mktemp("home")),
        "TMPDIR": str(tmp_path_factory.mktemp("temporary")),
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",  # a pipe of Windows
    }
    done = subprocess.run(
        [str(SCRIPT), "tour", *options],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert list(Path(environment["HOME"]).rglob("*")) == []
    return done.stdout


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> str:
    return taken(tmp_path_factory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With all steps; the command runs in this process, its server in one of its own."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        done = run(folder, "tour", "--all", **REDIRECTED)
    assert (done.status, done.error) == (0, "")
    assert list(folder.iterdir()) == []
    return done.out


def test_the_whole_tour_shows_and_completes_every_step(whole: str) -> None:
    words = " ".join(whole.split())
    for number, step in enumerate(STEPS, start=1):
        assert f"\n{number}. {step.question}\n  {step.tool} {{" in whole
        assert f"Why it matters: {step.why}" in words
    assert f"{len(STEPS)} of {len(STEPS)} steps worked." in whole


def test_the_tour_shows_three_questions_and_completes_every_step(short: str) -> None:
    shown = [step for step in STEPS if step.is_shown]
    assert re.findall(r"^(\d)\. (.+)\n  (\w+) \{", short, re.MULTILINE) == [
        (str(number), step.question, step.tool) for number, step in enumerate(shown, start=1)
    ]
    assert len(shown) == 3
    assert f"{len(STEPS)} of {len(STEPS)} steps worked." in short
    assert "tour --all shows them all." in short


def test_the_whole_tour_shows_the_answers(whole: str) -> None:
    assert len(re.findall(r"^  [\d,]+ of 6\d\d conversations match; complete as of", whole, re.MULTILINE)) >= 5
    assert re.search(r"^  0  agent +Hello .+\n  1  contact ", whole, re.MULTILINE)
    assert re.search(r"^  saved:", whole, re.MULTILINE)
    assert re.search(r"^  audio/wav, [\d,]{6,} bytes, beginning with 'RIFF'$", whole, re.MULTILINE)
    assert re.search(r"^ +\d+ +\d{3} .+ at turn \d+ \(", whole, re.MULTILINE)
    assert {"608", "503"} <= set(re.findall(r"\d+", whole))  # the end of reasons that begin alike
    assert "strangers" not in whole
    assert max(map(len, whole.splitlines())) < 200


def test_the_recording_stays_and_is_named(short: str) -> None:
    path = Path(re.findall(r"^A recording was saved, and stays: (.+\.wav)$", short, re.MULTILINE)[0])
    assert path.read_bytes()[:4] == b"RIFF"


def test_the_tour_ends_with_the_command_that_connects_an_assistant(short: str) -> None:
    end = short.partition("steps worked.")[2]
    assert f"To ask about your own calls: {SCRIPT} connect claude-desktop\n" in end
    assert "claude-code, cursor, vscode" in end


def test_the_tour_does_not_show_the_users_key(short: str, whole: str) -> None:
    assert "key-nobody-may-see" not in short + whole


@in_a_terminal
@pytest.mark.parametrize("columns", some([40, 80, 120], 3))
def test_in_a_terminal_answers_fit_its_width_and_their_figures_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    status, shown = shown_in_terminal(tmp_path, "tour", columns=columns)
    lines = ESCAPE.sub("", shown).splitlines()
    answers = [line.rstrip() for line in lines if line.startswith("  ") and " {" not in line]
    assert status == 0
    assert "\x1b[" in shown
    assert max(map(cell_len, answers)) <= columns
    assert [line for line in answers if "…" in line and not re.fullmatch(r"  … \d+ more lines", line)] == []
    assert ("█" in shown) == (columns > 40)
    place = next(place for place, line in enumerate(answers) if re.match(r"  (results\.intent: )?dispute\b", line))
    dispute = " ".join(answers[place : place + (8 if columns == 40 else 1)])
    assert len(re.findall(r"\d+\.\d %", dispute)) == 3  # the share, the rate of success, the share before
    assert re.search(r" \+\d+\.\d", dispute)
    if columns == 40:
        assert "share before" in dispute


@pytest.mark.parametrize(
    ("variable", "value", "step", "said"),
    some(
        [
            (
                "FORMANT_REDACT",
                "everything",
                "step 1 (summarize_results): the answer is an error",
                "FORMANT_REDACT: takes numbers",
            ),
            ("FORMANT_RECORDINGS_DIR", os.devnull, "step 12 (save_recording): the answer is an error", "be saved"),
        ],
        2,
    ),
)
def test_a_failing_step_ends_the_tour_and_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    step: str,
    said: str,
) -> None:
    server = f"import os\nos.environ[{variable!r}] = {value!r}\nfrom formant_mcp.cli import main\nmain(['--demo'])\n"
    monkeypatch.setattr(sys, "executable", python_that_runs(server, tmp_path))
    assert run_tour() == 1
    printed = capsys.readouterr().out
    assert f"The tour failed: {step}" in printed
    assert said in printed
    assert "steps worked" not in printed


@pytest.mark.parametrize("server", ["raise SystemExit(3)", "print('hello')"])
def test_a_server_that_ends_early_fails_the_tour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    monkeypatch.setattr(sys, "executable", python_that_runs(server, tmp_path))
    assert run_tour() == 1
    assert "The tour failed: the server did not start or ended too early" in capsys.readouterr().out


def test_a_missing_server_fails_the_tour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    assert run_tour() == 1
    assert "The tour failed: the server did not start" in capsys.readouterr().out


def python_that_runs(program: str, folder: Path) -> str:
    """A fake interpreter that always runs this program."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{program}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)
