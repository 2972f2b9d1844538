"""Asks a server questions of all kinds for an hour, and says whether it uses more and more.

    python -m tests.benchmarks.bench_soak [--minutes 60] [--conversations 2000]

A server in a process of its own, spoken to on its pipes. Its API is on loopback: calls are added all the while, so that
lists are refreshed and details fetched. Each round has each tool once, resources, prompts, completions, arguments that
are refused, lines that are no messages, and a call that is cancelled. After each round memory, files and threads of the
server are counted. It leaks if they grew between the second and the last quarter of the rounds.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from pydantic import JsonValue

from tests.audio import wav
from tests.calls import conversation, conversation_id, many
from tests.fake_formant import FakeFormant
from tests.process_usage import Usage, leaks
from tests.stdio_process import KEY, PROGRAM, Message, Server, calling, request, started

MOST_MIB = 12.0
_ADDED = 10_000  # number of the first call that is added
_PRINTED_EVERY = 60.0
_CALL = conversation_id(0)
_LIFETIME = 1_000_000.0  # seconds
_ADDRESS = f"formant://conversations/{_CALL}"
_TOOLS: dict[str, dict[str, JsonValue]] = {
    "list_conversations": {"summary_mode": "include", "limit": 50},
    "search_transcripts": {"query": "payment OR hello"},
    "get_transcripts": {"conversation_ids": [_CALL, conversation_id(2), "unknown"]},
    "summarize_results": {"group_by": ["agent_id", "day"], "measures": ["results.csat"]},
    "find_calls_to_review": {},
    "find_changes": {"since": "3d"},
    "find_phrases": {"limit": 5},
    "export_conversations": {"include": ["results", "transcript"]},
    "save_recording": {"conversation_id": _CALL},
}
_REFUSED: dict[str, dict[str, JsonValue]] = {
    "list_conversations": {"since": "never"},
    "search_transcripts": {"query": "(unfinished"},
    "no_such_tool": {"a": "b" * 10_000},
}


def _requests(numbers: Callable[[], int]) -> list[Message]:
    """A round's requests."""
    calls = [calling(numbers(), name, **given) for given_all in (_TOOLS, _REFUSED) for name, given in given_all.items()]
    others: list[tuple[str, dict[str, JsonValue]]] = [
        ("ping", {}),
        ("tools/list", {}),
        ("resources/list", {}),
        ("resources/read", {"uri": f"{_ADDRESS}/transcript"}),
        ("resources/read", {"uri": f"{_ADDRESS}/recording"}),
        ("resources/read", {"uri": "formant://conversations/unknown"}),
        ("prompts/get", {"name": "review_call", "arguments": {"conversation_id": _CALL}}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "weekly_review"}, "argument": {"name": "agent_id", "value": "1"}},
        ),
        ("no/such", {}),
    ]
    return [*calls, *(request(numbers(), method, **params) for method, params in others)]


def ask_round(server: Server, numbers: Callable[[], int]) -> int:
    """Sends a round's messages and waits for all answers; returns how many there were."""
    messages = _requests(numbers)
    garbage = (b"{\n", b"\xff\xfe\n", b"[" * 1_000 + b"\n", b"[]\n")
    cancelled = numbers()
    server.send(*messages)
    server.write(b"".join(garbage))
    server.send(calling(cancelled, "summarize_results"))
    server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": cancelled}})
    last = request(numbers(), "ping")
    server.send(last)
    due = {str(message["id"]) for message in (*messages, last)}
    answered, refused = 0, 0
    while due or refused < len(garbage):
        message = server.receive()
        answered += 1
        refused += message["id"] is None
        due.discard(str(message["id"]))  # the cancelled one may be answered before its cancellation arrives
    return answered


@dataclass(frozen=True)
class Soaked:
    """A server, the API that it asks, and the folder of its files."""

    server: Server
    api: FakeFormant
    folder: Path

    def soak(self, seconds: float, report: Callable[[str], None], least_rounds: int = 24) -> list[Usage]:
        """Asks for so many seconds, and so many rounds at least; returns what the server used after each."""
        until, printed_at, answered = time.monotonic() + seconds, 0.0, 0
        samples: list[Usage] = []
        numbers = count(10)
        while time.monotonic() < until or len(samples) < least_rounds:
            if len(samples) % 10 == 0:
                self.api.add(conversation(_ADDED + len(samples), datetime.now(UTC) - timedelta(minutes=10)))
            answered += ask_round(self.server, lambda: next(numbers))
            samples.append(Usage.of(self.server.process.pid))
            for file in (self.folder / "exports").glob("*"):
                file.unlink()
            if time.monotonic() > printed_at + _PRINTED_EVERY:
                printed_at = time.monotonic()
                report(f"{len(samples):8} rounds {answered:10} answers   {samples[-1]}")
        report(f"{len(samples):8} rounds {answered:10} answers   {samples[-1]}")
        return samples


@contextmanager
def soaked(folder: Path, conversations: int, program: Sequence[str] = (str(PROGRAM),)) -> Generator[Soaked]:
    """A server over an account with so many calls, one of them with a recording."""
    with FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations = many(conversations, datetime.now(UTC) - timedelta(hours=2), timedelta(days=10))
        api.recordings[_CALL] = wav((8_000, 0.5))
        variables = {"FORMANT_API_KEY": KEY, "FORMANT_BASE_URL": api.url, "FORMANT_STORE": str(folder / "store.sqlite")}
        with started(folder, program=program, seconds=_LIFETIME, **variables) as server:
            server.shake_hands()
            yield Soaked(server, api, folder)


def main() -> int:
    """Soaks a server; the exit status is 1 if it leaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--conversations", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, soaked(Path(name), options.conversations) as it:
        samples = it.soak(options.minutes * 60, lambda line: print(line, flush=True))
        it.server.close_stdin()
        it.server.process.wait(30)
    found = leaks(samples, MOST_MIB)
    print("; ".join(found) or "nothing grew")
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main())
