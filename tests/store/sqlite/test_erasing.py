"""What was deleted can be read in no file any more: free pages, the index of words, the journal."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.store import Store
from formant_mcp.store.engine import TO_ERASE
from formant_mcp.store.sqlite.erasing import Eraser
from formant_mcp.text_search.query import Term
from tests.store.files import call_saying, calls, open_store
from tests.store.oracle import NOW
from tests.store.sqlite.test_migrations import older_store

pytestmark = [pytest.mark.anyio, pytest.mark.file_store]

SECRETS = ("zanzibar", "qwertz", "fallenbach", "919876500001", "quetzal", "joined-upword", "फीसजी")


def secret_call(number: int = 7, extra: str = "") -> Conversation:
    """A call that says words nobody else says, in every field that may have some."""
    said = call_saying(number, f"My zanzibar is joined-upword {extra}", "quetzal फीसजी again")
    return said._replace(
        conversation_id=f"secret-{number}",
        status="qwertz",
        failure_reason="line to fallenbach",
        failure_reason_known=True,
        contact_number="+919876500001",
        results={"note": "zanzibar " * 2_000, "tags": ["quetzal"]},
    )


def readable(folder: Path, words: tuple[str, ...] = SECRETS) -> list[tuple[str, str]]:
    """The words that the bytes of some file have, in capitals or not."""
    return [
        (file.name, word)
        for file in sorted(folder.iterdir())
        for word in words
        if word.encode() in file.read_bytes().lower() or word[::-1].encode() in file.read_bytes()
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite"


async def filled(path: Path) -> Store:
    """A store with many calls, of which three say the secret words, not all saved at once."""
    store = await open_store(path)
    await store.write.save(calls(50), NOW)
    for number in (7, 8, 9):
        await store.write.save([secret_call(number)], NOW)
        await store.write.save(calls(50 + number)[50:], NOW)
    return store


async def delete(store: Store) -> None:
    await store.write.delete("secret-7", "secret-8", "secret-9")


async def delete_unseen(store: Store) -> None:
    await store.write.save(calls(59), NOW + timedelta(minutes=2))
    await store.write.delete_unseen("", NOW + timedelta(minutes=1))


async def save_other_words(store: Store) -> None:
    others = [call._replace(conversation_id=f"secret-{n}") for n, call in zip((7, 8, 9), calls(3), strict=True)]
    plain = [call._replace(status="busy", failure_reason="busy", contact_number="+91", user_id="u") for call in others]
    await store.write.save(plain, NOW + timedelta(minutes=2))


@pytest.mark.parametrize("remove", [delete, delete_unseen])
async def test_deleted_words_are_in_no_file_while_the_store_is_open(
    path: Path, remove: Callable[[Store], Awaitable[None]]
) -> None:
    store = await filled(path)
    assert {word for _, word in readable(path.parent)} == {*SECRETS}
    await remove(store)
    await store.erase()
    assert readable(path.parent) == []
    assert await store.read.count(Filters()) == 59
    assert await store.search.occurs(Term(("payment",), "word"))
    assert not await store.search.occurs(Term(("zanzibar",), "word"))
    await store.close()
    assert readable(path.parent) == []


async def test_replaced_words_are_in_no_file(path: Path) -> None:
    store = await filled(path)
    await save_other_words(store)
    await store.close()
    left = {word for _, word in readable(path.parent)}
    assert left <= {"qwertz", "fallenbach"}  # of labels, which calls may have had


async def test_deleted_words_are_in_no_file_after_a_store_is_closed_at_once(path: Path) -> None:
    store = await filled(path)
    await delete(store)
    await store.close()
    assert readable(path.parent) == []


async def test_words_that_others_say_too_remain_and_are_found(path: Path) -> None:
    store = await filled(path)
    await store.write.delete("secret-7")
    await store.erase()
    with closing(sqlite3.connect(path)) as database:
        words = {word for (word,) in database.execute("SELECT word FROM words")}
    assert {"zanzibar", "joined-upword", "quetzal"} <= words
    assert await store.search.occurs(Term(("joined", "upword"), "phrase"))
    await store.close()


async def test_a_reader_delays_the_erasing_and_the_next_server_completes_it(path: Path) -> None:
    store = await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM turns").fetchone()
        await delete(store)
        await store.close()
        assert readable(path.parent)
        assert reader.execute("SELECT count(*) FROM meta WHERE name = ?", [TO_ERASE]).fetchone() == (0,)
        reader.execute("COMMIT")
        store = await open_store(path)
        await store.erase()
        assert readable(path.parent) == []
        await store.close()
    assert readable(path.parent) == []


async def test_a_transcript_that_only_grows_leaves_nothing_to_erase(path: Path) -> None:
    store = await open_store(path)
    call = secret_call()
    await store.write.save([call], NOW)
    grown = call._replace(turns=(*(call.turns or ()), Turn(2, "agent", "Bye")))
    await store.write.save([grown], NOW + timedelta(minutes=1))
    assert await store.read.turn_count(call.conversation_id) == 3
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM meta WHERE name = ?", [TO_ERASE]).fetchone() == (0,)
    assert await store.search.occurs(Term(("zanzibar",), "word"))
    await store.close()


async def test_what_an_older_version_deleted_is_erased_when_the_store_is_migrated(path: Path) -> None:
    with older_store(path, 14) as older:
        older.execute("PRAGMA secure_delete = OFF")
        older.execute("INSERT INTO words VALUES ('zanzibar', 'zanzibar', 'z')")
        older.executemany("INSERT INTO meta VALUES (?, ?)", [(f"{n}", f"quetzal {n}" * 9) for n in range(5_000)])
        older.execute("DELETE FROM meta")
    assert {word for _, word in readable(path.parent)} == {"zanzibar", "quetzal"}
    store = await open_store(path)
    await store.erase()
    assert readable(path.parent) == []
    await store.close()


async def test_a_large_index_is_merged_step_by_step_while_calls_are_saved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("formant_mcp.store.sqlite.erasing._FIRST_PAGES", 1)
    monkeypatch.setattr("formant_mcp.store.sqlite.erasing._STEPS_OF_A_SIZE", 5)
    store = await filled(path)
    await delete(store)
    for number in range(20):
        await store.write.save([call_saying(number, f"word{number} " * 50)], NOW)
    await store.erase()
    assert readable(path.parent) == []
    await store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.execute("INSERT INTO turns_fts (turns_fts) VALUES ('integrity-check')")


def erase_nothing(_: Eraser) -> None:
    """Erases nothing."""


async def test_the_check_reports_words_where_nothing_is_erased(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Eraser, "start", erase_nothing)
    store = await filled(path)
    await delete(store)
    await store.close()
    assert {word for _, word in readable(path.parent)} >= {"zanzibar", "quetzal"}
