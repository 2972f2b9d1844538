"""At every level the log has nothing of what callers said, of numbers, ids, queries, keys and bodies; whoever logs."""

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue

from tests.calls import conversation, detail
from tests.fake_formant import FakeFormant
from tests.faults import not_json
from tests.hardening.logged import FAILING, SEEN
from tests.http_process import in_child, initialize, post, session_of
from tests.stdio_process import INITIALIZE, INITIALIZED, PROGRAM, Message, calling, environment, piped, request

pytestmark = pytest.mark.hardening

KEY = "canary-key-1f3a"
NUMBER = "+919812345678"
FORMATS = ("text", "json")
every_log = pytest.mark.parametrize(
    ("level", "log_format"), [("DEBUG", "text"), ("DEBUG", "json"), ("INFO", "json"), ("WARNING", "text")]
)
CALL = "canary00-0000-4000-8000-000000000001"
DETAILED = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1"}


@contextmanager
def hostile_api() -> Generator[FakeFormant]:
    """An API all of whose conversations hold a canary in every field, and some of whose answers cannot be read."""
    with FakeFormant.in_thread() as api:
        api.key = KEY
        for number in range(12):
            row = conversation(number, datetime.now(UTC) - timedelta(hours=2 + number))
            row |= {"conversation_id": CALL[:-2] + f"{number:02}", "contact_number": NUMBER, "status": "canary status"}
            turns: list[JsonValue] = [{"role": "agent", "message": "canary words"}] * 3
            whole = detail(row)
            whole["transcript"] = turns
            whole["analysis"] = {"canary": {"result": "canary result"}}
            api.add(row, whole)
        yield api


QUESTIONS: tuple[Message, ...] = (
    calling(2, "list_conversations", contact_number=NUMBER, summary_mode="include"),
    calling(3, "search_transcripts", query="canary words"),
    calling(4, "get_transcripts", conversation_ids=[CALL, CALL[:-2] + "99"]),
    calling(5, "save_recording", conversation_id=CALL),
    calling(6, "summarize_results", group_by=["results.canary"]),
    calling(7, "list_conversations", canary="canary", status=["canary"]),
    calling(8, "export_conversations", include=["transcript"]),
    calling(9, "find_phrases"),
    calling(10, "canary_tool"),
    request("canary-id", "canary/method", canary=1),
    request(11, "resources/read", uri=f"formant://conversations/{CALL}/transcript"),
    request(12, "resources/read", uri="canary://canary"),
    request(13, "prompts/get", name="canary", arguments={"canary": "canary"}),
    request(14, "completion/complete", ref={"type": "ref/prompt", "name": "canary"}, argument={"name": "canary"}),
    request(15, "logging/setLevel", level="canary"),
    {"jsonrpc": "2.0", "id": 16, "method": "tools/call", "params": "canary"},
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"canary": "canary"}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ["canary"]}},
    {"jsonrpc": "2.0", "method": "canary/notification", "params": ["canary"]},
)


def unseen(on_stderr: str) -> None:
    """Fails if a canary is in the log; this is the check that must be able to fail."""
    assert not [line for line in on_stderr.splitlines() if SEEN.search(line)]


@every_log
def test_on_stdio_nothing_of_calls_is_logged(tmp_path: Path, level: str, log_format: str) -> None:
    variables = {"FORMANT_LOG_LEVEL": level, "FORMANT_LOG_FORMAT": log_format, "FORMANT_API_KEY": KEY} | DETAILED
    variables["FORMANT_STORE"] = str(tmp_path / "store.sqlite")
    with hostile_api() as api:
        api.fault(CALL[:-2] + "03", 1, not_json)
        answers, on_stderr = piped(
            tmp_path, [INITIALIZE, INITIALIZED, *QUESTIONS], FORMANT_BASE_URL=api.url, **variables
        )
    assert "canary words" in json.dumps(answers)
    assert KEY not in json.dumps(answers)
    unseen(on_stderr)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".sqlite", ".csv"}
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []


