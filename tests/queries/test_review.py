"""Calls to review are those that a plain search over the same conversations finds."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.analysis.review import REASONS
from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.review import ReviewQuery, ReviewResult, find_calls_to_review
from tests.examples import examples
from tests.queries.review_oracle import Reasons, all_reasons, random_calls, rank, signals_of
from tests.queries.static_provider import loader_of
from tests.store.oracle import NOW, matches

UTC_ZONE = ZoneInfo("UTC")
MEASURABLE = [name for name in REASONS if name != "tool_errors"]  # here the provider never sends these
FILTERS = st.sampled_from(
    [
        Filters(),
        Filters(agent_id="1"),
        Filters(agent_id="2", call_successful="failure"),
        Filters(since=NOW - timedelta(hours=50)),
        Filters(results=(Condition("csat", "<=", "2"), Condition("intent", "exists"))),
        Filters(results=(Condition("refusal", "missing"), Condition("agent_repeats", ">=", "1", is_signal=True))),
        Filters(status=("none has it",)),
    ]
)


def found(calls: list[Conversation], *queries: ReviewQuery, now: datetime = NOW) -> list[ReviewResult]:
    async def ask() -> list[ReviewResult]:
        loader = await loader_of(calls)
        try:
            return [await find_calls_to_review(loader, RequestContext(now, 60), query, UTC_ZONE) for query in queries]
        finally:
            await loader.sync.aclose()
            await loader.store.close()

    return asyncio.run(ask())


def ids(result: ReviewResult, picked_by: str = "score") -> list[str]:
    return [call.conversation.conversation_id for call in result.calls if call.picked_by == picked_by]


def is_wanted(call: Conversation, filters: Filters) -> bool:
    """Whether a call matches, with the one condition on signals that FILTERS have."""
    has_signal = not filters.signals or int(signals_of(call).get("agent_repeats", 0)) >= 1
    return has_signal and matches(call, replace(filters, results=filters.on_results))


@cache
def account(seed: int, count: int, filters: Filters) -> tuple[list[Conversation], dict[str, Reasons]]:
    """The calls and the reasons of each, which is compared with the same agent's of a week at least."""
    calls = random_calls(seed, count)
    since = filters.since and NOW - timedelta(days=7)
    return calls, all_reasons(calls, Filters(agent_id=filters.agent_id, since=since))


@settings(max_examples=examples(1))
@given(
    seed=st.integers(0, 4),
    count=st.sampled_from((5, 30, 80)),
    filters=FILTERS,
    limit=st.integers(1, 50),
    share=st.sampled_from((0.0, 0.2, 0.5, 1.0)),
    wanted=st.one_of(st.just(tuple(REASONS)), st.lists(st.sampled_from(MEASURABLE), unique=True, min_size=1)),
)
def test_scores_reasons_and_order_equal_what_the_oracle_finds(
    seed: int, count: int, filters: Filters, limit: int, share: float, wanted: tuple[str, ...]
) -> None:
    calls, reasons_by_id = account(seed, count, filters)
    matching = [call for call in calls if is_wanted(call._replace(has_detail=True), filters)]
    reasons = {
        call.conversation_id: {
            name: turn for name, turn in reasons_by_id[call.conversation_id].items() if name in wanted
        }
        for call in matching
    }
    scores = {name: sum(REASONS[reason].weight for reason in some) for name, some in reasons.items()}
    (result,) = found(calls, ReviewQuery(filters, "", limit, share, tuple(wanted)))
    ranked = sorted(
        (call for call in matching if scores[call.conversation_id]),
        key=lambda call: rank(call, scores[call.conversation_id]),
        reverse=True,
    )
    drawn = int(limit * share + 0.5)
    best = [call.conversation_id for call in ranked][: limit - drawn]
    rest = {call.conversation_id for call in matching if call.turns and call.ended} - set(best)
    assert ids(result) == best
    assert len(ids(result, "random")) == (min(limit - len(best), len(rest)) if share else 0)
    assert set(ids(result, "random")) <= rest
    for call in result.calls:
        name = call.conversation.conversation_id
        assert {reason: finding.turn for reason, finding in call.reasons.items()} == reasons[name]
        assert call.score == scores[name]
        assert all(finding.detail for finding in call.reasons.values())
    assert result.reasons_total == Counter(reason for some in reasons.values() for reason in some)
    assert result.with_reasons == len(ranked)
    assert result.with_transcript == sum(bool(call.turns) and call.ended for call in matching)
    assert result.coverage.matched == len(matching)


