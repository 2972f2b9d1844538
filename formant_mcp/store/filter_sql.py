"""Filters as SQL. Every value is a parameter; an unknown value (NULL) matches no condition except `missing`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor, log10

from formant_mcp.analysis.signals import NOT_SAID, SAID, SIGNALS
from formant_mcp.contacts import WHOLE
from formant_mcp.filters import CUT, LABELLED, NAMED, NO_TIME, NONE, Condition, Filters, Operator, is_whole
from formant_mcp.store.engine import Parameter, Value
from formant_mcp.values import EXACT, instants, label, plain_number, read_value

SORTED = {"DESC": "DESC NULLS LAST", "ASC": "ASC NULLS FIRST"}
"""A direction of ORDER BY, in which the indexes have their rows."""

NEWEST_FIRST = f"started_at {SORTED['DESC']}, conversation_id DESC"
"""What follows ORDER BY: between equal starts the ids decide, not the order in which the calls were stored."""

STARTED = "coalesce(started_at, -1000000000000000000)"
"""SQL: a call's start as a sort key; a call without a time comes last, the newest being first."""

HAS_SIGNALS = "(turn_count IS NOT NULL OR tool_errors IS NOT NULL OR recording_gap_seconds IS NOT NULL)"
"""SQL: whether anything is measured of a call. Every condition on a signal implies it, and an index has these calls."""

_RETRY_MISSING = timedelta(hours=1)
_AFTER_ALL = "\U0010ffff"  # sorts after every character of a text
_FLAGS = {"true": 1, "false": 0}
_DIGITS = 10  # significant digits of printed numbers


@dataclass(slots=True)
class Where:
    """A WHERE clause being built: its parts, and their parameters in the same order."""

    parts: list[str] = field(default_factory=list[str])
    values: list[Parameter] = field(default_factory=list[Parameter])

    def add(self, part: str, *values: Parameter) -> None:
        """Adds a part; all parts must hold."""
        self.parts.append(part)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        """The text after WHERE."""
        return " AND ".join(self.parts) or "true"


def milliseconds(moment: datetime) -> int:
    """A time as it is stored."""
    return round(moment.timestamp() * 1000)


def is_running(agent_id: str, now: datetime) -> Where:
    """The WHERE clause for calls of that agent, or of all for '', that are to be read again: they started (or were
    first seen) within a day and had not ended when last seen, a minute ago or more."""
    clause = Where(["ended = 0 AND seen_at <= ?"], [milliseconds(now - timedelta(minutes=1))])
    clause.add("(? = '' OR agent_id = ?)", agent_id, agent_id)
    clause.add("coalesce(started_at, first_seen_at) > ?", milliseconds(now - timedelta(days=1)))
    clause.add("(missing_at IS NULL OR missing_at <= ?)", milliseconds(now - _RETRY_MISSING))
    return clause


def where(filters: Filters) -> Where:
    """The WHERE clause for conversations that match."""
    clause = Where()
    simple: tuple[tuple[str, Value], ...] = (
        ("outcome = ?", None if filters.call_successful == "any" else filters.call_successful),
        ("started_at >= ?", filters.since and milliseconds(filters.since)),
        ("started_at <= ?", filters.until and milliseconds(filters.until)),
        ("duration_seconds >= ?", filters.min_duration_seconds),
        ("duration_seconds <= ?", filters.max_duration_seconds),
    )
    for part, value in simple:
        if value is not None:
            clause.add(part, value)
    for column in NAMED:
        if names := filters.named(column):
            _add_names(clause, column, names)
    if filters.contact_number == (NONE,):
        clause.add("coalesce(contact_number, '') = ''")
    elif filters.contact_number:
        _add_contact(clause, filters.contact_number)
    if filters.hours:
        _add_local(clause, "local_hour(?, started_at) % 24", filters.zone, filters.hours)
    if filters.weekdays:  # 1970 began on a Thursday
        _add_local(clause, "(local_day(?, started_at) + 3) % 7", filters.zone, filters.weekdays)
    for condition in filters.results:
        (_add_signal if condition.is_signal else _add_condition)(clause, condition)
    return clause


