"""What the names in the store's templates are in SQLite."""

from functools import lru_cache
from string import Template

from formant_mcp.store.engine import TABLES
from formant_mcp.store.limits import ALL_AGENTS, Limit
from formant_mcp.store.turn_keys import KEY_BITS

_NAMES = {
    **{table: table for table in TABLES},
    **{f"{table}_as": table for table in TABLES},
    "measured_as": "signals",
    "in_list": "IN (SELECT value FROM json_each(?))",
    "each_text": "json_each(?)",
    "each_number": "json_each(?)",
    "each_in_order": "(SELECT value, key AS place FROM json_each(?)) AS each",
    "fold": "",
    "exact": " COLLATE BINARY",
    "join": "CROSS JOIN",  # keeps the order of the tables
    "by_agent": "INDEXED BY conversations_agent",
    "by_transcript": "INDEXED BY conversations_with_turns",
    "hits": "turns_fts",
    "is_hit": "turns_fts MATCH ?",
    "says": "turns_fts MATCH ?",
    "if_many": "(SELECT count(*) < ? FROM (SELECT 1 FROM turns_fts WHERE turns_fts MATCH ? LIMIT ?)) OR",
    "hit_turn": "turns_fts.rowid",
    "hit_row": f"(turns_fts.rowid >> {KEY_BITS})",
    "hit_in_value": f"turns_fts.rowid >= value << {KEY_BITS} AND turns_fts.rowid < (value + 1) << {KEY_BITS}",
    "turn_in_value": f"turn_id >= value << {KEY_BITS} AND turn_id < (value + 1) << {KEY_BITS}",
    "turn_row": f"(turn_id >> {KEY_BITS})",
}


@lru_cache(4000)
def to_sqlite(template: str, agents: frozenset[str] = ALL_AGENTS) -> str:
    """The statement; for a reader who may see only some agents, with its tables reduced to these."""
    return Template(template).substitute(_limited_names(agents) if agents else _NAMES)


@lru_cache(64)
def _limited_names(agents: frozenset[str]) -> dict[str, str]:
    limit = Limit(agents, "conversations AS visible", lambda hexadecimal: f"CAST(x'{hexadecimal}' AS TEXT)")
    rows = limit.of_tables(f"(turns.turn_id >> {KEY_BITS})")
    tables = {table: f"(SELECT * FROM {table} WHERE {rows[table]})" for table in TABLES}
    is_hit = f"{_NAMES['is_hit']} AND {limit.of_row(_NAMES['hit_row'])}"
    return {
        **_NAMES,
        **{table: f"{selected} AS {table}" for table, selected in tables.items()},
        **{f"{table}_as": selected for table, selected in tables.items()},
        "measured_as": tables["signals"],
        "by_agent": "",  # a subquery takes no such hint
        "by_transcript": "",
        "is_hit": is_hit,
        "says": is_hit,
    }
