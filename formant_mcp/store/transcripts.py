"""Saves and deletes the turns of conversations; what did not change is not written again."""

from collections.abc import Mapping, Sequence
from itertools import islice

from formant_mcp.models import Turn
from formant_mcp.store.engine import Connection, StoredTurn
from formant_mcp.store.meta import SAID, note_change
from formant_mcp.store.rows import number, whole
from formant_mcp.store.turn_keys import MAX_TURNS, row_of, turn_key
from formant_mcp.text_search.tokenizer import indexable


def stored_turns(connection: Connection, rows: Sequence[int]) -> dict[int, list[StoredTurn]]:
    """The transcripts of these rows, of those that have one."""
    turns: dict[int, list[StoredTurn]] = {}
    sql = "SELECT turn_id, role, text, seconds FROM $each_number $join $turns ON $turn_in_value ORDER BY turn_id"
    for key, role, said, seconds in connection.rows(sql, [rows]) if rows else ():
        turn = (whole(key), str(role), str(said), number(seconds))
        turns.setdefault(row_of(turn[0]), []).append(turn)
    return turns


def save_turns(
    connection: Connection,
    transcripts: dict[int, tuple[Turn, ...] | None],
    before: Mapping[int, list[StoredTurn]],
) -> dict[int, list[str]]:
    """Saves transcripts by row; `before`: those that are stored. Equal ones are not written again; the texts of the
    others are returned as indexed."""
    now = {
        row_id: [
            (turn_key(row_id, turn.index), turn.role, turn.text, turn.seconds) for turn in (turns or ())[:MAX_TURNS]
        ]
        for row_id, turns in transcripts.items()
    }
    changed = [row_id for row_id, turns in now.items() if turns != before.get(row_id, [])]
    old = [turn for row_id in changed for turn in before.get(row_id, [])]
    new = [turn for row_id in changed for turn in now[row_id]]
    if old:
        connection.delete_turns(old)
        note_change(connection, SAID)
    indexed = [indexable(turn[2]) for turn in new]
    connection.insert_turns(new, indexed)
    left = iter(indexed)
    return {row_id: list(islice(left, len(now[row_id]))) for row_id in changed}
