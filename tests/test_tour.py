"""`formant-mcp tour`, as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from formant_mcp.commands.tour import STEPS, run_tour

SCRIPT = Path(sys.executable).with_name("formant-mcp")


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its output, run from another folder with settings that would break or redirect an ordinary server."""
    environment = {
        **os.environ,
        "FORMANT_API_KEY": "key-nobody-may-see",
        "FORMANT_BASE_URL": "http://127.0.0.1:9",
        "FORMANT_REDACT": "numbers",
        "FORMANT_RECORDINGS_DIR": "/nowhere",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PYTHONIOENCODING": "ascii",  # a terminal that cannot show Hindi
    }
    done = subprocess.run(
        [str(SCRIPT), "tour"],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert list(Path(environment["HOME"]).rglob("*")) == []
    return done.stdout


def test_the_tour_shows_and_completes_every_step(tour: str) -> None:
    for number, step in enumerate(STEPS, start=1):
        assert f"\n{number}. {step.question}\n   {step.tool} {{" in tour
        assert f"Why it matters: {step.why}\n" in tour
    assert f"All {len(STEPS)} steps worked." in tour


def test_the_tour_shows_the_answers(tour: str) -> None:
    assert len(re.findall(r"^   \| [\d,]+ of 6\d\d conversations match; complete as of", tour, re.MULTILINE)) >= 5
    assert re.search(r"^   \| 0 agent Hello .+\n   \| 1 contact ", tour, re.MULTILINE)
    assert re.search(r"^   \| saved: .+\.wav \([\d,]{6,} bytes\)$", tour, re.MULTILINE)
    assert re.search(r"^   \| [\d.]+ s · 1 channel · 8000 Hz".replace("·", r"\?"), tour, re.MULTILINE)
    assert re.search(r"^   \| audio/wav, [\d,]{6,} bytes, beginning with 'RIFF'$", tour, re.MULTILINE)
    assert max(map(len, tour.splitlines())) < 160


def test_the_tour_ends_with_how_to_connect_each_assistant(tour: str) -> None:
    _, _, end = tour.partition("steps worked.")
    assert f'"command": "{SCRIPT}"' in end
    assert f'claude mcp add formant --env FORMANT_API_KEY="$FORMANT_API_KEY" -- {SCRIPT}\n' in end
    assert 'claude mcp add formant --env FORMANT_API_KEY="$FORMANT_API_KEY" -- uvx formant-mcp\n' in end
    for name in ("Claude Desktop", "Claude Code", "Cursor"):
        assert name in end


def test_the_tour_does_not_show_the_users_key(tour: str) -> None:
    assert "key-nobody-may-see" not in tour


@pytest.mark.parametrize(
    ("variable", "value", "step", "said"),
    [
        (
            "FORMANT_REDACT",
            "everything",
            "step 1 (summarize_results): the answer is an error",
            "FORMANT_REDACT: takes numbers",
        ),
        ("FORMANT_RECORDINGS_DIR", os.devnull, "step 12 (save_recording): the answer is an error", "cannot be saved"),
    ],
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
