"""The values that exist: of a column of conversations, or of another table."""

from collections.abc import Sequence

from formant_mcp.filters import LABELLED, NAMED
from formant_mcp.store.engine import Connection

_MOST = 1_000
_AGENTS = "SELECT agent_id AS x FROM $agents WHERE count > 0 AND agent_id != '' ORDER BY 1"


def distinct_values(connection: Connection, columns: Sequence[str]) -> dict[str, list[str]]:
    """The values of each of these columns of conversations, in order; in one statement."""
    values: dict[str, list[str]] = {column: [] for column in columns}
    if unknown := values.keys() - set(NAMED):
        raise ValueError(unknown)
    parts = (
        f"SELECT '{column}', x FROM"
        f" (SELECT x FROM ({_AGENTS if column == 'agent_id' else distinct_sql(column)}) AS each LIMIT {_MOST}) AS few"
        for column in values
    )
    for column, value in connection.rows(" UNION ALL ".join(parts)) if values else ():
        values[str(column)].append(str(value))
    return values


def distinct_sql(column: str, table: str = "conversations") -> str:
    """A query for the distinct values `x` of a column, in order: a skip scan over its index, which is fast.

    Labels that differ only in case are one value: the first of them, however often each occurs.
    """
    is_label = column in LABELLED
    value, x = (f"$fold({column})", "$fold(x)") if is_label else (column, "x")
    first = (
        "SELECT min(l.text) FROM $labels_as l WHERE l.label IN (SELECT label FROM $labels WHERE text = x)"
        " AND lower(l.text) = lower(x)"
        f" AND EXISTS (SELECT 1 FROM ${table} WHERE {value} = $fold(l.text) AND {column}$exact = l.text)"
    )
    return (
        "WITH RECURSIVE v(x) AS"
        f" (SELECT (SELECT {column} FROM ${table} WHERE {column} IS NOT NULL ORDER BY {value} LIMIT 1)"
        f" UNION ALL SELECT (SELECT {column} FROM ${table} WHERE {value} > {x} ORDER BY {value} LIMIT 1)"
        f" FROM v WHERE x IS NOT NULL) SELECT {f'coalesce(({first}), x) AS x' if is_label else 'x'} FROM v"
        " WHERE x IS NOT NULL"
    )
