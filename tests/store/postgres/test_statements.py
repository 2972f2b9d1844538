"""Every statement names the account of each table in it. With `--engine postgres` this is checked in all tests."""

import pytest

from tests.store.postgres.statements import checked, offence
from tests.store.postgres.stores import everything, open_at

pytestmark = pytest.mark.anyio

CALLS = "(SELECT * FROM formant_mcp.conversations WHERE account = 3)"
TURNS = "(SELECT * FROM formant_mcp.turns WHERE account = 3)"
INSERT = "INSERT INTO formant_mcp.agents AS agents (account, agent_id, count) VALUES (3, $1, $2), (3, $3, $4)"


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
        INSERT.replace("(3, $3", "(4, $3"),
        INSERT.replace("(3, $3", "($5, $3"),
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
