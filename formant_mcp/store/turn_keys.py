"""A turn's key: its conversation's row and its place, so that one range of keys is one transcript in order."""

KEY_BITS = 20
MAX_TURNS = 1 << KEY_BITS


def turn_key(row_id: int, index: int) -> int:
    """The key of a turn; an index beyond what a transcript can have gives the end of the range."""
    return (row_id << KEY_BITS) + min(index, MAX_TURNS)


def row_of(turn_id: int) -> int:
    """The row of a turn's conversation."""
    return turn_id >> KEY_BITS


ROW_OF = f"(rowid >> {KEY_BITS})"
"""The same in SQL, where a turn's key is called rowid."""
