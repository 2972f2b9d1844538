"""A turn's key: its conversation's row and its place, so that one range of keys is one transcript in order."""

_BITS = 20
MAX_TURNS = 1 << _BITS


def turn_key(row_id: int, index: int) -> int:
    """The key of a turn; an index beyond what a transcript can have gives the end of the range."""
    return (row_id << _BITS) + min(index, MAX_TURNS)


def row_of(turn_id: int) -> int:
    """The row of a turn's conversation."""
    return turn_id >> _BITS


ROW_OF = f"(rowid >> {_BITS})"
"""The same in SQL, where a turn's key is called rowid."""
