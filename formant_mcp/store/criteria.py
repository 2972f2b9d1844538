"""Filters as SQL. Every value is a parameter; what is not known (NULL) matches no condition but `missing`."""

from dataclasses import dataclass, field
from datetime import datetime

from formant_mcp.contacts import WHOLE
from formant_mcp.filters import Condition, Filters, Order
from formant_mcp.store.database import Value
from formant_mcp.values import EXACT, label, read_value

ORDERS: dict[Order, tuple[str, str]] = {  # a call without the value comes last, whichever way it is sorted
    "newest": ("started_at", "DESC"),
    "oldest": ("started_at", "ASC"),
    "longest": ("duration_seconds", "DESC"),
    "shortest": ("duration_seconds", "ASC"),
}

_AFTER_ALL = "\U0010ffff"  # after every character that a text can have


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
        ("user_id = ?", filters.user_id or None),
    )
    for part, value in simple:
        if value is not None:
            asked.add(part, value)
    if filters.status:
        _add_labels(asked, "status", filters.status)
    if filters.failure_reason:
        _add_labels(asked, "failure_reason", (filters.failure_reason,))
    if filters.contact_digits:
        _add_contact(asked, filters.contact_digits)
    for condition in filters.results:
        _add_condition(asked, condition)
    return asked


def _add_labels(asked: Where, column: str, labels: tuple[str, ...]) -> None:
    """Any of these labels, in any spelling that there is: from one to the next, which an index makes quick."""
    asked.add(
        f"{column} IN (WITH RECURSIVE v(x) AS (SELECT min({column}) FROM conversations WHERE {column} IS NOT NULL"
        f" UNION ALL SELECT (SELECT min({column}) FROM conversations WHERE {column} > x) FROM v WHERE x IS NOT NULL)"
        f" SELECT x FROM v WHERE label(x) IN ({', '.join('?' * len(labels))}))",
        *(label(each) for each in labels),
    )


def _add_contact(asked: Where, spellings: tuple[str, ...]) -> None:
    wholes = [each.removeprefix(WHOLE)[::-1] for each in spellings if each.startswith(WHOLE)]
    endings = [each[::-1] for each in spellings if not each.startswith(WHOLE)]
    parts = ["contact_reversed >= ? AND contact_reversed < ?"] * len(endings)
    if wholes:
        parts.append(f"contact_reversed IN ({', '.join('?' * len(wholes))})")
    bounds = (bound for each in endings for bound in (each, each + _AFTER_ALL))
    asked.add(f"({' OR '.join(parts)})", *bounds, *wholes)


# Every kind there is, named so that the index is entered at the value and not at the path.
_OF_PATH = "path = ? AND kind IN ('text', 'number', 'boolean', 'numeral', 'date')"


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
    else:
        is_so, values = _compared(condition)
        one = f"row_id IN (SELECT row_id FROM result_values WHERE {is_so})"
        if condition.operator == "!=":
            asked.add("row_id IN (SELECT row_id FROM result_values WHERE path = ?)", condition.path)
            one = f"NOT {one}"
        asked.add(one, condition.path, *values)


def _compared(condition: Condition) -> tuple[str, list[Value]]:
    """What a value must be that is equal (also for `!=`), less or greater: each kind compares with its own alone."""
    kind, normal, number = read_value(condition.value)
    is_equality, operator = condition.operator in ("=", "!="), condition.operator
    if kind == "date":  # all of its day (month, minute) is equal to it
        of_dates = "path = ? AND kind = 'date'"
        if is_equality:
            return f"{of_dates} AND folded >= ? AND folded < ?", [normal, normal + _AFTER_ALL]
        side, bound = {
            "<": ("<", normal),
            "<=": ("<", normal + _AFTER_ALL),
            ">": (">=", normal + _AFTER_ALL),
            ">=": (">=", normal),
        }[operator]
        return f"{of_dates} AND folded {side} ?", [bound]
    if is_equality:
        if number is None or abs(number) >= EXACT:
            return f"{_OF_PATH} AND folded = ?", [normal]
        return f"{_OF_PATH} AND (folded = ? OR number = ?)", [normal, number]
    if number is None:
        return f"path = ? AND kind = 'text' AND folded {operator} ?", [normal]
    return f"{_OF_PATH} AND number {operator} ?", [number]
