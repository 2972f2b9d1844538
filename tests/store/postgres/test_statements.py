"""Every statement names the account of each table in it. With `--engine postgres` this is checked in all tests."""

import pytest

from tests.store.postgres.statements import checked, offence
from tests.store.postgres.stores import everything, open_at

pytestmark = pytest.mark.anyio

CALLS = "(SELECT * FROM formant_mcp.conversations WHERE account = 3)"
TURNS = "(SELECT * FROM formant_mcp.turns WHERE account = 3)"
NEW_ROWS = "json_populate_recordset(NULL::formant_mcp.agents, $1)"
INSERT = (
    f"INSERT INTO formant_mcp.agents AS agents (account, agent_id, count) SELECT 3, agent_id, count FROM {NEW_ROWS}"
)
UPDATE = (
    f"UPDATE formant_mcp.agents SET count = new.count FROM (SELECT count, agent_id FROM {NEW_ROWS}) AS new"
    " WHERE account = 3 AND (agents.agent_id = new.agent_id)"
)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        f"SELECT count(*) FROM {CALLS} AS conversations WHERE formant_mcp_functions.fold(status) = $1 OR ended = 0",
        f"SELECT 1 FROM {CALLS} AS conversations JOIN {TURNS} AS turns USING (row_id)",
        "SELECT 1 FROM (SELECT * FROM formant_mcp.turns WHERE account = 3 AND row_id = ANY($1::bigint[])) AS turns",
        "UPDATE formant_mcp.accounts SET last_row = last_row + $1 WHERE account = 3 RETURNING last_row",
        "UPDATE formant_mcp.leases SET owner = $1 WHERE account = 3 AND (name = $2 OR owner = $3)",
        "DELETE FROM formant_mcp.leases WHERE account = 3 AND (expires_at <= $1)",
        "COPY formant_mcp.turns (account, row_id) FROM STDIN",
        UPDATE,
        INSERT,
        f"{INSERT} ON CONFLICT (account, agent_id) DO UPDATE SET count = agents.count + excluded.count",
    ],
)
def test_statements_of_one_account_are_accepted(statement: str) -> None:
    assert offence(statement) == ""


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM formant_mcp.turns",
        "SELECT 1 FROM formant_mcp.turns WHERE account = 3",
        f"SELECT 1 FROM {CALLS} AS conversations JOIN formant_mcp.turns AS turns USING (row_id)",
        f"SELECT 1 FROM {CALLS} AS a, {TURNS.replace('3', '4')} AS b",
        f"SELECT 1 FROM {CALLS[:-1]} OR ended = 0) AS conversations",
        "UPDATE formant_mcp.leases SET owner = $1 WHERE name = $2",
        "UPDATE formant_mcp.leases SET owner = $1 WHERE account = 3 OR (name = $2)",
        "DELETE FROM formant_mcp.leases",
        "DELETE FROM formant_mcp.leases WHERE account = 3 AND (name = $1) OR (name = $2)",
        f"SELECT 1 FROM {CALLS[:-1]} AND ended = 0 OR ended = 1) AS conversations",
        "DELETE FROM formant_mcp.leases WHERE account = 3 AND name = $1 OR name = $2",
        "COPY formant_mcp.turns (row_id) FROM STDIN",
        INSERT.replace("(account, ", "("),
        INSERT.replace("SELECT 3, agent_id", "SELECT agent_id, 3"),
        INSERT.replace("SELECT 3", "SELECT $2"),
        INSERT.replace(NEW_ROWS, "formant_mcp.agents"),
        UPDATE.replace("account = 3 AND ", ""),
        UPDATE.replace(NEW_ROWS, "formant_mcp.agents"),
        f"{INSERT} ON CONFLICT (agent_id) DO NOTHING",
        "TRUNCATE formant_mcp.turns",
    ],
)
def test_statements_that_may_span_accounts_are_refused(statement: str) -> None:
    assert offence(statement)


async def test_statements_of_saving_reading_searching_and_deleting_name_their_account(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with checked(monkeypatch) as sent:
        store = await open_at(database)
        await everything(store)
        await store.close()
    assert len(sent) > 60


async def test_work_that_was_to_run_one_query_runs_no_second_one(database: str) -> None:
    store = await open_at(database)
    with pytest.raises(RuntimeError, match="A second query"):
        await store.database.read(lambda c: (c.rows("SELECT 1"), c.rows("SELECT 2")), is_one_query=True)
    assert await store.database.read(lambda c: c.rows("SELECT 1"), is_one_query=True) == [(1,)]
    await store.close()
