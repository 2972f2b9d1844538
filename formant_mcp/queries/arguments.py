"""The arguments of tools: lenient in form (see `forms`), strict in meaning, with errors that say what is accepted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from formant_mcp.contacts import EXAMPLE_NUMBER
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NAMED, NONE, NOT_READ_YET, Condition, Filters, OutcomeFilter
from formant_mcp.models import named, quoted
from formant_mcp.queries.clock import parse_hours, parse_weekdays
from formant_mcp.queries.conditions import not_read_yet_error, parse_conditions, parse_contact_filter
from formant_mcp.queries.dates import parse_since, parse_until
from formant_mcp.queries.forms import (
    as_choice,
    as_cursor,
    as_id,
    as_ids,
    as_list,
    as_name,
    as_number,
    as_seconds,
    as_text,
    is_left_out,
    json_in,
)
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.redaction.kinds import LABEL

NO_BOUND = -1.0
_MAX_CHARACTERS = 100_000
_MAX_ITEMS = 1_000
_MAX_CONDITIONS = 100
_CHOICE_RATIO = 0.6  # of common letters; lower than elsewhere, as the words are few

_YES_NO = {word: value for words, value in (("yes y on 1", "true"), ("no n off 0", "false")) for word in words.split()}
_OUTCOMES = {
    **dict.fromkeys(("true", "yes", "1", "successful", "succeeded"), "success"),
    **dict.fromkeys(("false", "no", "0", "failed", "unsuccessful"), "failure"),
    **dict.fromkeys(("all", "both", NONE), "any"),
}
# Names that models use for an argument, apart from misspellings of its own.
_OTHER_NAMES = {
    "since": "from start start_date start_time date_from after begin",
    "until": "to end end_date end_time date_to before",
    "contact_number": "phone phone_number number",
    "limit": "count max_results page_size per_page",
    "order_by": "sort sort_by order",
    "cursor": "page page_token offset next_cursor",
    "query": "q text search keywords",
    "conversation_ids": "ids id call_ids",
    "conversation_id": "id call_id",
}


@dataclass(frozen=True, slots=True)
class Takes:
    """What an argument accepts, with an example, for error messages; braces are filled with the provider's words."""

    what: str
    example: str


Text = Annotated[str, BeforeValidator(as_text), Takes("one text", "busy")]
Name = Annotated[str, BeforeValidator(as_name), Takes("one text", "123")]
Reason = Annotated[Name, Takes("one text", "busy")]
Agent = Annotated[Name, Takes("the id or name of one agent (for several ask for each, or group_by=agent_id)", "123")]
Number = Annotated[Name, Takes("one number or its last digits", EXAMPLE_NUMBER)]
Date = Annotated[str, BeforeValidator(as_text), Takes("a date, a date-time, or how long ago (7d)", "2026-11-20")]
CursorText = Annotated[
    str, BeforeValidator(as_cursor), Takes("next_cursor from the previous answer", "c:20:5d0c41e2a97b3f86:9f1c2a")
]
Names = Annotated[list[Name], BeforeValidator(as_list(as_name)), Takes("a list of texts", "{statuses}")]
Hours = Annotated[Text, Takes("local hours of the start", "9-18")]
Direction = Annotated[Name, Takes("one direction", "inbound")]
Weekdays = Annotated[list[Name], BeforeValidator(as_list(as_name)), Takes("a list of weekdays", "Monday, Friday")]
Seconds = Annotated[float, BeforeValidator(as_seconds), Takes("a number of seconds, or -1 for no limit", "120")]
Whole = Annotated[int, BeforeValidator(as_number)]
YesNo = Annotated[bool, BeforeValidator(as_choice(_YES_NO))]
Outcomes = Annotated[OutcomeFilter, BeforeValidator(as_choice(_OUTCOMES))]
Fields = Annotated[
    list[Text],
    BeforeValidator(as_list(as_name, keys=("field", "path", "name", "key"))),
    Takes("a list of fields", "status, results.intent"),
]
ConversationIds = Annotated[
    list[Text],
    BeforeValidator(as_ids),
    Takes("1 to 20 conversation ids", "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1"),
]
ConversationId = Annotated[
    str, BeforeValidator(as_id), Takes("one conversation id", "e36853de-9cbb-441e-ad75-d3c8ac82abfb_1")
]
Conditions = Annotated[
    list[Condition],
    BeforeValidator(parse_conditions),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    Takes("conditions on result fields", "{results}"),
]


