"""What filters mean, in plain Python after the docstrings of `formant_mcp.filters`, and strategies for random cases."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import measure
from formant_mcp.contacts import parse_contact
from formant_mcp.filters import NO_TIME, NONE, Condition, Filters, Operator, Order, is_whole
from formant_mcp.models import Conversation, Outcome, Turn
from formant_mcp.values import instants, label, plain_number, read_value

NOW = datetime(2026, 11, 21, 5, 12, tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LISTED = PhraseLists.load()
COMPARED = {"<": lt, "<=": le, ">": gt, ">=": ge}


def matches(conversation: Conversation, filters: Filters) -> bool:
    """Whether the conversation matches every filter; a missing field matches only `(none)`."""
    c, f = conversation, filters
    contact = parse_contact(c.contact_number)
    return (
        (not f.agent_id or named(c.agent_id, f.agent_id))
        and (not f.status or any(labelled(c.status, status) for status in f.status))
        and (f.call_successful == "any" or c.outcome == f.call_successful)
        and (f.since is None or (c.started_at is not None and c.started_at >= f.since))
        and (f.until is None or (c.started_at is not None and c.started_at <= f.until))
        and within(c.duration_seconds, f.min_duration_seconds, f.max_duration_seconds)
        and (
            f.contact_number in ((), (NONE,))
            or any(contact and spelled(contact.normal, number) for number in f.contact_number)
        )
        and (f.contact_number != (NONE,) or not c.contact_number)
        and (not f.failure_reason or labelled(c.failure_reason, f.failure_reason))
        and (f.failure_reason != NONE or c.failure_reason_known or c.has_detail)
        and (not f.user_id or named(c.user_id, f.user_id))
        and (not f.direction or labelled(c.direction, f.direction))
        and (not f.hours or local(c.started_at, f.zone, lambda moment: moment.hour) in f.hours)
        and (not f.weekdays or local(c.started_at, f.zone, lambda moment: moment.weekday()) in f.weekdays)
        and all(holds(c, condition) for condition in f.results)
    )


def local(moment: datetime | None, zone: str, part: Callable[[datetime], int]) -> int:
    """The hour or weekday of a start on that zone's clocks."""
    return NO_TIME if moment is None else part(moment.astimezone(ZoneInfo(zone)))


def named(value: str | None, wanted: str, folded: Callable[[str], str] = str) -> bool:
    """Whether a field has the value, begins with it where it ends with `…`, or is missing where it is `(none)`."""
    if wanted == NONE:
        return value is None
    return value is not None and same(folded(value), folded(wanted))


def labelled(value: str | None, wanted: str) -> bool:
    """The same for a status or a reason, which compare as labels."""
    if value is None or not is_whole(wanted):
        return named(value, wanted, ascii_lower)
    return label(value) == label(wanted)


def same(value: str, wanted: str) -> bool:
    return value == wanted or (wanted.endswith("…") and wanted != "…" and value.startswith(wanted[:-1]))


def ascii_lower(text: str) -> str:
    """A text without case as SQLite's NOCASE has it."""
    return "".join(character.lower() if character.isascii() else character for character in text)


def within(seconds: float | None, low: float | None, high: float | None) -> bool:
    if seconds is None:
        return low is None and high is None
    return (low is None or seconds >= low) and (high is None or seconds <= high)


def holds(conversation: Conversation, condition: Condition) -> bool:
    """Whether one condition holds; before the detail is read none does, not even that a field is missing."""
    if not conversation.has_detail:
        return False
    values = list(leaves("", conversation.results or {}))
    here = [value for path, value in values if path == condition.path]
    if condition.operator in ("exists", "missing"):
        is_there = bool(here) or any(path.startswith(f"{condition.path}.") for path, _ in values)
        return is_there == (condition.operator == "exists")
    is_below = any(path.startswith(f"{condition.path}.") for path, _ in values)
    if condition.value == NONE:
        return bool(here) == (condition.operator == "!=")
    if condition.operator == "=" and condition.value.lower() == "null" and not here and not is_below:
        return True
    if condition.operator == "=":
        return any(equal(value, condition.value) for value in here)
    if condition.operator == "!=":
        return bool(here) and not any(equal(value, condition.value) for value in here)
    return any(compared(value, condition.operator, condition.value) for value in here)


