"""What a question is about: the same filters for every tool, read and checked, ready to be asked of the store."""

from collections.abc import Set
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "exists", "missing"]
Role = Literal["any", "agent", "contact"]
OutcomeFilter = Literal["any", "success", "failure"]
Order = Literal["newest", "oldest", "longest", "shortest"]

NONE = "(none)"
"""The value of a field that a call does not have, as answers print it; as a filter it finds those calls."""
NOT_READ_YET = "(not read yet)"
"""Printed where the value is not loaded; nothing can be filtered by it."""
NO_TIME = -1
"""Among hours and weekdays: of calls without a start."""
CUT = "…"
"""The end of a printed value that was shortened; as a filter it finds every value that begins so."""


FIELDS = {
    "started_at": ("since", "until", "hours", "weekdays"),
    "duration_seconds": ("min_duration_seconds", "max_duration_seconds"),
    "status": ("status", "call_successful"),
    "agent_id": ("agent_id",),
    "contact_number": ("contact_number",),
    "failure_reason": ("failure_reason",),
    "user_id": ("user_id",),
    "direction": ("direction",),
}
"""A conversation's own fields, each with the filters that ask for it."""
NAMED = ("status", "agent_id", "failure_reason", "user_id", "direction")
"""Filters that take values as conversations have them, and as answers print them: NONE and cut ones too."""
LABELLED = frozenset({"status", "failure_reason", "direction"})
"""Those of NAMED that compare as labels."""


def is_whole(value: str) -> bool:
    """Whether it is a value as a call has it: neither NONE nor cut."""
    return value != NONE and (not value.endswith(CUT) or value == CUT)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a field of the results, `path` as in `language.primary`. `formant_mcp.values` reads its value.

    A condition but `missing` holds only where the field has a value: `!=` too. A list holds where one of its values
    does (`!=`: where none is equal). Some values are what answers print: NONE is a field without a value of its own,
    whatever is below it in an object; `null` is also a field that is missing; one that ends in CUT is equal to every
    text that begins so; a number is equal to all that are printed like it, in ten digits.
    """

    path: str
    operator: Operator
    value: str = ""

    def __str__(self) -> str:
        if self.operator in ("exists", "missing"):
            return f"{self.path} {self.operator}"
        return f"{self.path}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Filters:
    """All of these hold for a conversation that matches; an empty one asks nothing.

    Texts may be NONE: the field has no value (`contact_number` then holds it alone); status, failure_reason and user_id
    may end in CUT: the value begins so.
    `since` and `until` are instants in UTC, both included. `hours` (0 to 23) and `weekdays` (0 is Monday) are those of
    the start on the clocks of `zone`, any of them. `status`, `failure_reason` and `direction` compare as labels.
    `contact_number`: spellings of a number or its last digits (see `formant_mcp.contacts`), any of which may be it.
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
    def fields(self) -> frozenset[str]:
        """The conversation's own fields that these ask for."""
        return frozenset(name for name in FIELDS if self.without_fields({name}) != self)

    def without_fields(self, names: Set[str]) -> "Filters":
        """What is left when nothing is asked for these of its own fields."""
        return self.without(frozenset(each for name in names for each in FIELDS[name]))

    def only(self, names: frozenset[str]) -> "Filters":
        """The filters of these names; the others ask nothing."""
        return replace(Filters(), **{name: getattr(self, name) for name in names})

    def without(self, names: frozenset[str]) -> "Filters":
        """The filters but for those of these names."""
        return replace(self, **{name: getattr(NO_FILTERS, name) for name in names})

    def as_stored(self) -> "Filters":
        """The filters whose values are those of conversations, not what answers print of none or of long ones."""
        printed = {"agent_id": self.agent_id, "user_id": self.user_id, "status": "".join(self.status[:1])}
        is_odd = {name for name, value in printed.items() if not is_whole(value)}
        return self.without(frozenset(is_odd | ({"status"} if len(self.status) > 1 else set())))

    def named(self, name: str) -> tuple[str, ...]:
        """The values that one of NAMED asks for, any of them."""
        value: str | tuple[str, ...] = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) if value else ()

    def given(self) -> dict[str, object]:
        """Those that ask something, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "zone"}
        return {name: value for name, value in values.items() if value != getattr(NO_FILTERS, name)}


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class DetailRequest:
    """For which conversations a question needs more than a list row: for those that may match `filters`.

    `whole`: it needs transcript or results of each of them; else only what it filters by. `detail_only_fields`: fields
    that this provider's rows never have.
    """

    filters: Filters
    whole: bool = True
    detail_only_fields: frozenset[str] = frozenset()

    @property
    def candidates(self) -> Filters:
        """The part of the filters that a list row answers."""
        return self.filters.without(self.detail_only_fields | {"failure_reason", "results"})

    @property
    def is_any(self) -> bool:
        """Whether details are needed at all."""
        return self.whole or self.candidates != self.filters
