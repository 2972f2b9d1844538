"""What changed between two periods equals what plain Python computes from the same conversations."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from pydantic import JsonValue

from formant_mcp.analysis.changes import Changes
from formant_mcp.analysis.changes import find_changes as beyond_chance
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.changes import ChangeReport, ChangesQuery, find_changes
from formant_mcp.queries.dates import parse_two_periods
from formant_mcp.queries.loader import RequestContext
from tests.analysis.random_calls import random_call
from tests.examples import some
from tests.queries.changes_oracle import fields_of
from tests.queries.static_provider import loader_of
from tests.store.oracle import MILLISECOND, NOW, matches

WEEK, DAY = timedelta(days=7), timedelta(days=1)
AFTER = Filters(since=NOW - WEEK, until=NOW)
BEFORE = (NOW - 2 * WEEK - MILLISECOND, NOW - WEEK - MILLISECOND)
SAID = ("Hello there you", "wrong number", "Are you a robot?", "please pay today then", "yes", "no")


def call(random: Random, number: int, started_at: datetime) -> Conversation:
    """A call by chance, whose fields have nothing to do with its start."""
    drawn = random_call(random)
    values = drawn.values
    turns = tuple(Turn(n, "contact" if n % 2 else "agent", random.choice(SAID)) for n in range(random.randint(0, 6)))
    reason = values["failure_reason"]
    results = {name.removeprefix("results."): value for name, value in values.items() if name.startswith("results.")}
    more: dict[str, JsonValue] = {
        "csat": random.randint(1, 5),
        "retries": random.choice((0, 0, 0, 2)),
        "tags": [*random.sample(("late fee", "legal", "angry", "angry"), random.randint(0, 3))],
        "note": f"{number} is the only one with this sentence",
        "long": "word " * 40,
        "due": f"2026-12-{random.randint(1, 28):02}",
        "mixed": random.choice(("₹15,000", 3, True, "none")),
    }
    has_results = "results.intent" in values
    return Conversation(
        f"call-{number:05}",
        agent_id=values["agent_id"].removeprefix("agent "),
        status=values["status"],
        failure_reason=None if reason == "(none)" else reason,
        failure_reason_known=True,
        direction=values["direction"],
        started_at=started_at,
        duration_seconds=drawn.numbers.get("duration_seconds"),
        results={**results, **{name: more[name] for name in random.sample(list(more), 5)}} if has_results else None,
        turns=turns if has_results else None,
        has_detail=True,
    )


def two_weeks(seed: int, count: int = 600) -> list[Conversation]:
    """Calls of the two weeks before NOW, and a few from before."""
    random = Random(seed)
    return [call(random, number, NOW - random.random() * 15 * DAY) for number in range(count)]


def compared(calls: list[Conversation], query: ChangesQuery, zone: str = "Asia/Kolkata") -> ChangeReport:
    async def ask() -> ChangeReport:
        loader = await loader_of(calls)
        try:
            return await find_changes(loader, RequestContext(NOW, 60), query, ZoneInfo(zone))
        finally:
            await loader.sync.aclose()
            await loader.store.close()

    return asyncio.run(ask())


def all_of(changes: Changes) -> dict[tuple[str, str | None], object]:
    """Each changed value with its figures, those with the same counts too."""
    return {
        name: (change.before, change.after, change.difference, change.interval, change.p_adjusted, change.chance_higher)
        for change in changes.changes
        for name in ((change.field, change.value), *change.same)
    }


def dispute_from(day: datetime) -> Callable[[Random, Conversation], Conversation]:
    def plant(random: Random, call: Conversation) -> Conversation:
        is_one = call.results and call.started_at and call.started_at >= day and random.random() < 0.5
        return call._replace(results={**call.results, "intent": "dispute"}) if is_one and call.results else call

    return plant


def worse_after(random: Random, call: Conversation) -> Conversation:
    """Much of it differs in the later week."""
    if not call.started_at or call.started_at < NOW - WEEK or random.random() < 0.6:
        return call
    turns = (
        Turn(0, "agent", "Good day to you"),
        Turn(1, "contact", "wrong number"),
        Turn(2, "agent", "Good day to you"),
    )
    results = {**(call.results or {}), "csat": 1, "retries": 4, "tags": ["angry"], "intent": "dispute"}
    return call._replace(agent_id="77", direction="web", failure_reason="busy", status="failed", duration_seconds=900.0,
        turns=turns, results=results,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "zone", "filters"),
    some(
        [
            (1, "UTC", Filters()),
            (2, "Australia/Lord_Howe", Filters(hours=(3, 4, 5, 6, 7, 8, 9), zone="Australia/Lord_Howe")),
            (3, "Asia/Kolkata", Filters(results=(Condition("intent", "exists"),))),
            (4, "America/New_York", Filters(status=("completed", "failed"))),
        ],
        2,
    ),
)
def test_changes_are_those_that_the_oracle_computes(seed: int, zone: str, filters: Filters) -> None:
    random = Random(seed)
    calls = [worse_after(random, call) for call in two_weeks(seed, 1_200)]
    own, other = (replace(filters, since=since, until=until) for since, until in ((AFTER.since, NOW), BEFORE))
    report = compared(calls, ChangesQuery(own, BEFORE, limit=1_000), zone)
    before, after = ([call for call in calls if matches(call, period)] for period in (other, own))
    expected = beyond_chance(*fields_of(before, after, ZoneInfo(zone)))
    changes = Changes(tuple(dated.change for dated in report.changes), report.compared, report.fields)
    assert all_of(changes) == all_of(expected)
    assert (report.compared, report.fields) == (expected.compared, expected.fields)
    assert (report.before.calls, report.after.calls) == (len(before), len(after))
    assert len({field for field, _ in all_of(changes)}) > 8
    assert report.coverage.complete


def test_an_example_has_the_value_and_is_of_the_later_period() -> None:
    random = Random(5)
    calls = {call.conversation_id: worse_after(random, call) for call in two_weeks(5, 1_000)}
    report = compared(list(calls.values()), ChangesQuery(AFTER, BEFORE, limit=1_000))
    examples = {(dated.change.field, dated.change.value): calls[dated.example] for dated in report.changes}
    assert examples["agent_id", "77"].agent_id == "77"
    results = examples["results.intent", "dispute"].results or {}
    assert results["intent"] == "dispute"
    assert [turn.text for turn in examples["signals.wrong_person", "said"].turns or ()].count("wrong number") == 1
    for dated in report.changes:
        started_at = calls[dated.example].started_at
        assert started_at is not None
        assert started_at >= NOW - WEEK or not dated.change.after.count


@pytest.mark.parametrize("seed", some([1, 2, 3], 3))
def test_a_step_is_dated(seed: int) -> None:
    began = datetime(2026, 11, 17, tzinfo=ZoneInfo("Asia/Kolkata"))
    random = Random(seed)
    calls = [dispute_from(began)(random, call) for call in two_weeks(seed, 1_500)]
    report = compared(calls, ChangesQuery(AFTER, BEFORE))
    (day,) = [dated.since_day for dated in report.changes if dated.change.value == "dispute"]
    assert day == began.date()
    assert report.changes[0].change.value == "dispute"


def test_by_chance_alone_hardly_anything_is_reported() -> None:
    reports = [compared(two_weeks(seed), ChangesQuery(AFTER, BEFORE)) for seed in some(range(100, 110), 3)]
    assert sum(bool(report.changes) for report in reports) <= 1
    assert min(report.compared for report in reports) > 40


def test_the_hour_that_occurs_twice_before_midnight_is_counted() -> None:
    zone, random = "Africa/Cairo", Random(5)
    turned_back = datetime(2026, 10, 29, 20, 30, tzinfo=UTC)  # 23:30, and 23:30 again an hour later
    calls = [call(random, n, turned_back + n * timedelta(minutes=3)) for n in range(60)]
    ended = [one._replace(status="completed", ended=True) for one in calls]
    periods = Filters(since=turned_back - DAY, until=NOW), (turned_back - WEEK, turned_back - 2 * DAY)
    report = compared(ended, ChangesQuery(*periods), zone)
    assert report.after.calls == report.coverage.matched == 60


def test_periods_that_touch_do_not_overlap() -> None:
    own, other = parse_two_periods(Filters(), "30d", "7d", previous=True, now=NOW, zone=ZONE)
    assert own.since == NOW - WEEK
    assert other.until == NOW - WEEK - MILLISECOND


def test_running_calls_are_left_out() -> None:
    random = Random(1)
    running = [
        call(random, n, NOW - n * MILLISECOND)._replace(status="queued", ended=False) for n in range(9_000, 9_100)
    ]
    report = compared([*two_weeks(1), *running], ChangesQuery(AFTER, BEFORE))
    assert "queued" not in {dated.change.value for dated in report.changes}
    assert report.after.calls + len(running) == report.coverage.matched


def test_the_earlier_period_is_the_one_before() -> None:
    random = Random(3)
    calls = [worse_after(random, call) for call in two_weeks(3, 900)]
    forth = compared(calls, ChangesQuery(AFTER, BEFORE))
    back = compared(calls, ChangesQuery(Filters(since=BEFORE[0], until=BEFORE[1]), (NOW - WEEK, NOW)))
    assert back.changes == forth.changes
    assert (back.before, back.after) == (forth.before, forth.after)


def test_the_clock_is_compared_only_between_periods_that_have_all_of_it() -> None:
    calls = two_weeks(1, 900)
    for length, fields in ((7 * DAY, []), (3 * DAY, ["weekday"]), (DAY / 2, ["hour", "weekday"])):
        own = replace(AFTER, since=NOW - length)
        report = compared(calls, ChangesQuery(own, (NOW - 2 * length, NOW - length - MILLISECOND)))
        assert [note.split(" was not compared")[0] for note in report.notes] == fields


def test_a_period_without_calls_is_named() -> None:
    report = compared(two_weeks(1, 50), ChangesQuery(AFTER, (NOW - 9 * WEEK, NOW - 8 * WEEK)))
    assert (report.changes, report.compared) == ((), 0)
    others = "since and compare_since choose other periods, e.g. since=30d."
    assert report.notes[-1] == f"No calls ended in the earlier period; {others}"
    assert compared([], ChangesQuery(AFTER, BEFORE)).notes[-1] == f"No calls ended in either period; {others}"


def test_texts_that_would_read_as_something_else_are_not_compared() -> None:
    calls = [
        drawn._replace(results={"a": text if n % 2 else "b", "n": 0})
        for n, (drawn, text) in enumerate(zip(two_weeks(1, 600), ["exists", "(none)", "!=0"] * 200, strict=True))
    ]
    calls = [drawn._replace(results={"a": "c"}) if (drawn.started_at or NOW) > NOW - WEEK else drawn for drawn in calls]
    changes = compared(calls, ChangesQuery(AFTER, BEFORE)).changes
    assert {(dated.change.field, dated.change.value) for dated in changes} == {
        ("results.a", "b"), ("results.a", "c"), ("results.n", "exists")
    }  # fmt: skip


ZONE = ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("filters", "since", "until", "expected"),
    [
        (Filters(), "", "", (NOW - WEEK, NOW, NOW - 2 * WEEK - MILLISECOND)),
        (Filters(since=NOW - DAY), "", "", (NOW - DAY, NOW, NOW - 2 * DAY - MILLISECOND)),
        (Filters(until=NOW - DAY), "", "", (NOW - WEEK - DAY, NOW - DAY, NOW - 2 * WEEK - DAY - MILLISECOND)),
        (Filters(until=NOW + WEEK), "", "", (NOW - WEEK, NOW, NOW - 2 * WEEK - MILLISECOND)),
        (Filters(), "30d", "", (NOW - WEEK, NOW, NOW - 30 * DAY)),
        (Filters(), "30d", "20d", (NOW - WEEK, NOW, NOW - 30 * DAY)),
    ],
)
def test_without_a_period_the_last_week_is_compared(
    filters: Filters, since: str, until: str, expected: tuple[datetime, datetime, datetime]
) -> None:
    own, other = parse_two_periods(filters, since, until, previous=True, now=NOW, zone=ZONE)
    assert (own.since, own.until, other.since) == expected
    assert other.until == (NOW - 20 * DAY if until else expected[0] - MILLISECOND)


@pytest.mark.parametrize(
    ("filters", "since", "until", "previous", "words"),
    [
        (Filters(), "3d", "", True, "overlap"),
        (Filters(), "30d", "6d", True, "overlap"),
        (Filters(since=NOW - 20 * DAY, until=NOW - 10 * DAY), "12d", "", True, "overlap"),
        (Filters(), "", "", False, "no period to compare with"),
        (Filters(), "", "7d", True, "requires compare_since"),
        (Filters(since=NOW + DAY), "", "", True, "since is in the future"),
        (Filters(since=NOW), "", "", True, "The period is empty"),
        (Filters(since=NOW - 9 * DAY, until=NOW - DAY), "0d", "", True, "The period to compare with is empty"),
        (Filters(), "2027-01-01", "2027-01-02", True, "compare_since is in the future"),
        (Filters(), "2d", "5d", True, "later than compare_until"),
    ],
)
def test_periods_that_cannot_be_compared_are_refused(
    filters: Filters, since: str, until: str, previous: bool, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        parse_two_periods(filters, since, until, previous=previous, now=NOW, zone=ZONE)