def _add_local(clause: Where, value: str, zone: str, wanted: tuple[int, ...]) -> None:
    has_value = f"started_at IS NOT NULL AND {value} IN ({', '.join('?' * len(wanted))})"
    clause.add(f"(started_at IS NULL OR {has_value})" if NO_TIME in wanted else f"({has_value})", zone, *wanted)


def _add_names(clause: Where, column: str, names: Sequence[str]) -> None:
    """Any of these values of a column: equal ones, those with the prefix of a truncated one, or none for NONE."""
    whole = [name for name in names if is_whole(name)]
    parts = [_any_of(column, len(whole))] if whole else []
    values: list[Value] = [label(name) if column in LABELLED else name for name in whole]
    for name in names:
        if name == NONE:  # daily counts have an empty text instead of NULL
            is_known = " AND (failure_reason_known = 1 OR detail_at IS NOT NULL)" if column == "failure_reason" else ""
            parts.append(f"(coalesce({column}, '') = ''{is_known})")
        elif not is_whole(name):
            begin = name.removesuffix(CUT).rstrip()
            parts.append(_begins(column))
            bounds = [name, begin, begin + _AFTER_ALL]
            values += map(_ascii_lower, bounds) if column in LABELLED else bounds
    clause.add(parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})", *values)


def _any_of(column: str, count: int) -> str:
    """One of `count` values; of labels, in any spelling that is stored."""
    placeholders = ", ".join("?" * count)
    if column not in LABELLED:
        return f"{column} IN ({placeholders})" if count > 1 else f"{column} = ?"
    return f"{column} IN (SELECT l.text FROM $labels_as l WHERE l.label IN ({placeholders}))"


def _begins(column: str) -> str:
    """A truncated value as printed, or any with its prefix; of labels, in any case of ASCII letters."""
    if column not in LABELLED:
        return f"({column} = ? OR {column} >= ? AND {column} < ?)"
    begins = "lower(l.text) = ? OR lower(l.text) >= ? AND lower(l.text) < ?"
    return f"{column} IN (SELECT l.text FROM $labels_as l WHERE {begins})"


def _ascii_lower(text: str) -> str:
    """In lower case, as both engines' `lower` sees it."""
    return text.encode().lower().decode()


def _add_contact(clause: Where, spellings: tuple[str, ...]) -> None:
    wholes = [spelling.removeprefix(WHOLE)[::-1] for spelling in spellings if spelling.startswith(WHOLE)]
    endings = [spelling[::-1] for spelling in spellings if not spelling.startswith(WHOLE)]
    parts = ["contact_reversed >= ? AND contact_reversed < ?"] * len(endings)
    if wholes:
        parts.append(f"contact_reversed IN ({', '.join('?' * len(wholes))})")
    bounds = (bound for ending in endings for bound in (ending, ending + _AFTER_ALL))
    clause.add(f"({' OR '.join(parts)})", *bounds, *wholes)


# All kinds are named, so that SQLite searches the index by value and not only by path.
_OF_PATH = "path = ? AND kind IN ('text', 'number', 'boolean', 'numeral', 'date')"


def _add_condition(clause: Where, condition: Condition) -> None:
    # A field holding an object has its values below it: `language` exists where `language.primary` does.
    field_is, names = (
        "(path = ? OR path >= ? AND path < ?)",
        (condition.path, f"{condition.path}.", f"{condition.path}/"),
    )
    some = f"row_id IN (SELECT row_id FROM $result_values_as r WHERE {field_is}"
    if condition.operator == "exists":
        clause.add(f"{some})", *names)
    elif condition.operator == "missing":
        clause.add(f"detail_at IS NOT NULL AND NOT {some})", *names)
    elif condition.value == NONE:  # its own value, regardless of fields below it
        own = "row_id IN (SELECT row_id FROM $result_values_as r WHERE path = ?)"
        clause.add(f"detail_at IS NOT NULL AND NOT {own}" if condition.operator == "=" else own, condition.path)
    else:
        is_so, values = _compared(condition)
        one = f"row_id IN (SELECT row_id FROM $result_values_as r WHERE {is_so})"
        if condition.operator == "=" and condition.value.lower() == "null":
            clause.add(f"({one} OR detail_at IS NOT NULL AND NOT {some}))", condition.path, *values, *names)
        elif condition.operator == "!=":
            clause.add("row_id IN (SELECT row_id FROM $result_values_as r WHERE path = ?)", condition.path)
            clause.add(f"NOT {one}", condition.path, *values)
        else:
            clause.add(one, condition.path, *values)


