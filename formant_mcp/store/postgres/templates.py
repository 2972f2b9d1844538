"""What the names in the store's templates are in PostgreSQL."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from string import Template

from formant_mcp.store.engine import TABLES
from formant_mcp.store.filter_sql import HAS_SIGNALS
from formant_mcp.store.limits import ALL_AGENTS, Limit
from formant_mcp.store.postgres import word_counts
from formant_mcp.store.postgres.schema import SCHEMA


@lru_cache(4000)
def to_postgres(template: str, account: int, agents: frozenset[str] = ALL_AGENTS) -> bytes:
    """The statement, its tables reduced to the rows of the account and these agents, its placeholders numbered."""
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", Template(template).substitute(_names(account, agents))).encode()


@lru_cache(64)
def _names(account: int, agents: frozenset[str] = ALL_AGENTS) -> Mapping[str, str]:
    """What a template's names are here; PostgreSQL merges such a subquery into the query around it."""
    names = (*TABLES, word_counts.TABLE)
    tables = {table: f"(SELECT * FROM {SCHEMA}.{table} WHERE account = {account})" for table in names}
    if agents:
        visible = f"{tables['conversations']} AS visible"
        limit = Limit(agents, visible, lambda hexadecimal: f"convert_from(decode('{hexadecimal}', 'hex'), 'UTF8')")
        rows = {**limit.of_tables("turns.row_id"), word_counts.TABLE: "false"}  # it counts other agents' turns too
        tables = {table: f"{selected[:-1]} AND {rows[table]})" for table, selected in tables.items()}
    return {
        **{table: f"{rows} AS {table}" for table, rows in tables.items()},
        **{f"{table}_as": rows for table, rows in tables.items()},
        "measured_as": f"{tables['signals'][:-1]} AND {HAS_SIGNALS})",  # a tenth of them, if most calls do not connect
        "in_list": "= ANY(?)",
        "each_text": "unnest(?::text[]) AS each(value)",
        "each_number": "unnest(?::bigint[]) AS each(value)",
        "each_in_order": "(SELECT value, number - 1 AS place FROM unnest(?::bigint[])"
        " WITH ORDINALITY AS numbered(value, number)) AS each",
        "fold": "fold",
        "exact": "",
        "join": "JOIN",
        "by_agent": "",
        "by_transcript": "",
        "hits": f"{tables['turns']} AS hits",
        "is_hit": "hits.lexemes @@ ?::tsquery",
        # Its planner would take the index of words for the better one where it has no figures of the account's words.
        "says": "(hits.lexemes @@ ?::tsquery) IS TRUE",
        "if_many": "num_nulls(?::bigint, ?::text, ?::bigint) = 0 AND",  # its planner knows how many there are
        "hit_turn": "hits.turn_id",
        "hit_row": "hits.row_id",
        "hit_in_value": "hits.row_id = value",
        "turn_in_value": "turns.row_id = value",
        "turn_row": "row_id",
    }
