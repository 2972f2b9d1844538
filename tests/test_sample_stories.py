"""The stories of the sample account, found in its calls as each provider's client returns them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from statistics import median
from zoneinfo import ZoneInfo

import anyio
import pytest
from pydantic import JsonValue

from formant_mcp.analysis.changes import CountedField, DayCount, PeriodCounts, find_changes, start_of_change
from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.phrases import FormCount, Phrase, group, phrase_key
from formant_mcp.analysis.signals import PHRASE_SIGNALS, Value, measure
from formant_mcp.demo.account import open_demo
from formant_mcp.models import Conversation
from formant_mcp.text_search.tokenizer import indexable
from tests.examples import each_once, some
from tests.provider_apis import whole_list

NOW = datetime(2026, 7, 21, 10, 42, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Kolkata")
LISTS = PhraseLists.load()
SPAM = ("failure_reason", "Carrier returned SIP 608: number labelled as spam")
NEW_PROMPT = ("results.prompt_version", "v8")
Values = frozenset[tuple[str, str]]
every_provider = pytest.mark.parametrize("provider", some(["formant", "elevenlabs", "voiceos", "voiceable"], 2))


@cache
def conversations(provider: str, now: datetime = NOW) -> tuple[Conversation, ...]:
    """All calls with their transcripts; a detail may be without the start, which its row has."""

    async def read() -> tuple[Conversation, ...]:
        source = open_demo(provider, lambda: now)
        try:
            rows = await whole_list(source)
            details = [await source.get_conversation(row.conversation_id) for row in rows]
        finally:
            await source.aclose()
        return tuple(detail._replace(started_at=row.started_at) for row, detail in zip(rows, details, strict=True))

    return anyio.run(read)


@cache
def measured(provider: str) -> tuple[tuple[Conversation, dict[str, Value]], ...]:
    return tuple((conversation, measure(conversation, LISTS)) for conversation in conversations(provider))


def number(signals: dict[str, Value], name: str) -> float:
    value = signals.get(name, 0)
    assert isinstance(value, int | float)
    return value


def words_of(conversation: Conversation, role: str) -> str:
    return " ".join(turn.text for turn in conversation.turns or () if turn.role == role)


@every_provider
def test_one_agent_says_the_same_sentence_again_and_leaves_questions_unanswered(provider: str) -> None:
    loops = [
        (conversation.agent_id, signals)
        for conversation, signals in measured(provider)
        if number(signals, "unanswered_questions") >= 2
    ]
    assert [agent_id for agent_id, _ in loops] == ["452"] * 6
    assert all(number(signals, "agent_repeats") >= 3 for _, signals in loops)
    assert all(number(signals, "longest_repeat_run") >= 4 for _, signals in loops)
    others = [signals for conversation, signals in measured(provider) if conversation.agent_id != "452"]
    assert sum(number(signals, "agent_repeats") > 0 for signals in others) == 1  # goes through a loan statement


def test_one_agent_is_slow_to_reply_where_the_ends_of_turns_are_sent() -> None:
    replies: defaultdict[str, list[float]] = defaultdict(list)
    for conversation, signals in measured("formant"):
        if "reply_seconds_median" in signals and conversation.agent_id:
            replies[conversation.agent_id].append(number(signals, "reply_seconds_median"))
    medians = {agent_id: median(seconds) for agent_id, seconds in replies.items()}
    assert min(map(len, replies.values())) >= 8
    assert medians.pop("101") > 4.5
    assert max(medians.values()) < 2


@every_provider
def test_contacts_who_want_a_human_are_ignored_in_three_languages(provider: str) -> None:
    ignored = [
        conversation
        for conversation, signals in measured(provider)
        if "asked_for_human" in signals
        and number(signals, "asked_for_human") < number(signals, "turn_count") - 3
        and "team" not in words_of(conversation, "agent")
    ]
    assert Counter(conversation.agent_id for conversation in ignored) == {"123": 2, "456": 1}
    wishes = " ".join(words_of(conversation, "contact") for conversation in ignored)
    assert all(wish in wishes for wish in ("talk to a human", "किसी इंसान से", "kisi insaan se"))


@every_provider
@pytest.mark.parametrize("signal", sorted(PHRASE_SIGNALS))
def test_every_list_of_phrases_is_heard_in_some_calls_and_not_in_many(provider: str, signal: str) -> None:
    calls = sum(signal in signals for _, signals in measured(provider))
    assert 3 <= calls <= 30


def test_some_results_say_the_opposite_of_the_contacts_words() -> None:
    refusals = ("will not pay", "nahi dunga", "नहीं दूँगा")
    contradictions = [
        conversation
        for conversation in conversations("formant")
        if (conversation.results or {}).get("intent") in ("payment_confirmed", "promise_to_pay")
        and any(refusal in words_of(conversation, "contact") for refusal in refusals)
    ]
    assert Counter(conversation.agent_id for conversation in contradictions) == {"123": 1, "456": 2}
    for conversation in contradictions:
        results = conversation.results or {}
        assert results.get("promised_amount") or results.get("promise")


@every_provider
@pytest.mark.parametrize(
    ("sentence", "least"),
    [("Yes, I have the 500 rupees ready.", 12), ("But I already paid 500 rupees, please check.", 9)],
)
def test_many_contacts_say_a_sentence_with_other_numbers_and_small_words(
    provider: str, sentence: str, least: int
) -> None:
    phrase = next(phrase for phrase in phrases(provider) if phrase_key(indexable(sentence)) in phrase.keys)
    assert phrase.conversations >= least
    assert len(phrase.keys) == 2
    assert phrases(provider).index(phrase) < 20


@cache
def phrases(provider: str) -> list[Phrase]:
    """What contacts say, the commonest first."""
    texts: dict[int, str] = {}
    turns, callers = Counter[int](), defaultdict[int, set[str]](set)
    for conversation in conversations(provider):
        for turn in conversation.turns or ():
            if turn.role == "contact" and (key := phrase_key(indexable(turn.text))) is not None:
                texts.setdefault(key, turn.text)
                turns[key] += 1
                callers[key].add(conversation.conversation_id)
    return group(FormCount(key, turns[key], len(callers[key]), text) for key, text in texts.items())


@pytest.mark.parametrize(("hour", "days"), some(each_once([10, 3, 18], [7, 14]), 2))
def test_a_failure_reason_and_a_prompt_begin_on_their_days(hour: int, days: int) -> None:
    now = NOW.replace(hour=hour)
    today = now.astimezone(ZONE).date()
    everybody, delivery = Periods(now, days), Periods(now, days, "101")
    assert everybody.start_of(*NEW_PROMPT) == today - timedelta(days=6)
    assert everybody.start_of(*SPAM) == delivery.start_of(*SPAM) == today - timedelta(days=5)
    assert ("results.intent", "dispute") in everybody.changes
    assert {field for field, _ in delivery.changes} <= {"failure_reason", "status"}


@pytest.mark.parametrize("agent_id", ["789", "452"])
@pytest.mark.parametrize("days", [7, 14, 28])
def test_two_agents_do_not_change(agent_id: str, days: int) -> None:
    assert not Periods(NOW, days, agent_id).changes


@pytest.mark.parametrize("days", [7, 14, 21])
def test_nothing_changed_until_a_week_ago(days: int) -> None:
    assert not Periods(NOW, days, until=NOW - timedelta(days=7)).changes


class Periods:
    """What differs between the calls of the last `days` before `until` and of as many before those."""

    def __init__(self, now: datetime, days: int, agent_id: str = "", until: datetime | None = None) -> None:
        end = until or now
        middle, start = (end - timedelta(days=times * days) for times in (1, 2))
        before, after = list[Values](), list[Values]()
        self._days: defaultdict[date, list[Values]] = defaultdict(list)
        for call in conversations("formant", now):
            if call.started_at and start <= call.started_at < end and agent_id in ("", call.agent_id):
                values = frozenset(values_of(call))
                (before if call.started_at < middle else after).append(values)
                self._days[call.started_at.astimezone(ZONE).date()].append(values)
        names = sorted({name for values in (*before, *after) for name, _ in values})
        changes = find_changes([CountedField(name, counts_of(before, name), counts_of(after, name)) for name in names])
        self.changes = {(change.field, change.value): change for change in changes.changes}

    def start_of(self, field: str, value: str) -> date | None:
        """The day from which the share of a value differs."""
        days = [
            DayCount(day, sum((field, value) in values for values in calls), len(calls))
            for day, calls in sorted(self._days.items())
        ]
        return start_of_change(self.changes[field, value], days)


def counts_of(calls: Sequence[Values], name: str) -> PeriodCounts:
    """Of results, among the calls that have any; of signals, among those that were measured."""
    part = name.partition(".")[0]
    total = sum(any(field.partition(".")[0] == part for field, _ in values) for values in calls)
    return PeriodCounts(total, Counter(value for values in calls for field, value in values if field == name))


def values_of(call: Conversation) -> Iterator[tuple[str, str]]:
    """Each field of the call with its value."""
    assert call.started_at
    yield from leaves("status", call.status)
    yield from leaves("agent_id", call.agent_id)
    yield "hour", f"{call.started_at.astimezone(ZONE):%H}"
    yield "failure_reason", call.failure_reason or "(none)"
    yield from leaves("results", call.results)
    for name, value in measure(call, LISTS).items():
        yield (
            f"signals.{name}",
            str(value) if isinstance(value, str | bool) else str(name in PHRASE_SIGNALS or value > 0),
        )


def leaves(path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield path, str(inner)
    elif value is not None:
        yield path, str(value)
