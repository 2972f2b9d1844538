"""The kept counts, compared with a count of the conversations and of the words that were said in them."""

import asyncio
import json
from collections import Counter, defaultdict

import psycopg

from formant_mcp.text_search.tokenizer import divided, indexable, stem
from tests.store.postgres.stores import Rows

_AGENTS = """
    SELECT account, coalesce(agent_id, ''), count(*) FROM formant_mcp.conversations GROUP BY 1, 2 ORDER BY 1, 2
"""
_DAYS = """
    SELECT account, zone, coalesce(agent_id, ''), coalesce(status, ''), coalesce(outcome, ''),
           formant_mcp_functions.local_day(zone, started_at), count(*)
    FROM formant_mcp.conversations JOIN formant_mcp.zones USING (account) GROUP BY 1, 2, 3, 4, 5, 6
    ORDER BY 1, 2, 3, 4, 5, 6
"""
_KEPT_AGENTS = "SELECT account, agent_id, count FROM formant_mcp.agents WHERE count <> 0 ORDER BY 1, 2"
_KEPT_DAYS = """
    SELECT account, zone, agent_id, status, outcome, day, count FROM formant_mcp.daily_counts WHERE count <> 0
    ORDER BY 1, 2, 3, 4, 5, 6
"""
_TWICE = "SELECT 1 FROM formant_mcp.conversations GROUP BY account, conversation_id HAVING count(*) > 1"
Connection = psycopg.Connection[tuple[object, ...]]


async def counts_are_right(database: str) -> bool:
    """Whether agents, days and words are counted as the conversations are, each of which is stored once."""
    return await asyncio.to_thread(_assert_counts, database)


def _assert_counts(database: str) -> bool:
    with psycopg.connect(database, autocommit=True) as connection:
        assert _rows(connection, _KEPT_AGENTS) == _rows(connection, _AGENTS)
        assert _rows(connection, _KEPT_DAYS) == _rows(connection, _DAYS)
        assert _rows(connection, _TWICE) == []
        assert _kept_words(connection) == _said_words(connection)
    return True


def _rows(connection: Connection, query: str) -> Rows:
    return connection.execute(query.encode()).fetchall()


def _kept_words(connection: Connection) -> dict[tuple[object, str], list[int]]:
    """The numbers of each account's stems, added up."""
    sums = defaultdict[tuple[object, str], list[int]](lambda: [0] * 6)
    for account, counts in _rows(connection, "SELECT account, counts::text FROM formant_mcp.word_counts"):
        for said, numbers in json.loads(str(counts)).items():
            sums[account, said] = [a + int(b) for a, b in zip(sums[account, said], numbers.split(), strict=True)]
    return {said: numbers for said, numbers in sums.items() if any(numbers)}


def _said_words(connection: Connection) -> dict[tuple[object, str], list[int]]:
    """The same of the turns: how many of the agent's, the contact's and of others' say each stem; and in how many
    conversations the agent, the contact and anybody does."""
    turns, conversations = Counter[tuple[object, str, int]](), set[tuple[object, str, int, object]]()
    rows = _rows(connection, "SELECT account, row_id, role, text FROM formant_mcp.turns")
    for account, row_id, role, text in rows:
        place = {"agent": 0, "contact": 1}.get(str(role), 2)
        for said in {stem(word) for word in divided(indexable(str(text))) if 0 < len(word) <= 64}:
            turns[account, said, place] += 1
            conversations |= {(account, said, which, row_id) for which in ({place} & {0, 1}) | {2}}
    spoken = Counter((account, said, place) for account, said, place, _ in conversations)
    return {
        (account, said): [counted[account, said, place] for counted in (turns, spoken) for place in range(3)]
        for account, said, _ in turns
    }
