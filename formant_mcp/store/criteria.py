"""Filters as SQL. Every value is a parameter; what is not known (NULL) matches no condition but `missing`."""

from dataclasses import dataclass, field
from datetime import datetime

from formant_mcp.filters import Condition, Filters, Order
from formant_mcp.store.database import Value

ORDERS: dict[Order, tuple[str, str]] = {  # a call without the value comes last, whichever way it is sorted
    "newest": ("started_at", "DESC"),
    "oldest": ("started_at", "ASC"),
    "longest": ("duration_seconds", "DESC"),
    "shortest": ("duration_seconds", "ASC"),
}

_EXACT = 2**53  # whole numbers from there on share a float with others: such (ids, mostly) are equal as texts alone


@dataclass(slots=True)
class Where:
    """A condition in the making: its parts, and the values they ask for, in step."""

    parts: list[str] = field(default_factory=list[str])
    values: list[Value] = field(default_factory=list[Value])

    def add(self, part: str, *values: Value) -> None:
        """One more part, all of which must hold."""
        self.parts.append(part)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        """The whole, to stand after WHERE."""
        return " AND ".join(self.parts) or "1"


def milliseconds(moment: datetime) -> int:
    """A moment as it is stored."""
    return round(moment.timestamp() * 1000)


def where(filters: Filters) -> Where:
    """What a conversation must be to match."""
    asked = Where()
    simple: tuple[tuple[str, Value], ...] = (
        ("agent_id = ?", filters.agent_id or None),
        ("outcome = ?", None if filters.call_successful == "any" else filters.call_successful),
        ("started_at >= ?", filters.since and milliseconds(filters.since)),
        ("started_at <= ?", filters.until and milliseconds(filters.until)),
        ("duration_seconds >= ?", filters.min_duration_seconds),
        ("duration_seconds <= ?", filters.max_duration_seconds),
        ("failure_reason = ?", filters.failure_reason or None),
        ("user_id = ?", filters.user_id or None),
    )
    for part, value in simple:
        if value is not None:
            asked.add(part, value)
    if filters.status:
        asked.add(f"status IN ({', '.join('?' * len(filters.status))})", *filters.status)
    if filters.contact_digits:
        # Digits only, so ":" (the character after "9") ends the range of what begins with them.
        spelled = " OR ".join(["contact_reversed >= ? AND contact_reversed < ?"] * len(filters.contact_digits))
        asked.add(f"({spelled})", *(end for d in filters.contact_digits for end in (d[::-1], d[::-1] + ":")))
    for condition in filters.results:
        _add_condition(asked, condition)
    return asked


# Every kind there is, named so that the index is entered at the value and not at the path.
_OF_PATH = "path = ? AND kind IN ('text', 'number', 'boolean')"


def _add_condition(asked: Where, condition: Condition) -> None:
    # A field holding an object has its values below it: `language` exists where `language.primary` does.
    field_is, names = (
        "(path = ? OR path >= ? AND path < ?)",
        (condition.path, f"{condition.path}.", f"{condition.path}/"),
    )
    some = f"row_id IN (SELECT row_id FROM result_values WHERE {field_is}"
    if condition.operator == "exists":
        asked.add(f"{some})", *names)
    elif condition.operator == "missing":
        asked.add(f"detail_at IS NOT NULL AND NOT {some})", *names)
    elif condition.operator in ("=", "!="):
        number = number_in(condition.value)
        equal, values = ("folded = ?", [condition.value.casefold()])
        if number is not None and abs(number) < _EXACT:
            equal, values = "(folded = ? OR number = ?)", [*values, number]
        one = f"row_id IN (SELECT row_id FROM result_values WHERE {_OF_PATH} AND {equal})"
        if condition.operator == "=":
            asked.add(one, condition.path, *values)
        else:
            asked.add("row_id IN (SELECT row_id FROM result_values WHERE path = ?)", condition.path)
            asked.add(f"NOT {one}", condition.path, *values)
    else:
        number = number_in(condition.value)
        # A text is compared with texts alone: numbers do not stand in the order of the alphabet.
        column, value = ("number", number)
        if number is None:
            column, value = ("kind = 'text' AND folded", condition.value.casefold())
        asked.add(
            f"row_id IN (SELECT row_id FROM result_values WHERE {_OF_PATH} AND {column} {condition.operator} ?)",
            condition.path,
            value,
        )


def number_in(text: str) -> float | None:
    """The number a text spells (`15000`, `-2.5`, `1e3`), None where it spells none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") and "_" not in text else None
