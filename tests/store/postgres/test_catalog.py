"""The tables as the database describes them: nothing spans accounts, so they can be spread over machines."""

from collections.abc import AsyncGenerator

import pytest

from formant_mcp.store.engine import TABLES
from tests.store.files import call_saying
from tests.store.oracle import NOW
from tests.store.postgres.stores import ask, open_at

pytestmark = pytest.mark.anyio

OF_ALL = {"version", "accounts", "account_keys"}  # which accounts there are; small, and copied to every machine
COUNTED = "word_counts"  # only here: SQLite's index counts words fast enough
OURS = "SELECT oid FROM pg_class WHERE relnamespace = 'formant_mcp'::regnamespace"


@pytest.fixture
async def database(database: str) -> AsyncGenerator[str]:
    """A database with our tables."""
    store = await open_at(database)
    yield database
    await store.close()


async def test_the_tables_are_those_of_the_engine(database: str) -> None:
    rows = await ask(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'formant_mcp'")
    assert {str(name) for (name,) in rows} == {*TABLES, *OF_ALL, COUNTED}


async def test_each_index_begins_with_the_account(database: str) -> None:
    rows = await ask(
        database,
        "SELECT c.relname, i.relname, m.amname, x.indisunique, pg_get_indexdef(i.oid, 1, true) FROM pg_index x"
        " JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam"
        " WHERE c.relnamespace = 'formant_mcp'::regnamespace",
    )
    others = [row for row in rows if row[0] not in OF_ALL and row[2:] != ("btree", row[3], "account")]
    # The words of turns: each lexeme begins with the account. GIN has no order, so its columns would not be a prefix.
    assert others == [("turns", "turns_words", "gin", False, "lexemes")]
    unique = {row[0] for row in rows if row[3]}
    assert unique == {*TABLES, *OF_ALL, COUNTED} - {"version"}


async def test_the_words_of_turns_begin_with_the_account(database: str) -> None:
    for key in ("first", "second"):
        store = await open_at(database, key)
        await store.write.save([call_saying(1, "It's the same \\ word", "same")], NOW)
        await store.close()
    rows = await ask(
        database, "SELECT DISTINCT account, w.lexeme FROM formant_mcp.turns, unnest(lexemes) AS w ORDER BY 1, 2"
    )
    assert rows
    assert [row for row in rows if not str(row[1]).startswith(f"{row[0]}/")] == []
    assert len({row[0] for row in rows}) == 2


async def test_nothing_spans_accounts(database: str) -> None:
    assert await ask(database, f"SELECT tgname FROM pg_trigger WHERE tgrelid IN ({OURS})") == []
    assert await ask(database, f"SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid IN ({OURS})") == []
    assert (
        await ask(database, f"SELECT relname FROM pg_class WHERE relkind NOT IN ('r', 'i') AND oid IN ({OURS})") == []
    )
    assert (
        await ask(database, f"SELECT attname FROM pg_attribute WHERE attidentity <> '' AND attrelid IN ({OURS})") == []
    )
    assert await ask(database, f"SELECT ev_class FROM pg_rewrite WHERE ev_class IN ({OURS})") == []
    defaults = await ask(
        database, f"SELECT DISTINCT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid IN ({OURS})"
    )
    assert {str(default) for (default,) in defaults} == {"0", "'[]'::text"}


async def test_texts_compare_by_their_bytes(database: str) -> None:
    rows = await ask(
        database,
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'formant_mcp' AND data_type IN ('text', 'character varying')",
    )
    assert len(rows) > 40
    assert [row for row in rows if row[2] != "C"] == []


async def test_each_table_has_its_account_in_every_row(database: str) -> None:
    rows = await ask(
        database,
        "SELECT table_name, is_nullable FROM information_schema.columns WHERE table_schema = 'formant_mcp'"
        " AND column_name = 'account' AND ordinal_position = 1 AND data_type = 'integer'",
    )
    assert set(rows) == {(table, "NO") for table in (*TABLES, COUNTED, "accounts")}