def leaves(path: str, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Every value with its dotted path; the values of a list share one; null is no value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(path, inner)
    elif value is not None and str(value).strip():
        yield path, value


def equal(value: JsonValue, wanted: str) -> bool:
    """Equal in normal form, as numbers (less than 16 digits, ten of which count), or within a day or minute."""
    mine, other = read_value(text_of(value)), read_value(wanted)
    if other.kind == "date":
        mine_at, other_at = instants(mine.normal), instants(other.normal)
        if mine_at and other_at:
            return other_at[0] <= mine_at[0] < other_at[1]
        return kind_of(value) == "date" and mine.normal.startswith(other.normal)
    if not is_whole(wanted):
        return mine.normal == other.normal or mine.normal.startswith(label(wanted[:-1].rstrip()))
    number, other_number = number_of(value), read_value(plain_number(wanted)).number
    as_numbers = number is not None and other_number is not None and abs(other_number) < 10**15
    return mine.normal == other.normal or (
        as_numbers and number is not None and other_number is not None and printed(number) == printed(other_number)
    )


def compared(value: JsonValue, operator: Operator, wanted: str) -> bool:
    """A number by size, a date by the calendar, else by the alphabet; what is of another kind does not match."""
    mine, other = read_value(text_of(value)), read_value(plain_number(wanted))
    if other.number is not None:
        number = number_of(value)
        return number is not None and bool(COMPARED[operator](printed(number), printed(other.number)))
    if kind_of(value) != other.kind:
        return False
    if other.kind == "date" and equal(value, wanted):
        return operator in ("<=", ">=")
    mine_at, other_at = instants(mine.normal), instants(other.normal)
    if mine_at and other_at:
        return bool(COMPARED[operator](mine_at[0], other_at[0]))
    return bool(COMPARED[operator](mine.normal, other.normal))


def kind_of(value: JsonValue) -> str:
    """`number`, `date`, `text` or `boolean`; a number too large to calculate with is only a text."""
    if isinstance(value, bool):
        return "boolean"
    kind = read_value(value).kind if isinstance(value, str) else "text"
    return "number" if number_of(value) is not None else "text" if kind == "number" else kind


def number_of(value: JsonValue) -> float | None:
    """The number that a value is or spells; a text of 16 digits or more is an id."""
    if isinstance(value, str):
        number = read_value(value).number
        return number if number is not None and abs(number) < 10**15 else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < 1e300 else None


def printed(number: float) -> float:
    """As answers print it, in ten digits; large ones whole, for they are ids."""
    return float(f"{number:.10g}") if abs(number) < 1e9 else number


def text_of(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def spelled(normal: str, wanted: str) -> bool:
    """Whether a contact is this one: its end, or with `=` all of it."""
    return normal == wanted[1:] if wanted.startswith("=") else normal.endswith(wanted)


def in_order(stored: Sequence[Conversation], order: Order) -> list[Conversation]:
    """These calls in that order: numbers, then texts, then those without a value; equal ones the newest first."""
    is_oldest = order == Order("started_at")
    calls = sorted(stored, key=lambda call: (call.started_at or NEVER, call.conversation_id), reverse=not is_oldest)
    values = {call.conversation_id: sort_value(call, order.field) for call in calls}
    numbers = [call for call in calls if isinstance(values[call.conversation_id], float)]
    texts = [call for call in calls if isinstance(values[call.conversation_id], str)]
    listed = [*sorted_by(values, numbers, order), *sorted_by(values, texts, order)]
    return listed + [call for call in calls if values[call.conversation_id] is None]


def sorted_by(values: Mapping[str, Any], calls: list[Conversation], order: Order) -> list[Conversation]:
    """Stable in either direction, as Python's sort is."""
    return sorted(calls, key=lambda call: values[call.conversation_id], reverse=order.descending)


def sort_value(call: Conversation, field: str) -> float | str | None:
    """What a call is sorted by: of a list the first value, a number if it is or spells one, else its normal form."""
    if field == "started_at":
        return call.started_at and call.started_at.timestamp()
    if field == "duration_seconds":
        return call.duration_seconds
    if field.startswith("signals."):
        value = measure(call, LISTED).get(field.removeprefix("signals.")) if call.has_detail else None
        return value if value is None or isinstance(value, str) else float(value)
    here = [value for path, value in leaves("", call.results or {}) if f"results.{path}" == field]
    if not here:
        return None
    number = number_of(here[0])
    return read_value(text_of(here[0])).normal if number is None else number


T = TypeVar("T")


def maybe(values: Sequence[T]) -> st.SearchStrategy[T | None]:
    """One of these values, or now and then none."""
    return st.sampled_from([*values, None])


CALL_IDS = st.integers(0, 10**6).map(lambda n: f"call-{n}_1")
AGENTS = ["7", "77", "agent_b", "Agent_b", "agent-b"]
STATUSES = ["completed", "Completed", "BUSY", "busy", "no_answer", "No-Answer", "ärger", "ÄRGER"]
REASONS = ["busy", "Busy", "line dropped", "line-dropped", "व्यस्त", "ÜBER", "über"]
USERS = ["u1", "U1"]
DIRECTIONS = ["inbound", "outbound", "web"]
NUMBERS = ["+91 98765-43210", "919876543210", "09876543210", "(415) 555-0100", "०१२३४", "anonymous", "user_3210", ""]
ENDINGS = ["43210", "9876543210", "919876543210", "=9876543210", "=3210", "0100", "100", "1234", "0", "=anonymous"]
OUTCOMES: tuple[Outcome, ...] = ("success", "failure")
MOMENTS = [NOW + n * MILLISECOND for n in range(-3, 4)] + [NOW + timedelta(days=n) for n in range(-30, 31, 4)]
SECONDS = [0.0, 0.5, 1.0, 59.999, 60.0, 61.0, 3600.0]
LABELS = ["dispute", "Dispute", "DISPUTES", "भुगतान हुआ", "straße", "STRASSE", "ärger", "ÄRGER", "hi", "true", "", "nan"]
SPELLINGS = [
    "payment confirmed",
    "Payment_Confirmed",
    "payment-confirmed",
    "₹ 2.5 lakh",
    "2026-11-20 10:00",
    "20/11/2026",
]
FIGURES = (
    "15000 15000.0 15,000 1,50,000 ₹15,000 -2.5 1e3 7 007 +5 1_000 ٣ 98765432109876543 98765432109876544 -2 3 5 0.10"
    " 0.3333333333 -0.6666666667"
)
DATES = "2026-11 2026-11-20 2026-11-20T10:00:00Z 2026-11-20T10:00:00+05:30 2026-11-21"
WORDS = st.sampled_from([*LABELS, *SPELLINGS, *FIGURES.split(), *DATES.split()])
KEYS = ["intent", "language", "primary", "csat", "a", "b", "a.b", "tags", "भाषा"]
PATHS = st.sampled_from([*KEYS, "language.primary", "tags.intent", "a.b.a", "language.", "never"])
LEAVES: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 7),
    WORDS,
    st.sampled_from([1000, 15000, 1e22, 1e-7, -2.5, 0.1, 1 / 3, -2 / 3, 1e300, 98765432109876543]),
)
RESULTS: st.SearchStrategy[dict[str, JsonValue]] = st.dictionaries(
    st.sampled_from(KEYS),
    LEAVES
    | st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)