@every_log
def test_over_http_nothing_of_calls_is_logged(tmp_path: Path, level: str, log_format: str) -> None:
    variables = {"FORMANT_LOG_LEVEL": level, "FORMANT_LOG_FORMAT": log_format, "FORMANT_API_KEY": KEY} | DETAILED
    with hostile_api() as api, in_child(tmp_path, FORMANT_BASE_URL=api.url, **variables) as (process, url):
        session = session_of(initialize(url))
        said = ""
        for question in QUESTIONS:
            said += httpx.post(f"{url}/mcp", json=question, headers=session | {"Authorization": f"Bearer {KEY}"}).text
        post(url, "tools/call", name="list_conversations", arguments={"contact_number": NUMBER})
        httpx.get(f"{url}/files/{KEY}", params={"canary": "canary"})
        httpx.post(f"{url}/canary", content=b"canary", headers={"Host": "canary.example.com"})
        httpx.post(f"{url}/mcp", content=b'{"canary', headers=session)
        process.terminate()
        assert process.stderr
        on_stderr = process.stderr.read().decode()
    assert "canary words" in said
    assert KEY not in said
    unseen(on_stderr)


@pytest.mark.parametrize("arguments", [("sync",), ("export", "--include", "transcript", "-o", "calls.csv"), ("tour",)])
@pytest.mark.parametrize("log_format", FORMATS)
def test_nothing_of_calls_is_logged_by_a_command(tmp_path: Path, arguments: tuple[str, ...], log_format: str) -> None:
    variables = {"FORMANT_LOG_LEVEL": "DEBUG", "FORMANT_LOG_FORMAT": log_format, "FORMANT_API_KEY": KEY} | DETAILED
    with hostile_api() as api:
        api.fault(CALL[:-2] + "03", 1, not_json)
        settings = environment(tmp_path, FORMANT_BASE_URL=api.url, **variables)
        command = [str(PROGRAM), *arguments]
        done = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "asyncio" not in done.stdout
    unseen(done.stderr)


def run_failing(folder: Path, script: str, **variables: str) -> str:
    """What a program writes to stderr that logs and fails in every way."""
    command = [sys.executable, "-W", "always", "-c", script]
    settings = environment(folder, FORMANT_LOG_LEVEL="DEBUG", **variables)
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_message_warning_or_uncaught_error_of_anybody_is_written(tmp_path: Path, log_format: str) -> None:
    on_stderr = run_failing(tmp_path, FAILING, FORMANT_LOG_FORMAT=log_format)
    unseen(on_stderr)
    for expected in ("a.new.package", "asyncio", "formant_mcp.anything", "UserWarning at", "ResourceWarning at"):
        assert expected in on_stderr
    assert on_stderr.count("ExceptionGroup at") > 10
    assert on_stderr.count("(ValueError at ?; KeyError at <string>:") > 5
    if log_format == "json":
        assert all(json.loads(line)["level"] for line in on_stderr.splitlines())


@pytest.mark.parametrize(
    "defence",
    [
        "logging.getLogger().handlers[0].setFormatter(logging.Formatter())",
        "sys.excepthook = sys.__excepthook__",
        "threading.excepthook = threading.__excepthook__",
        "sys.unraisablehook = sys.__unraisablehook__",
        "type(logging.getLogger().handlers[0]).handleError = logging.Handler.handleError",
        "from importlib import reload; reload(warnings)",
        "import formant_mcp.log; formant_mcp.log._is_own = lambda _: True",
    ],
)
def test_the_check_fails_without_any_one_of_the_defences(tmp_path: Path, defence: str) -> None:
    served = "new_stdio_server(is_demo=True)\n"
    with pytest.raises(AssertionError):
        unseen(run_failing(tmp_path, FAILING.replace(served, f"{served}{defence}\n")))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no core files")
def test_a_crash_shows_places_alone_and_leaves_no_core_file(tmp_path: Path) -> None:
    script = FAILING.partition("class Group")[0] + (
        "import os, resource, signal\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
        "def crash(words): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "crash(WORDS)\n"
    )
    settings = environment(tmp_path, PYTHONFAULTHANDLER="1", FORMANT_API_KEY=KEY)
    done = subprocess.run([sys.executable, "-c", script], env=settings, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == "0\n"
    assert "Segmentation fault" in done.stderr
    unseen(done.stderr)
    assert list(tmp_path.glob("core*")) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux shows processes as files")
def test_the_key_is_in_no_process_title(tmp_path: Path) -> None:
    with in_child(tmp_path, "--demo", FORMANT_API_KEY=KEY) as (process, _):
        folder = Path(f"/proc/{process.pid}")
        titles = [folder / "cmdline", folder / "comm", *(folder / "task").glob("*/comm")]
        assert KEY not in "".join(title.read_text() for title in titles)
