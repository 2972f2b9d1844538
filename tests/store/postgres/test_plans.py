"""What the database knows of an account when it plans a query: enough, however new the account is."""

import pytest

from formant_mcp.store.postgres import word_counts
from tests.store.files import call_saying
from tests.store.oracle import NOW
from tests.store.postgres.stores import ask, open_at

pytestmark = pytest.mark.anyio

ANALYZED = "SELECT attname FROM pg_stats WHERE schemaname = 'formant_mcp' AND tablename = 'turns' ORDER BY 1"


async def test_turns_are_analyzed_as_an_account_grows(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "MERGED", 2)
    store = await open_at(database)
    for number in range(8):
        await store.write.save([call_saying(number, "a refund")], NOW)
    assert await ask(database, ANALYZED) == []
    await store.write.save([call_saying(8, "a refund")], NOW)
    assert await ask(database, ANALYZED) == [("account",), ("row_id",)]
    await store.close()


async def test_the_hits_of_a_few_calls_are_found_by_their_rows_where_nothing_is_analyzed(database: str) -> None:
    store = await open_at(database)
    await store.write.save([call_saying(number, *["a refund"] * 40) for number in range(200)], NOW)
    await ask(database, "UPDATE pg_class SET relpages = 1, reltuples = 1000 WHERE relname = 'turns'")  # a large table
    sql = "EXPLAIN SELECT $hit_turn FROM $each_number $join $hits ON $hit_in_value WHERE $says"
    plan = await store.database.read(lambda connection: connection.rows(sql, [list(range(30)), "'1/refund'"]))
    assert "turns_pkey" in str(plan)
    assert "turns_words" not in str(plan)
    await store.close()
