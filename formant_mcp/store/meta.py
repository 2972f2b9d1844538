"""Texts that an account's store keeps by name."""

from secrets import token_hex

from formant_mcp.store.engine import Connection

CALLS = "calls"
"""The name of what changes with every change of what answers have of calls."""
SAID = "phrases"
"""The name of what changes with every change of what is said."""
MARKS, _MARK = (CALLS, SAID), "(SELECT value FROM $meta WHERE name = ?)"
VERSION = f"{_MARK}, {_MARK}, (SELECT sum(count) FROM $agents)"
"""SQL: columns that differ after every change of calls, with the parameters MARKS. Servers of an older version leave no
mark in CALLS, but change the others where they add or delete calls."""


def read_text(connection: Connection, name: str) -> str:
    """The text with that name; '' if there is none."""
    rows = connection.rows("SELECT value FROM $meta WHERE name = ?", [name])
    return str(rows[0][0]) if rows else ""


def write_text(connection: Connection, name: str, value: str) -> None:
    """Replaces the text with that name."""
    connection.insert("meta", ("name", "value"), [(name, value)], key=("name",), update="value = excluded.value")


def note_change(connection: Connection, name: str) -> None:
    """Replaces the text with that name by one that it never was."""
    write_text(connection, name, token_hex(8))