def rare_calls(count: int) -> list[Conversation]:
    """One call every two days, the newest with an agent that says the same four times."""
    said = ("May I help you today?", "Yes, please.")
    turns = [
        tuple(Turn(n, ("agent", "contact")[n % 2], said[n % 2]) for n in range(8 if day == 0 else 2))
        for day in range(count)
    ]
    return [
        Conversation(
            f"call-{day}",
            agent_id="1",
            status="completed",
            outcome="success",
            ended=True,
            started_at=NOW - timedelta(days=2 * day, hours=1),
            duration_seconds=60.0,
            turns=turns[day],
        )
        for day in range(count)
    ]


@pytest.mark.parametrize(
    ("calls", "note"),
    [
        (60, "Usual values are from calls since 2026-08-22 05:12."),
        (19, "Fewer than 20 calls to say what is usual, so not compared: agent_repeats."),
    ],
)
def test_what_is_usual_is_loaded_from_a_longer_period_where_a_week_has_too_few_calls(calls: int, note: str) -> None:
    query = ReviewQuery(Filters(since=NOW - timedelta(days=1)), "", random_share=0, reasons=("agent_repeats",))
    first, again = found(rare_calls(calls), query, query)
    assert first.coverage.note.endswith(note)
    assert ids(first) == (["call-0"] if calls >= 20 else [])
    assert first.coverage.complete
    assert (first.calls, first.coverage.note) == (again.calls, again.coverage.note)


def test_the_scale_of_a_rating_is_that_of_the_calls_loaded_for_the_question() -> None:
    stars = [3, 4, 5] * 10
    recent = [call._replace(results={"rating": one}) for call, one in zip(rare_calls(30), stars, strict=True)]
    recent = [call._replace(started_at=NOW - timedelta(hours=n + 1)) for n, call in enumerate(recent)]
    older = [
        call._replace(conversation_id=f"old-{n}", started_at=NOW - timedelta(days=60), results={"rating": 10})
        for n, call in enumerate(recent)
    ]
    query = ReviewQuery(Filters(since=NOW - timedelta(days=3)), "", reasons=("low_rating",))
    (first,) = found([*recent, *older], query)
    _, again = found([*recent, *older], ReviewQuery(Filters(), ""), query)
    assert first.reasons_total == again.reasons_total == {}
    (of_both,) = found([*recent, *older], replace(query, filters=Filters()))
    assert of_both.reasons_total == {"low_rating": 20}


@pytest.mark.parametrize("reasons", [("reply_seconds_max",), tuple(REASONS)])
def test_a_signal_that_few_calls_have_is_named_as_not_compared(reasons: tuple[str, ...]) -> None:
    query = ReviewQuery(Filters(since=NOW - timedelta(days=60)), "", reasons=reasons)
    (result,) = found(rare_calls(25), query)
    *_, note = result.coverage.note.split("Fewer than 20 calls to say what is usual, so not compared: ")
    assert "reply_seconds_max" in note
    assert "agent_repeats" not in note


def test_nothing_is_loaded_to_compare_with_where_nothing_matches() -> None:
    query = ReviewQuery(Filters(since=NOW - timedelta(hours=1), status=("odd",)), "")
    (result,) = found(rare_calls(25), query)
    assert (result.coverage.matched, result.coverage.details_needed) == (0, 0)


def test_what_is_usual_depends_on_no_other_filter_also_while_calls_are_loading() -> None:
    async def ask() -> ReviewResult:
        calls = [call._replace(has_detail=True) for call in rare_calls(30)]
        loader, repeats = await loader_of(calls), Condition("agent_repeats", ">=", "2", is_signal=True)
        query = ReviewQuery(Filters(since=NOW - timedelta(days=100), results=(repeats,)), "")
        try:
            await loader.store.write.save(calls, NOW)
            return await find_calls_to_review(loader, RequestContext(NOW, 0), query, UTC_ZONE)
        finally:
            await loader.sync.aclose()
            await loader.store.close()

    result = asyncio.run(ask())
    assert not result.coverage.is_loaded
    assert result.calls[0].reasons["agent_repeats"].detail == "3; agent's usual 0"