def _add_signal(clause: Where, condition: Condition) -> None:
    column, operator, value = condition.path, condition.operator, condition.value
    kind = SIGNALS[column].kind  # a KeyError for what is no column
    if kind == "turn" and value == NONE:
        column = f"coalesce(agent_turns, {column})"  # whether it was searched for
    some = f"row_id IN (SELECT row_id FROM $signals_as s WHERE {HAS_SIGNALS} AND {column}"
    is_missing = operator == "missing" or (value == NONE and operator == "=")
    if is_missing:
        clause.add(f"detail_at IS NOT NULL AND NOT {some} IS NOT NULL)")
    elif operator == "exists" or value in (NONE, SAID):
        clause.add(f"{some} IS NOT NULL)")
    elif value == NOT_SAID:
        clause.add(f"{some} IS NULL AND agent_turns IS NOT NULL)")
    else:
        parsed = value if kind == "text" else _FLAGS[value] if kind == "flag" else float(value)
        clause.add(f"{some} {operator} ?)", parsed)


def _compared(condition: Condition) -> tuple[str, list[Value]]:
    """The SQL for an equal (also for `!=`), smaller or greater value, and its parameters; only equal kinds compare."""
    operator = condition.operator
    if operator in ("=", "!="):
        return _equal(condition.value)
    kind, normal, number = read_value(plain_number(condition.value))
    if kind == "date":
        return _dates(operator, normal)
    if number is None:
        return f"path = ? AND kind = 'text' AND folded {operator} ?", [normal]
    return f"{_OF_PATH} AND number {operator} ?", [_printed_so(number)[operator in ("<=", ">")]]


def _dates(operator: Operator, normal: str) -> tuple[str, list[Value]]:
    """A date is equal to all of its day (month, minute); times with a zone compare as instants."""
    begin, end = 0, 1
    sides = {"<": [("<", begin)], "<=": [("<", end)], ">": [(">=", end)], ">=": [(">=", begin)]}
    bounds = sides.get(operator, [(">=", begin), ("<", end)])

    def is_within(column: str) -> str:
        return " AND ".join(f"{column} {side} ?" for side, _ in bounds)

    as_written: list[Value] = [(normal, normal + _AFTER_ALL)[which] for _, which in bounds]
    span = instants(normal)
    if span is None:
        return f"path = ? AND kind = 'date' AND {is_within('folded')}", as_written
    compares = f"CASE WHEN instant(folded) IS NULL THEN {is_within('folded')} ELSE {is_within('instant(folded)')} END"
    return f"path = ? AND kind = 'date' AND {compares}", [*as_written, *(span[which] for _, which in bounds)]


def _equal(value: str) -> tuple[str, list[Value]]:
    kind, normal, number = read_value(value)
    if kind == "date":
        return _dates("=", normal)
    if kind == "text":  # may be a number that is stored as a text
        number = read_value(plain_number(value)).number
    if not is_whole(value):
        begin = label(value.removesuffix(CUT).rstrip())
        return f"{_OF_PATH} AND (folded = ? OR folded >= ? AND folded < ?)", [normal, begin, begin + _AFTER_ALL]
    if number is None or abs(number) >= EXACT:
        return f"{_OF_PATH} AND folded = ?", [normal]
    return f"{_OF_PATH} AND (folded = ? OR number BETWEEN ? AND ?)", [normal, *_printed_so(number)]


def _printed_so(number: float) -> tuple[float, float]:
    """The range of numbers that answers print like this one, with ten significant digits."""
    if not number or abs(number) >= 10 ** (_DIGITS - 1):
        return number, number
    half = 10.0 ** (floor(log10(abs(number))) + 1 - _DIGITS) / 2
    return number - half, number + half
