"""Stores on disk for tests: with something in them, and damaged."""

from datetime import datetime, timedelta
from pathlib import Path

from formant_mcp.models import Conversation, Turn
from formant_mcp.store import AccountKey, Store
from tests.store.oracle import NOW

_written: dict[int, bytes] = {}
WORDS = "Hello, I am calling about your payment that was due on Monday. "


def never(_: Conversation, __: datetime) -> None:
    """Details are final once read."""


async def open_store(path: Path | None, key: str = "key", service: str = "service", verified_by: str = "") -> Store:
    return await Store.open(path, AccountKey(service, key, verified_by), never)


def calls(count: int, turns: int = 20) -> list[Conversation]:
    """Conversations with transcripts, `call-0` first."""
    said = tuple(Turn(index, "agent", WORDS * 3, float(index)) for index in range(turns))
    return [
        Conversation(f"call-{n}", started_at=NOW, has_detail=True, results={"csat": n % 5}, turns=said)
        for n in range(count)
    ]


async def write_store(path: Path, count: int = 300) -> Path:
    """A store of so many calls, closed again: saved once, and copied, as to save takes longer than most tests."""
    if saved := _written.get(count):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(saved)
        return path
    store = await open_store(path)
    await store.write.save(calls(count), NOW)
    await store.close()
    _written[count] = path.read_bytes()
    return path


def call_saying(number: int, *texts: str, role: str = "contact") -> Conversation:
    """A call with these turns; calls with higher numbers are newer."""
    turns = tuple(Turn(index, role, text) for index, text in enumerate(texts))
    return Conversation(f"call-{number}", started_at=NOW + timedelta(minutes=number), turns=turns, has_detail=True)


async def stored(*conversations: Conversation) -> Store:
    """A store in memory with these conversations."""
    store = await open_store(None)
    await store.write.save(conversations, NOW)
    return store


def damage(path: Path) -> None:
    """Overwrites all pages but the first few, as a failing disk or a careless copy does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\x5a" * (size - 4096 * 3))


def set_aside(path: Path) -> list[Path]:
    """The damaged stores kept beside a store."""
    return sorted(
        file for file in path.parent.glob(f"{path.name}.damaged-*") if not file.name.endswith(("-wal", "-shm"))
    )
