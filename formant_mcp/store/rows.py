"""Converts conversations to rows and back. Each column is declared once."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import cast

from formant_mcp.models import Conversation, Outcome
from formant_mcp.store.engine import Value
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.result_values import reversed_contact
from formant_mcp.values import label


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

    A column without `read` is only used by filters; one without `write` is written separately.
    """

    name: str
    read: Callable[[Value], object] | None
    write: Callable[[Conversation], Value] | None
    field: str = ""


def _plain(name: str, read: Callable[[Value], object]) -> Column:
    return Column(name, read, attrgetter(name))


def _flag(name: str) -> Column:
    field = cast(Callable[[Conversation], bool], attrgetter(name))
    return Column(name, bool, lambda conversation: int(field(conversation)))


def _time(name: str) -> Column:
    field = cast(Callable[[Conversation], datetime | None], attrgetter(name))

    def write(conversation: Conversation) -> Value:
        value = field(conversation)
        return value and milliseconds(value)

    return Column(name, moment, write)


def _outcome(value: Value) -> Outcome:
    return cast(Outcome, value)


COLUMNS = (
    _plain("conversation_id", str),
    *(
        _plain(name, text)
        for name in ("agent_id", "agent_name", "contact_number", "user_id", "direction", "failure_reason")
    ),
    _time("started_at"),
    _time("ended_at"),
    _plain("duration_seconds", number),
    _plain("trace_id", text),
    Column("contact_reversed", None, lambda conversation: reversed_contact(conversation.contact_number)),
    _plain("status", text),
    _plain("outcome", _outcome),
    _flag("ended"),
    _flag("failure_reason_known"),
    Column("detail_at", lambda value: value is not None, None, field="has_detail"),
)
WRITTEN = tuple(column.name for column in COLUMNS if column.write)
READ = ", ".join(column.name for column in COLUMNS if column.read)
_MODEL: Callable[..., Conversation] = Conversation
_FIELDS = tuple((column.field or column.name, column.read) for column in COLUMNS if column.read)
_WRITERS = tuple(column.write for column in COLUMNS if column.write)


def columns(conversation: Conversation) -> tuple[Value, ...]:
    """The values of WRITTEN."""
    return tuple([write(conversation) for write in _WRITERS])


def conversation(row: Sequence[Value]) -> Conversation:
    """The conversation of a row of READ; results and turns are selected separately."""
    return _MODEL(**{name: read(value) for (name, read), value in zip(_FIELDS, row, strict=True)})


def with_results(results: Value, row: Sequence[Value]) -> Conversation:
    """The conversation of a row of READ, with its stored results (JSON)."""
    return conversation(row)._replace(results=None if results is None else json.loads(str(results)))


def label_rows(values: Iterable[Value]) -> list[tuple[str, str]]:
    """Distinct texts, each as labels compare."""
    return [(value, label(value)) for value in sorted({str(value) for value in values if value is not None})]


def merge(row: Sequence[Value], stored: Sequence[Value]) -> tuple[Value, ...]:
    """What is stored after a row is saved over a stored one (all as in WRITTEN): a missing value overwrites nothing."""
    new, old = dict(zip(WRITTEN, row, strict=True)), dict(zip(WRITTEN, stored, strict=True))
    merged = {name: old[name] if value is None else value for name, value in new.items()}
    if new["contact_number"] is not None:
        merged["contact_reversed"] = new["contact_reversed"]
    if new["status"] is None:
        merged["ended"], merged["outcome"] = old["ended"], old["outcome"]
    elif new["outcome"] is None and not (new["ended"] and new["status"] == old["status"]):
        merged["outcome"] = None  # without times the outcome is unknown: it stays only as long as the status does
    # A running call without a failure reason may still get one when it ends.
    says_more = old["ended"] or not new["ended"] or new["status"] is None or old["failure_reason"] is not None
    was_known = int(bool(old["failure_reason_known"] and says_more))
    if was_known != new["failure_reason_known"]:  # a reason that is not final gives way
        merged["failure_reason"] = (old if was_known else new)["failure_reason"]
    merged["failure_reason_known"] = was_known or new["failure_reason_known"]
    return tuple(merged.values())
