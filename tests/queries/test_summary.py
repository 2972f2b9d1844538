"""Summaries equal what plain Python computes from the same conversations."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.dates import parse_comparison
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.profile import Profile, profile
from formant_mcp.queries.summary import Group, GroupComparison, Summary, SummaryQuery, summarize
from formant_mcp.store import aggregates
from tests.analysis.test_signals import transcripts
from tests.examples import examples
from tests.queries.static_provider import loader_of
from tests.queries.summary_oracle import GROUPINGS, labels_of, left_out_of, measure_of, names_of, numbers_of, summary_of
from tests.store.oracle import NOW, conversations, filters, leaves, matches, text_of


def with_turns(call: Conversation, turns: tuple[Turn, ...]) -> Conversation:
    """The call with these turns, if it has details."""
    return call._replace(turns=turns) if call.has_detail else call


ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
MEASURED = ("signals.ended_by", "signals.early_end", "signals.agent_repeats", "signals.opt_out")
CALLS = st.lists(
    st.builds(with_turns, conversations(), transcripts()), max_size=12, unique_by=lambda call: call.conversation_id
)
PATHS = ["intent", "csat", "language.primary", "tags", "a", "b", "a.b", "भाषा"]
ANY_GROUPINGS = st.lists(
    st.sampled_from([*GROUPINGS, *MEASURED, *(f"results.{path}" for path in PATHS)]),
    unique=True,
    min_size=1,
    max_size=3,
)
MEASURES = st.lists(
    st.sampled_from(
        ["duration_seconds", "results.csat", "results.a", "signals.turn_count", "signals.agent_word_share"]
    ),
    unique=True,
    max_size=2,
)
INTENTS = ("dispute", "refusal")


def summarized(calls: list[Conversation], query: SummaryQuery, zone: str) -> Summary:
    async def ask() -> Summary:
        loader = await loader_of(calls)
        try:
            return await summarize(loader, RequestContext(NOW, 60), query, ZoneInfo(zone))
        finally:
            await loader.sync.aclose()
            await loader.store.close()

    return asyncio.run(ask())


def profiled(calls: list[Conversation], wanted: Filters, top: int = 20) -> Profile:
    async def ask() -> Profile:
        loader = await loader_of(calls)
        try:
            return await profile(loader, RequestContext(NOW, 60), wanted, top, ZoneInfo("UTC"))
        finally:
            await loader.sync.aclose()
            await loader.store.close()

    return asyncio.run(ask())


def approx(group: Group) -> Group:
    return replace(
        group,
        example="",
        share=pytest.approx(group.share),
        share_within_first=pytest.approx(group.share_within_first),
        success_rate=pytest.approx(group.success_rate),
        measures={
            name: {field: pytest.approx(getattr(measure, field)) for field in measure.__slots__}
            for name, measure in group.measures.items()
        },
    )


def plain(group: Group) -> Group:
    measures = {
        name: {field: getattr(measure, field) for field in measure.__slots__}
        for name, measure in group.measures.items()
    }
    return replace(group, example="", measures=measures)


def call(number: int, started_at: datetime | None = None, **fields: object) -> Conversation:
    base = Conversation(f"call-{number:04d}", started_at=started_at, status="completed", outcome="success")
    return base._replace(**fields)  # pyright: ignore[reportArgumentType]


@settings(max_examples=examples(1.5))
@given(data=st.data(), calls=CALLS, groupings=ANY_GROUPINGS, measures=MEASURES, zone=ZONES)
def test_every_figure_equals_what_the_oracle_computes(
    data: st.DataObject, calls: list[Conversation], groupings: list[str], measures: list[str], zone: str
) -> None:
    wanted = data.draw(filters(calls))
    whole = [call._replace(has_detail=True, failure_reason_known=True) for call in calls]
    matched = [call for call in whole if matches(call, wanted)]
    expected = summary_of(matched, groupings, measures, ZoneInfo(zone))
    query = SummaryQuery(wanted, tuple(groupings), tuple(measures), top=1_000)
    try:
        summary = summarized(calls, query, zone)
    except InvalidRequestError:
        listed = [call for call in whole if wanted.agent_id in ("", call.agent_id)]  # no other agent's calls are read
        paths = {path for call in listed for path, _ in leaves("", call.results or {})}
        numeric = {p for call in listed for p in paths if numbers_of(call, f"results.{p}")}
        grouped = {name.removeprefix("results.") for name in groupings if name.startswith("results.")}
        counted = {name.removeprefix("results.") for name in measures if name.startswith("results.")}
        assert matched
        assert grouped - paths or counted - numeric
        return
    groups = {tuple(group.key.values()): group.now for group in summary.groups}
    assert {name: plain(group) for name, group in groups.items()} == {
        name: approx(group) for name, group in expected.items()
    }
    assert summary.coverage.matched == len(matched)
    assert summary.overall.now.count == len(matched)
    for name, group in groups.items():
        members = {call.conversation_id for call in matched if name in names_of(call, groupings, ZoneInfo(zone))}
        assert group.example in members


@settings(max_examples=examples(0.6))
@given(
    calls=CALLS, grouping=st.sampled_from(["status", "agent_id", "day", "results.intent"]), zone=ZONES, days=st.data()
)
def test_a_comparison_equals_the_summaries_of_its_periods(
    calls: list[Conversation], grouping: str, zone: str, days: st.DataObject
) -> None:
    ends = sorted(days.draw(st.lists(st.integers(-31, 31), min_size=4, max_size=4)))
    first, second, third, fourth = (NOW + timedelta(days=end) for end in ends)
    calls = [*calls, call(9_999, NOW, results={"intent": "dispute"})]
    other = SummaryQuery(Filters(since=first, until=second), (grouping,), top=1_000)
    query = SummaryQuery(Filters(since=third, until=fourth), (grouping,), compared_with=(first, second), top=1_000)
    together, apart = summarized(calls, query, zone), summarized(calls, other, zone)
    before = {name(group): replace(group.previous, example="") for group in together.groups if group.previous}
    alone = {name(group): replace(group.now, example="") for group in apart.groups}
    assert {key: group for key, group in before.items() if group.count} == alone
    now = summarized(calls, replace(query, compared_with=None), zone)
    assert {name(g): replace(g.now, example="") for g in together.groups if g.now.count} == {
        name(g): replace(g.now, example="") for g in now.groups
    }


def name(group: GroupComparison) -> tuple[str, ...]:
    return tuple(group.key.values())


@settings(max_examples=examples(0.6))
@given(calls=CALLS, data=st.data())
def test_the_profile_names_every_field_with_its_values(calls: list[Conversation], data: st.DataObject) -> None:
    wanted = data.draw(filters(calls))
    whole = [call._replace(has_detail=True, failure_reason_known=True) for call in calls]
    matched = [call for call in whole if matches(call, wanted)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregates, "_MANY", data.draw(st.sampled_from([0, 1_000]), label="many"))
        answer = profiled(calls, wanted)
    by_path: dict[str, list[object]] = {}
    for call in matched:
        for path, value in leaves("", call.results or {}):
            by_path.setdefault(path, []).append(value)
    assert [field.path for field in answer.results] == sorted(by_path)
    for field in answer.results:
        having = [call for call in matched if any(at == field.path for at, _ in leaves("", call.results or {}))]
        assert field.count == len(having)
        if field.figures:
            measure = f"results.{field.path}"
            left_out = sum(left_out_of(call, measure) for call in matched)
            expected = measure_of([n for call in matched for n in numbers_of(call, measure)], left_out)
            assert expected.count >= max(1, left_out)
            for figure in expected.__slots__:
                assert getattr(field.figures, figure) == pytest.approx(getattr(expected, figure))
        else:
            counts: dict[str, int] = {}
            for call in matched:
                for text in {text_of(v) for at, v in leaves("", call.results or {}) if at == field.path}:
                    counts[text] = counts.get(text, 0) + 1
            assert dict(field.top) == counts
    statuses = {label for call in matched for label in labels_of(call, "status", ZoneInfo("UTC"))}
    assert {status for status, _ in answer.statuses} == statuses
    starts = [call.started_at for call in matched if call.started_at]
    assert (answer.started_from, answer.started_to) == ((min(starts), max(starts)) if starts else (None, None))


def test_days_and_hours_follow_the_zone_across_a_clock_change() -> None:
    # Berlin's clocks went back on 2026-10-25: that day has 25 hours.
    calls = [call(n, datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(hours=n)) for n in range(26)]
    days = summarized(calls, SummaryQuery(Filters(), ("day",)), "Europe/Berlin")
    assert [(group.key["day"], group.now.count) for group in days.groups] == [("2026-10-25", 25), ("2026-10-26", 1)]
    hours = summarized(calls, SummaryQuery(Filters(), ("hour",), top=100), "Europe/Berlin")
    assert {group.key["hour"]: group.now.count for group in hours.groups}["02"] == 2


def test_time_groups_are_in_order_of_time_and_others_by_size() -> None:
    start = datetime(2026, 11, 16, 12, tzinfo=UTC)  # a Monday
    calls = [call(n, start + timedelta(days=day)) for n, day in enumerate([6, 0, 0, 2, 2, 2])]
    by_day = summarized(calls, SummaryQuery(Filters(), ("weekday",)), "UTC")
    assert [group.key["weekday"] for group in by_day.groups] == ["Monday", "Wednesday", "Sunday"]
    starts = [start, *(start + timedelta(days=2, hours=hours) for hours in (3, 3, 1))]
    by_hour = summarized(list(map(call, range(4), starts)), SummaryQuery(Filters(), ("weekday", "hour")), "UTC")
    assert [tuple(group.key.values()) for group in by_hour.groups] == [
        ("Monday", "12"),
        ("Wednesday", "13"),
        ("Wednesday", "15"),
    ]
    calls = [call._replace(agent_id=agent) for call, agent in zip(calls, "122333", strict=True)]
    by_agent = summarized(calls, SummaryQuery(Filters(), ("agent_id",)), "UTC")
    assert [group.key["agent_id"] for group in by_agent.groups] == ["3", "2", "1"]


def test_smaller_groups_are_left_out_and_counted() -> None:
    calls = [call(n, NOW, agent_id=str(n % 7)) for n in range(20)]
    summary = summarized(calls, SummaryQuery(Filters(), ("agent_id",), top=3), "UTC")
    assert (len(summary.groups), summary.others) == (3, 4)
    assert summary.overall.now.count == 20


def test_a_group_that_was_large_before_is_shown() -> None:
    calls = [call(n, NOW - timedelta(days=8), agent_id="1") for n in range(5)]
    calls += [call(n, NOW, agent_id=str(n)) for n in range(5, 8)]
    week = timedelta(days=7)
    query = SummaryQuery(
        Filters(since=NOW - week), ("agent_id",), compared_with=(NOW - 2 * week, NOW - week), min_count=5
    )
    summary = summarized(calls, query, "UTC")
    assert [group.key["agent_id"] for group in summary.groups] == ["1"]
    assert summary.others == 3


@pytest.mark.parametrize(
    ("groupings", "measures", "words"),
    [
        (("status", "day", "hour", "week"), (), "at most 3"),
        (("status", "status"), (), "each once"),
        (("results.colour",), (), "results.intent"),
        ((), ("results.intent",), "not a number"),
        ((), ("results.colour",), "results.csat"),
        ((), ("csat",), "no measure"),
    ],
)
def test_an_invalid_grouping_or_measure_is_refused_with_the_valid_ones(
    groupings: tuple[str, ...], measures: tuple[str, ...], words: str
) -> None:
    calls = [call(n, NOW, results={"intent": INTENTS[n % 2], "csat": n}) for n in range(4)]
    with pytest.raises(InvalidRequestError, match=words):
        summarized(calls, SummaryQuery(Filters(), groupings, measures), "UTC")


@pytest.mark.parametrize(
    ("base", "since", "until", "previous", "words"),
    [
        (Filters(), "7d", "", True, "compare_previous and compare_since cannot be combined"),
        (Filters(), "", "7d", False, "requires compare_since"),
        (Filters(), "", "", True, "requires since"),
        (Filters(), "2d", "5d", False, "later than compare_until"),
        (Filters(since=NOW + timedelta(days=1)), "", "", True, "future"),
        (Filters(), "soon", "", False, "compare_since"),
    ],
)
def test_an_impossible_comparison_is_refused_with_the_argument(
    base: Filters, since: str, until: str, previous: bool, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        parse_comparison(base, since, until, previous=previous, now=NOW, zone=ZoneInfo("UTC"))


def test_overlapping_and_future_periods_are_noted() -> None:
    zone = ZoneInfo("UTC")
    overlap = parse_comparison(Filters(since=NOW - timedelta(days=9)), "5d", "", previous=False, now=NOW, zone=zone)
    assert overlap is not None
    assert "overlap" in overlap.note
    later = parse_comparison(
        Filters(since=NOW - timedelta(days=9), until=NOW),
        "2027-01-01",
        "2027-01-02",
        previous=False,
        now=NOW,
        zone=zone,
    )
    assert later is not None
    assert "future" in later.note


def test_the_previous_period_is_equally_long_and_ends_just_before() -> None:
    since = NOW - timedelta(days=7)
    comparison = parse_comparison(Filters(since=since), "", "", previous=True, now=NOW, zone=ZoneInfo("UTC"))
    assert comparison is not None
    assert comparison.until == since - timedelta(milliseconds=1)
    assert comparison.until - comparison.since == NOW - since


def test_calls_are_grouped_by_whether_a_phrase_was_said_and_by_signals_of_every_kind() -> None:
    said = (Turn(0, "agent", "Hello"), Turn(1, "contact", "wrong number"), Turn(2, "agent", "Sorry"))
    calls = [
        call(1)._replace(has_detail=True, turns=said),
        call(2)._replace(has_detail=True, turns=said[:1]),
        call(3)._replace(has_detail=True),
    ]
    groups = summarized(
        calls, SummaryQuery(Filters(), ("signals.wrong_person", "signals.early_end", "signals.ended_by")), "UTC"
    ).groups
    names = {tuple(group.key.values()): group.now.count for group in groups}
    assert names == {("said", "true", "agent"): 1, ("not said", "true", "agent"): 1, ("(none)",) * 3: 1}