class Arguments(BaseModel):
    """What a tool accepts. Other arguments are refused, never ignored; null and empty values count as left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, sent: object) -> object:
        if not isinstance(sent, dict):
            return sent
        given = cls._flat(cast(dict[str, object], sent))
        for name, value in given.items():
            _check_length(name, value)
            _refuse_labels(name, value)
        return {name: value for name, value in given.items() if not cls._is_left_out(name, value)}

    @classmethod
    def _is_left_out(cls, name: str, value: object) -> bool:
        field = cls.model_fields.get(name)
        # A required text may be the word null.
        is_word = field is not None and field.is_required() and isinstance(value, str) and value.strip()
        return field is not None and is_left_out(value) and not is_word

    @classmethod
    def _flat(cls, sent: dict[str, object]) -> dict[str, object]:
        """The arguments with those inside a nested object moved to the top."""
        return sent


def _check_length(name: str, value: object) -> None:
    """Refuses values too long to be meant."""
    if not isinstance(value, str | list):
        return
    limit, what = (_MAX_CHARACTERS, "characters") if isinstance(value, str) else (_MAX_ITEMS, "items")
    if len(cast(str | list[object], value)) > limit:
        raise InvalidRequestError(
            f"{named(name)} is longer than the {limit:,} {what} that are read.", "Ask in several steps."
        )


def _refuse_labels(name: str, value: object) -> None:
    """Refuses labels of hidden identifiers: another answer numbers others with them."""
    for item in cast(list[object], value) if isinstance(value, list) else (value,):
        if isinstance(item, str) and (label := LABEL.search(item)):
            raise InvalidRequestError(
                f"{named(name)}: {label[0]} is a label in one answer for what is hidden; it has no meaning here.",
                "Select calls by conversation_id or other filters, or by the number itself if the user gives it;"
                " list_conversations with summary_mode=include shows every result field.",
            )


class FilterArguments(Arguments):
    """The filters, the same for every tool that takes them; braces are filled with the provider's words."""

    agent_id: Agent = Field(
        "", description="Only this agent's calls: its id, or its name where the provider has names."
    )
    status: Names = Field(
        [],
        description="Call statuses to include (any of), e.g. {statuses}. For all failures use call_successful=failure.",
    )
    call_successful: Outcomes = Field(
        "any", description="success: connected and ended normally; failure: ended otherwise; running calls are neither."
    )
    since: Date = Field(
        "",
        description="Calls that started at or after: 2026-11-20, 2026-11-20T18:00, 2026-W47, 2026-11, today, yesterday,"
        " last week, or an age such as 24h, 7d, 2w.",
    )
    until: Date = Field(
        "", description="Calls that started at or before; same formats; a day, week or month is included whole."
    )
    min_duration_seconds: Seconds = Field(
        NO_BOUND, ge=-1, allow_inf_nan=False, description="Minimum duration in seconds, inclusive; -1 for no limit."
    )
    max_duration_seconds: Seconds = Field(
        NO_BOUND, ge=-1, allow_inf_nan=False, description="Maximum duration in seconds, inclusive; -1 for no limit."
    )
    contact_number: Number = Field("", description="Phone number or its last digits, in any format.")
    failure_reason: Reason = Field("", description="Exact failure reason, case-insensitive.")
    user_id: Name = Field("", description="Exact user id.")
    hours: Hours = Field("", description="Local hours of the start: 9-18 (to before 18:00), 20-6, 9.")
    weekdays: Weekdays = Field([], description="Local weekdays of the start: Monday, Mon-Fri, weekend.")
    direction: Direction = Field("", description="inbound, outbound or web.")
    results: Conditions = Field(
        [],
        description="Conditions on result fields and signals; all must hold. Operators: = != < <= > >= exists missing."
        " E.g. {results}, signals.agent_repeats>=3.",
    )

    @classmethod
    def _flat(cls, sent: dict[str, object]) -> dict[str, object]:
        inside = sent.get("filters")
        inside = json_in(inside) if isinstance(inside, str) else inside
        if "filters" not in sent or not (isinstance(inside, dict) or is_left_out(inside)):
            return sent
        filters = cast(dict[str, object], inside or {})
        duplicate = next((name for name in filters if name in sent and not is_left_out(sent[name])), "")
        if duplicate:
            raise InvalidRequestError(f"{named(duplicate)} is given both inside and outside filters.", "Give it once.")
        return {name: value for name, value in sent.items() if name != "filters"} | filters

    def filters(self, now: datetime, zone: ZoneInfo) -> Filters:
        """The filters, parsed: dates in `zone`, conditions and numbers.

        Raises:
            InvalidRequestError: a value is invalid or a range is impossible.
        """
        low = _bound("min_duration_seconds", self.min_duration_seconds)
        high = _bound("max_duration_seconds", self.max_duration_seconds)
        since, until = parse_since(self.since, now, zone), parse_until(self.until, now, zone)
        if since and until and since > until:
            raise InvalidRequestError("since is later than until.", "Swap them, or leave one out.")
        if low is not None and high is not None and low > high:
            raise InvalidRequestError("min_duration_seconds is greater than max_duration_seconds.", "Swap them.")
        for name in (*NAMED, "contact_number"):
            if NOT_READ_YET in (value := getattr(self, name)) and value in (NOT_READ_YET, [NOT_READ_YET]):
                raise not_read_yet_error(name)
        hours, weekdays = parse_hours(self.hours), parse_weekdays(self.weekdays)
        if len(self.results) > _MAX_CONDITIONS:
            raise InvalidRequestError(f"results takes at most {_MAX_CONDITIONS} conditions.", "Use fewer conditions.")
        return Filters(
            agent_id=self.agent_id,
            status=tuple(self.status),
            call_successful=self.call_successful,
            since=since,
            until=until,
            min_duration_seconds=low,
            max_duration_seconds=high,
            contact_number=(NONE,) if self.contact_number == NONE else parse_contact_filter(self.contact_number),
            failure_reason=self.failure_reason,
            user_id=self.user_id,
            hours=hours,
            weekdays=weekdays,
            zone=zone.key if hours or weekdays else "",
            direction=self.direction,
            results=tuple(self.results),
        )


