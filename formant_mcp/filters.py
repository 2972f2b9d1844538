"""The filters of every tool, parsed and checked, ready for a query on the store."""

from collections.abc import Set
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "exists", "missing"]
Role = Literal["any", "agent", "contact"]
Spelling = Literal["any", "exact"]
OutcomeFilter = Literal["any", "success", "failure"]

NONE = "(none)"
"""The value of a field that a call does not have, as answers print it; as a filter it finds those calls."""
NOT_READ_YET = "(not read yet)"
"""Printed where the value is not loaded; nothing can be filtered by it."""
NO_TIME = -1
"""In hours and weekdays: calls without a start."""
SIGNALS = "signals."
"""What a signal's name begins with wherever names of result fields may be, too."""
CUT = "…"
"""The end of a truncated value as printed; as a filter it finds every value with that prefix."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a list: by `started_at`, `duration_seconds`, `results.<path>` or `signals.<name>`, the smallest value
    first; `descending`, the largest.

    Numbers come before texts, and calls without a value last, in either direction. Calls with equal values, or
    none, are listed the newest first; what decides between calls that began together is the id.
    """

    field: str
    descending: bool = False


NEWEST = Order("started_at", descending=True)
ORDERS = {
    "newest": NEWEST,
    "oldest": Order("started_at"),
    "longest": Order("duration_seconds", descending=True),
    "shortest": Order("duration_seconds"),
}
"""The orders that have names."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of conversations that can be filtered by: what its values are called, and its filters.

    `is_named`: its filter has its name, and accepts values as conversations have them and as answers print them, NONE
    and truncated ones too. `is_label`: its values compare as labels. `is_grouping`: summaries can group by it.
    """

    singular: str
    plural: str
    filters: tuple[str, ...]
    is_named: bool = False
    is_label: bool = False
    is_grouping: bool = False


FIELDS = {
    "started_at": Field("start time", "start times", ("since", "until", "hours", "weekdays")),
    "duration_seconds": Field("duration", "durations", ("min_duration_seconds", "max_duration_seconds")),
    "status": Field(
        "status", "statuses", ("status", "call_successful"), is_named=True, is_label=True, is_grouping=True
    ),
    "agent_id": Field("agent id", "agent ids", ("agent_id",), is_named=True, is_grouping=True),
    "contact_number": Field("contact number", "contact numbers", ("contact_number",), is_grouping=True),
    "failure_reason": Field(
        "failure reason", "failure reasons", ("failure_reason",), is_named=True, is_label=True, is_grouping=True
    ),
    "user_id": Field("user id", "user ids", ("user_id",), is_named=True),
    "direction": Field("direction", "directions", ("direction",), is_named=True, is_label=True, is_grouping=True),
}
"""A conversation's own fields, by name."""
NAMED = tuple(name for name, field in FIELDS.items() if field.is_named)
LABELLED = frozenset(name for name, field in FIELDS.items() if field.is_label)
GROUPINGS = tuple(name for name, field in FIELDS.items() if field.is_grouping)


def is_whole(value: str) -> bool:
    """Whether it is a value as a call has it: neither NONE nor truncated."""
    return value != NONE and (not value.endswith(CUT) or value == CUT)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a field of the results, `path` as in `language.primary`. `formant_mcp.values` parses its value.

    `is_signal`: on a signal instead, which `path` names; its value is a number, a flag (`true`) or a text.

    Every condition except `missing` requires that the field has a value, `!=` too. A list matches if one of its values
    does (`!=`: if none is equal). Values may be written as answers print them: NONE is a field without a value of its
    own, even if it is an object; `null` also matches a missing field; a value that ends in CUT is equal to every text
    with that prefix; a number is equal to all that are printed like it, in ten digits.
    """

    path: str
    operator: Operator
    value: str = ""
    is_signal: bool = False

    def __str__(self) -> str:
        name = f"{SIGNALS}{self.path}" if self.is_signal else self.path
        if self.operator in ("exists", "missing"):
            return f"{name} {self.operator}"
        return f"{name}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Filters:
    """A conversation matches if it meets all of these; an empty one is no condition.

    Texts may be NONE: the field has no value (`contact_number` then holds only that); those of NAMED may end in CUT:
    the value has that prefix.
    `since` and `until` are in UTC and inclusive. `hours` (0 to 23) and `weekdays` (0 is Monday) are those of the start
    in `zone`, any of them.
    `contact_number`: spellings of a number or its last digits (see `formant_mcp.contacts`), any of which may match.
    """

    agent_id: str = ""
    status: tuple[str, ...] = ()
    call_successful: OutcomeFilter = "any"
    since: datetime | None = None
    until: datetime | None = None
    min_duration_seconds: float | None = None
    max_duration_seconds: float | None = None
    contact_number: tuple[str, ...] = ()
    failure_reason: str = ""
    user_id: str = ""
    hours: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    zone: str = ""
    direction: str = ""
    results: tuple[Condition, ...] = ()

    @property
    def on_results(self) -> tuple[Condition, ...]:
        """The conditions on result fields."""
        return tuple(condition for condition in self.results if not condition.is_signal)

    @property
    def signals(self) -> frozenset[str]:
        """The signals that conditions are on."""
        return frozenset(condition.path for condition in self.results if condition.is_signal)

    @property
    def fields(self) -> frozenset[str]:
        """The conversation's own fields that these filters use."""
        return frozenset(name for name in FIELDS if self.without_fields({name}) != self)

    def without_fields(self, names: Set[str]) -> "Filters":
        """The filters without those on these fields."""
        return self.without(frozenset(filter_name for name in names for filter_name in FIELDS[name].filters))

    def only(self, names: frozenset[str]) -> "Filters":
        """Only the filters with these names."""
        return replace(Filters(), **{name: getattr(self, name) for name in names})

    def without(self, names: frozenset[str]) -> "Filters":
        """The filters without those with these names."""
        return replace(self, **{name: getattr(NO_FILTERS, name) for name in names})

    def as_stored(self) -> "Filters":
        """The filters without those of NAMED that have several values, or a NONE or truncated one."""
        printed = (name for name in NAMED if len(self.named(name)) > 1 or not all(map(is_whole, self.named(name))))
        return self.without(frozenset(printed))

    def named(self, name: str) -> tuple[str, ...]:
        """The values of one of NAMED, any of which may match."""
        value: str | tuple[str, ...] = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) if value else ()

    def given(self) -> dict[str, object]:
        """The filters that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "zone"}
        return {name: value for name, value in values.items() if value != getattr(NO_FILTERS, name)}


NO_FILTERS = Filters()


def some_filter_on(name: str) -> Filters:
    """A filter with this name, one of NAMED or `results`; its value does not matter."""
    values = {"status": ("-",), "results": (Condition("-", "exists"),)}
    return replace(NO_FILTERS, **{name: values.get(name, "-")})


@dataclass(frozen=True, slots=True)
class DetailRequest:
    """The conversations that need more than a list row: those that may match `filters`.

    `whole`: transcripts or results of all of them are needed; else only what is filtered by. `detail_only_fields`:
    fields that this provider's rows never have.
    """

    filters: Filters
    whole: bool = True
    detail_only_fields: frozenset[str] = frozenset()

    @property
    def candidates(self) -> Filters:
        """The filters that list rows can answer."""
        return self.filters.without(self.detail_only_fields | {"failure_reason", "results"})

    @property
    def is_any(self) -> bool:
        """Whether details are needed at all."""
        return self.whole or self.candidates != self.filters
