"""Converts conversations to rows and back. Each column is declared once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import cast

from formant_mcp.models import Conversation, Outcome
from formant_mcp.store.connection import Value
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.result_values import reversed_contact


def moment(value: Value) -> datetime | None:
    """A stored time."""
    return None if value is None else datetime.fromtimestamp(int(value) / 1000, UTC)


def text(value: Value) -> str | None:
    """A stored text."""
    return None if value is None else str(value)


def number(value: Value) -> float | None:
    """A stored number."""
    return None if value is None else float(value)


def whole(value: Value) -> int:
    """A stored whole number, 0 if there is none."""
    return int(value or 0)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: how its value is read into the model's `field` (default: same name), and written from it.

    `is_kept`: a later row without the value does not clear it. A column without `read` is only used by filters; one
    without `write` is written separately.
    """

    name: str
    read: Callable[[Value], object] | None
    write: Callable[[Conversation], Value] | None
    is_kept: bool = False
    field: str = ""


def _plain(name: str, read: Callable[[Value], object], *, is_kept: bool = False) -> Column:
    return Column(name, read, attrgetter(name), is_kept)


def _time(name: str) -> Column:
    field = cast(Callable[[Conversation], datetime | None], attrgetter(name))

    def write(conversation: Conversation) -> Value:
        value = field(conversation)
        return value and milliseconds(value)

    return Column(name, moment, write, is_kept=True)


def _outcome(value: Value) -> Outcome:
    return cast(Outcome, value)


COLUMNS = (
    _plain("conversation_id", str),
    *(
        _plain(name, text, is_kept=True)
        for name in ("agent_id", "agent_name", "contact_number", "user_id", "direction")
    ),
    _plain("failure_reason", text, is_kept=True),
    _time("started_at"),
    _time("ended_at"),
    _plain("duration_seconds", number, is_kept=True),
    _plain("trace_id", text, is_kept=True),
    Column("contact_reversed", None, lambda conversation: reversed_contact(conversation.contact_number)),
    _plain("status", text),
    _plain("outcome", _outcome),
    _plain("ended", bool),
    _plain("failure_reason_known", bool),
    Column("detail_at", lambda value: value is not None, None, field="has_detail"),
)
KEPT = tuple(column.name for column in COLUMNS if column.is_kept)
WRITTEN = tuple(column.name for column in COLUMNS if column.write)
READ = ", ".join(column.name for column in COLUMNS if column.read)
_MODEL: Callable[..., Conversation] = Conversation
_FIELDS = tuple((column.field or column.name, column.read) for column in COLUMNS if column.read)
_WRITERS = tuple(column.write for column in COLUMNS if column.write)


def columns(conversation: Conversation) -> tuple[Value, ...]:
    """The values of WRITTEN."""
    return tuple(write(conversation) for write in _WRITERS)


def conversation(row: Sequence[Value]) -> Conversation:
    """The conversation of a row of READ; results and turns are selected separately."""
    return _MODEL(**{name: read(value) for (name, read), value in zip(_FIELDS, row, strict=True)})


def with_results(results: Value, row: Sequence[Value]) -> Conversation:
    """The conversation of a row of READ, with its stored results (JSON)."""
    return replace(conversation(row), results=None if results is None else json.loads(str(results)))


def changes(row: Sequence[Value], stored: Sequence[Value]) -> bool:
    """Whether saving a row may change the stored one (both as in WRITTEN). How it changes is in `Writer`'s SQL."""
    new, old = dict(zip(WRITTEN, row, strict=True)), dict(zip(WRITTEN, stored, strict=True))
    if any(new[name] not in (None, old[name]) for name in KEPT if name != "failure_reason"):
        return True
    if new["status"] is None or any(new[name] != old[name] for name in ("status", "ended")):
        return True
    if new["outcome"] != old["outcome"] and (new["outcome"] is not None or not new["ended"]):
        return True
    if not new["failure_reason_known"] and old["failure_reason_known"]:
        return False
    is_as_well_known = new["failure_reason_known"] == old["failure_reason_known"]
    return not is_as_well_known or new["failure_reason"] not in (None, old["failure_reason"])
