"""Orders that the calls themselves decide: between equal keys, such as starts, the greater id comes first.

Ids are only read where keys are equal. An index has the starts of all calls, but not their ids.
"""

from collections.abc import Iterable, Sequence
from itertools import compress, groupby, islice, takewhile
from operator import eq, itemgetter
from typing import TypeVar

from formant_mcp.store.engine import Connection
from formant_mcp.store.rows import whole

K = TypeVar("K", float, tuple[float, ...])


def first_rows(connection: Connection, calls: Sequence[tuple[K, int]], count: int | None = None) -> list[int]:
    """The rows of the first `count` calls, or of all; these are given as key and row, the greatest keys first."""
    if count is not None and len(calls) > count:
        least = calls[count - 1][0] if count else None
        calls = list(takewhile(lambda call: least is not None and call[0] >= least, calls))
    keys = [key for key, _ in calls]
    equal = set(compress(keys, map(eq, keys, islice(keys, 1, None))))
    if not equal:
        return [row for _, row in calls]
    names, rows = ids_of(connection, (row for key, row in calls if key in equal)), list[int]()
    for _, alike in groupby(calls, itemgetter(0)):
        rows += sorted((row for _, row in alike), key=lambda row: names.get(row, ""), reverse=True)
    return rows[:count]


def ids_of(connection: Connection, rows: Iterable[int]) -> dict[int, str]:
    """The ids of the conversations in these rows."""
    sql = "SELECT row_id, conversation_id FROM $conversations WHERE row_id $in_list"
    return {whole(row): str(name) for row, name in connection.rows(sql, [list(rows)])}