OPERATORS: st.SearchStrategy[Operator] = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "exists", "missing"])
ORDERED_BY = [
    "started_at",
    "duration_seconds",
    "results.csat",
    "results.intent",
    "results.a",
    "results.language.primary",
    "signals.agent_turns",
    "signals.agent_word_share",
    "signals.ended_by",
    "signals.early_end",
    "signals.opt_out",
]
orders = st.builds(Order, st.sampled_from(ORDERED_BY), st.booleans())
TURNS = st.lists(st.tuples(st.sampled_from(["agent", "contact", "system"]), WORDS, maybe(SECONDS)), max_size=6).map(
    lambda said: tuple(Turn(index, *turn) for index, turn in enumerate(said))
)


@st.composite
def conversations(draw: st.DrawFn, conversation_id: st.SearchStrategy[str] = CALL_IDS) -> Conversation:
    """Any conversation; every field but the id may be unknown, and results and turns are there only with a detail."""
    row = Conversation(
        conversation_id=draw(conversation_id),
        agent_id=draw(maybe(AGENTS)),
        agent_name=draw(maybe(["Reminder"])),
        contact_number=draw(maybe(NUMBERS)),
        user_id=draw(maybe(USERS)),
        direction=draw(maybe(DIRECTIONS)),
        status=draw(maybe(STATUSES)),
        outcome=draw(maybe(OUTCOMES)),
        ended=draw(st.booleans()),
        failure_reason=draw(maybe(REASONS)),
        failure_reason_known=draw(st.booleans()),
        started_at=draw(maybe(MOMENTS)),
        ended_at=draw(maybe(MOMENTS)),
        duration_seconds=draw(maybe(SECONDS)),
        trace_id=draw(maybe(["trace"])),
    )
    if draw(st.sampled_from(["list row", "detail", "detail"])) == "list row":
        return row
    return row._replace(has_detail=True, results=draw(RESULTS | RESULTS | st.none()), turns=draw(TURNS | st.none()))


