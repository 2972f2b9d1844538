"""The kept counts, compared with a count of the conversations."""

from tests.store.postgres.stores import ask

_AGENTS = """
    SELECT account, coalesce(agent_id, ''), count(*) FROM formant_mcp.conversations GROUP BY 1, 2 ORDER BY 1, 2
"""
_DAYS = """
    SELECT account, zone, coalesce(agent_id, ''), coalesce(status, ''), coalesce(outcome, ''),
           formant_mcp_functions.local_day(zone, started_at), count(*)
    FROM formant_mcp.conversations JOIN formant_mcp.zones USING (account) GROUP BY 1, 2, 3, 4, 5, 6
    ORDER BY 1, 2, 3, 4, 5, 6
"""


async def counts_are_right(database: str) -> bool:
    """Whether agents and days are counted as the conversations are, each of which is stored once."""
    kept = await ask(database, "SELECT account, agent_id, count FROM formant_mcp.agents WHERE count <> 0 ORDER BY 1, 2")
    days = await ask(
        database,
        "SELECT account, zone, agent_id, status, outcome, day, count FROM formant_mcp.daily_counts WHERE count <> 0"
        " ORDER BY 1, 2, 3, 4, 5, 6",
    )
    twice = await ask(
        database, "SELECT 1 FROM formant_mcp.conversations GROUP BY account, conversation_id HAVING count(*) > 1"
    )
    assert kept == await ask(database, _AGENTS)
    assert days == await ask(database, _DAYS)
    assert twice == []
    return True
