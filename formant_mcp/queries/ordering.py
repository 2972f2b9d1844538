"""Parses order_by and fields of lists, and reads the values that they name."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from formant_mcp.analysis.signals import SIGNALS as MEASURED
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import FIELDS, NONE, ORDERS, SIGNALS, Filters, Order
from formant_mcp.models import quoted
from formant_mcp.queries.coverage import Coverage, not_measured_notes, signal_notes
from formant_mcp.queries.groupings import Argument, parse_name
from formant_mcp.queries.loader import Loader
from formant_mcp.queries.signals import check_measurable
from formant_mcp.store import Store
from formant_mcp.store.aggregates import RESULTS

_MAX_FIELDS, _LONGEST = 30, 500
_FORM = re.compile(r"([-+]?)\s*(.+?)(?:[\s:]+(asc|desc)(?:ending)?)?", re.IGNORECASE)
_ORDERED = ("started_at", "duration_seconds")
# What answers and people call a conversation's fields.
_COLUMN_WORDS = {
    "started": "started_at",
    "start": "started_at",
    "duration": "duration_seconds",
    "seconds": "duration_seconds",
    "agent": "agent_id",
    "contact": "contact_number",
}
_ORDER_WORDS = {
    **{name: name for name in (*ORDERS, *_ORDERED)},
    **{word: name for word, name in _COLUMN_WORDS.items() if name in _ORDERED},
}
_NO_COLUMNS = {"ended_at", "trace_id", "results", "signals", "words", "gist", "call_successful"}
_NOT_ORDERED = {*FIELDS, *_COLUMN_WORDS, *_NO_COLUMNS, "conversation_id", "agent_name"}


def parse_order(text: str) -> Order:
    """The order of order_by: one with a name, or a field with its direction as in `-csat`, `csat desc`.

    Raises:
        InvalidRequestError: it is none; names the nearest.
    """
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    sign, word, direction = match.groups("") if match else ("", text, "")
    is_descending = sign == "-" or direction.lower() == "desc"
    name = parse_name("order_by", word, _ORDER_WORDS, _NOT_ORDERED)
    is_one_name = "," not in word and word != NONE
    if not is_one_name or (name in ORDERS and (sign or direction)) or (sign == "-" and direction.lower() == "asc"):
        raise InvalidRequestError(
            f"order_by does not take {quoted(text)}.",
            f"It takes {', '.join(ORDERS)} or one field, - before it for largest first: -signals.agent_repeats.",
        )
    return ORDERS.get(name, Order(name, descending=is_descending))


def parse_fields(words: Sequence[str], columns: Collection[str]) -> tuple[str, ...]:
    """The fields to show: of `columns`, `results.<path>` or `signals.<name>`; any other word is a field of the results.

    Raises:
        InvalidRequestError: a word is a misspelled field, or there are too many.
    """
    names = {name: name for name in columns} | _COLUMN_WORDS
    fields = tuple(dict.fromkeys(parse_name("fields", word, names, _NO_COLUMNS) for word in words))
    if len(fields) > _MAX_FIELDS:
        raise InvalidRequestError(f"fields takes at most {_MAX_FIELDS} names.", "Leave some out.")
    return fields


def order_argument(order: Order) -> Argument:
    """The name in order_by, to be checked."""
    return Argument("order_by", (order.field,), (*ORDERS, *_ORDERED))


def fields_argument(fields: Sequence[str]) -> Argument:
    """The names in fields, to be checked."""
    return Argument("fields", fields, ("conversation_id", "agent_name", *FIELDS))


def is_extracted(name: str) -> bool:
    """Whether it names a result field or a signal, which need a call's details."""
    return name.startswith((RESULTS, SIGNALS))


def paths_of(names: Collection[str]) -> frozenset[str]:
    """The paths of the result fields among these names."""
    return frozenset(name.removeprefix(RESULTS) for name in names if name.startswith(RESULTS))


def signals_of(names: Collection[str]) -> frozenset[str]:
    """The signals among these names."""
    return frozenset(name.removeprefix(SIGNALS) for name in names if name.startswith(SIGNALS))


def check_supported(fields: Collection[str], loader: Loader) -> None:
    """Checks that this provider's calls can have these fields.

    Raises:
        InvalidRequestError: they have no such field, or a signal cannot be measured.
    """
    if missing := sorted(loader.sync.unsupported_filters.intersection(fields)):
        raise InvalidRequestError(f"fields: this provider's calls have no {missing[0]}.", "Leave it out.")
    check_measurable(signals_of(fields), loader.sync.unmeasured)


def values_of(
    extracted: Mapping[str, JsonValue], measured: Mapping[str, JsonValue], names: Sequence[str]
) -> dict[str, JsonValue]:
    """A call's values of these result fields and signals, by name; of all that were `extracted` and `measured`."""
    values = {f"{RESULTS}{path}": value for path, value in extracted.items()}
    values |= {f"{SIGNALS}{name}": value for name, value in measured.items()}
    return {name: values[name] for name in names if name in values}


async def with_measured(
    coverage: Coverage,
    store: Store,
    filters: Filters,
    signals: Collection[str],
    calls: Sequence[Mapping[str, JsonValue]],
) -> Coverage:
    """The coverage, with notes on what of these signals of the calls shown is not measured."""
    counts = {
        name: sum(
            name in measured or (MEASURED[name].kind == "turn" and "agent_turns" in measured) for measured in calls
        )
        for name in sorted(signals)
    }
    due = await store.signals.count_due(filters) if signals else 0
    notes = [*not_measured_notes(due, coverage.matched), *signal_notes(counts, len(calls))]
    return replace(coverage, complete=coverage.complete and not due, note=" ".join([coverage.note, *notes]).strip())