def argument_error(errors: list[ErrorDetails], arguments: type[Arguments]) -> InvalidRequestError:
    """The error for the first invalid argument; an unknown name comes before a missing one."""
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    name = str(first["loc"][0]) if first["loc"] else ""
    field = arguments.model_fields.get(name)
    if field is None:
        return _unknown_argument(name, list(arguments.model_fields))
    if first["type"] == "missing":
        return InvalidRequestError(f"{name} is missing: it must be {_accepted(field)}.")
    sent: object = first.get("input")
    meant = nearest(sent, _choices(field), _CHOICE_RATIO) if isinstance(sent, str) else ""
    return InvalidRequestError(f"{name} must be {_accepted(field)}.{did_you_mean(meant)}")


def _unknown_argument(name: str, names: list[str]) -> InvalidRequestError:
    word = name.lower()
    suggestion = next((other for other in names if word in _OTHER_NAMES.get(other, "").split()), "")
    hint = f"The arguments are {', '.join(names)}."
    if word in ("arguments", "args", "params", "parameters", "input", "filters"):
        hint = f"Give the arguments themselves, without an object around them: {', '.join(names)}."
    return InvalidRequestError(
        f"There is no argument {quoted(name)}.{did_you_mean(suggestion or nearest(name, names))}", hint
    )


def _accepted(field: FieldInfo) -> str:
    """`a whole number from 1 to 100, e.g. 20`"""
    takes = takes_of(field)
    return f"{takes.what}, e.g. {takes.example}"


def takes_of(field: FieldInfo) -> Takes:
    """What an argument accepts, as it says or by its type."""
    choices = _choices(field)
    bounds = [
        str(value)
        for bound in field.metadata
        for name in ("ge", "le")
        if (value := getattr(bound, name, None)) is not None
    ]
    takes = next((item for item in reversed(field.metadata) if isinstance(item, Takes)), None)
    if takes is None and field.annotation is bool:
        takes = Takes("true or false", "true")
    elif takes is None and choices:
        takes = Takes(f"{', '.join(choices[:-1])} or {choices[-1]}", choices[-1])
    elif takes is None:
        takes = Takes(f"a whole number from {' to '.join(bounds)}", str(max(1, field.default)))
    return takes


def _choices(field: FieldInfo) -> list[str]:
    """The words of an argument that takes one of several, or a list of them."""
    parts = [field.annotation, *get_args(field.annotation)]
    return [choice for part in parts for choice in get_args(part) if isinstance(choice, str)]


def _bound(argument: str, value: float) -> float | None:
    if NO_BOUND < value < 0:
        raise InvalidRequestError(
            f"{argument} must not be negative.",
            "Give seconds, e.g. 120, or -1 for no limit.",
        )
    return None if value == NO_BOUND else value