@st.composite
def conditions(draw: st.DrawFn, like: Mapping[str, JsonValue]) -> Condition:
    """Any condition, often on a field that is among these results, or near its value."""
    path, value = draw(st.sampled_from(list(leaves("", dict(like))) or [("intent", "hi")]))
    operator = draw(OPERATORS)
    near = st.sampled_from([text_of(value), text_of(value).swapcase(), f"{text_of(value)[:3]}…", "null"])
    wanted = "" if operator in ("exists", "missing") else draw(near | WORDS)
    wanted = draw(st.sampled_from([wanted, wanted, NONE])) if operator in ("=", "!=") else wanted
    return Condition(draw(st.sampled_from([path, path, path.partition(".")[0]]) | PATHS), operator, wanted)


@st.composite
def filters(draw: st.DrawFn, like: list[Conversation]) -> Filters:
    """Up to three filters, often with a value that one of these conversations has, or that value in another case."""
    one = draw(st.sampled_from(like)) if like else Conversation("")
    names = draw(st.lists(st.sampled_from(list(_FILTERS)), max_size=3, unique=True))
    result = Filters()
    for name in names:
        field, others = _FILTERS[name]
        its = getattr(one, field)
        if name in ("hours", "weekdays"):
            value = draw(st.sampled_from(others))
            result = replace(result, zone=draw(st.sampled_from(["Asia/Kolkata", "America/St_Johns", "UTC"])))
        elif name == "results":
            value = tuple(draw(st.lists(conditions(its or {}), min_size=1, max_size=2)))
        elif name == "contact_number":
            value = draw(st.just((NONE,)) | st.lists(st.sampled_from(others), min_size=1, max_size=2).map(tuple))
        else:
            near = [its, its, its.swapcase() if isinstance(its, str) and name != "call_successful" else its]
            value = draw(st.sampled_from([*(near if its is not None else []), *others]))
            if name in ("agent_id", "status", "failure_reason", "user_id", "direction"):
                value = draw(st.sampled_from([value, value, value, NONE, f"{str(value)[:2]}…"]))
        result = replace(result, **{name: (value,) if name == "status" else value})
    return result


# Each filter with the field of a conversation that it may be taken from, and other values for it.
_FILTERS: dict[str, tuple[str, Sequence[object]]] = {
    "agent_id": ("agent_id", AGENTS),
    "status": ("status", STATUSES),
    "call_successful": ("outcome", OUTCOMES),
    "since": ("started_at", MOMENTS),
    "until": ("started_at", MOMENTS),
    "min_duration_seconds": ("duration_seconds", SECONDS),
    "max_duration_seconds": ("duration_seconds", SECONDS),
    "contact_number": ("contact_number", ENDINGS),
    "failure_reason": ("failure_reason", REASONS),
    "user_id": ("user_id", USERS),
    "direction": ("direction", DIRECTIONS),
    "hours": ("started_at", [(18,), (0, 5, 23), (NO_TIME, 9)]),
    "weekdays": ("started_at", [(0,), (4, 5, 6), (NO_TIME,)]),
    "results": ("results", []),
}
