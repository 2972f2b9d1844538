"""A small account in a store on disk, ways to damage the file, and what an assistant then learns."""

import os
import random
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from tests.fake_formant import FakeFormant
from tests.server_harness import Account, Answer, Assistant
from tests.sync.sync_harness import ended_calls

CALLS = 40
PAGE = 4096
QUESTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("list_conversations", {"limit": 50, "summary_mode": "include"}),
    ("search_transcripts", {"query": "payment OR कल", "limit": 50}),
    ("summarize_results", {"group_by": ["results.intent", "status"], "measures": ["results.csat", "duration_seconds"]}),
    ("summarize_results", {}),
    ("find_phrases", {}),
    ("find_calls_to_review", {}),
)


@dataclass
class Seen:
    """What an assistant learned from a damaged store: the texts of errors, in order, and answers that are wrong."""

    errors: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    is_well: bool = False  # in the end


def an_account(folder: Path) -> Account:
    """An account of a few calls."""
    api = FakeFormant()
    api.conversations = ended_calls(CALLS)
    return Account(api, "auto", folder)


@asynccontextmanager
async def asked(account: Account, path: Path) -> AsyncGenerator[Assistant]:
    """An assistant of a server on the store at `path`."""
    async with account.connect(store=str(path), call_seconds=60) as assistant:
        yield assistant


async def answers(assistant: Assistant) -> list[object]:
    """What the questions are answered; not when it was loaded."""
    found = [facts(await assistant.ask(tool, **arguments)) for tool, arguments in QUESTIONS]
    ids = (await assistant.ask("list_conversations", limit=50)).ids()
    for first in range(0, len(ids), 20):
        found.append(facts(await assistant.ask("get_transcripts", conversation_ids=ids[first : first + 20])))
    return found


def facts(answer: Answer) -> object:
    """The structure without coverage and cursors."""
    return {name: value for name, value in answer.structure.items() if name not in ("coverage", "next_cursor")}


async def whole_store(account: Account, path: Path) -> list[object]:
    """Loads everything into a store, with something left in its journal; returns the right answers."""
    loading = path.with_name("loading.sqlite")
    async with asked(account, loading) as assistant:
        right = await answers(assistant)
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{loading}{suffix}", f"{path}{suffix}")
    return right


async def questioned(account: Account, path: Path, right: Sequence[object], starts: int = 4) -> Seen:
    """Asks everything, starting the server again after an error, until all is answered or nothing helps."""
    seen = Seen()
    for _ in range(starts):
        account.pass_time(hours=1)  # leases of a server that has ended have expired
        try:
            async with asked(account, path) as assistant:
                found = await asked_again(assistant, seen)
        except AssertionError as error:
            seen.errors.append(str(error))
            continue
        if found is not None:
            seen.is_well = True
            tools = [tool for tool, _ in QUESTIONS]
            pairs = zip_longest(tools, found, right, fillvalue="get_transcripts")
            seen.wrong = [tool for tool, one, other in pairs if one != other]
            return seen
    return seen


async def asked_again(assistant: Assistant, seen: Seen, tries: int = 3) -> list[object] | None:
    """The answers of one server, which may answer with errors first."""
    for _ in range(tries):
        try:
            return await answers(assistant)
        except AssertionError as error:
            seen.errors.append(str(error))
    return None


def flip(rng: random.Random, path: Path, count: int, first: int = 0, last: int | None = None) -> None:
    """Flips bits in so many bytes of a file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(count):
            place = rng.randrange(first, min(last or size, size))
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ rng.randrange(1, 256)]))


def overwrite(rng: random.Random, path: Path, pages: int) -> None:
    """Overwrites pages with zeros or noise."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(pages):
            file.seek(rng.randrange(size // PAGE) * PAGE)
            file.write(rng.choice([bytes(PAGE), rng.randbytes(PAGE)]))


def cut(rng: random.Random, path: Path) -> None:
    """Cuts a file short."""
    os.truncate(path, rng.randrange(path.stat().st_size))


def journal(path: Path) -> Path:
    """The journal of a store."""
    return path.with_name(f"{path.name}-wal")


DAMAGES: dict[str, Callable[[random.Random, Path], None]] = {
    "a byte": lambda rng, path: flip(rng, path, 1),
    "bytes": lambda rng, path: flip(rng, path, 30),
    "many bytes": lambda rng, path: flip(rng, path, 2_000),
    "header": lambda rng, path: flip(rng, path, 1, 0, 100),
    "first page": lambda rng, path: flip(rng, path, 20, 0, PAGE),
    "pages": lambda rng, path: overwrite(rng, path, 4),
    "most pages": lambda rng, path: overwrite(rng, path, 200),
    "cut": cut,
    "journal": lambda rng, path: flip(rng, journal(path), 20),
    "journal's header": lambda rng, path: flip(rng, journal(path), 3, 0, 32),
    "journal cut": lambda rng, path: cut(rng, journal(path)),
    "journal missing": lambda rng, path: journal(path).unlink(),
}
