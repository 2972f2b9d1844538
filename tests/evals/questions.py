"""Twenty questions that people ask when they review calls, each with its answer computed from the sample calls.

`asks` is one way to ask the server, as an assistant would who has read the tools' descriptions.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from formant_mcp.demo.calls import SampleCall
from formant_mcp.text_search.tokenizer import fold, words_in

ZONE = ZoneInfo("Asia/Kolkata")
RUNNING = "in_progress"
LEGAL = ("lawyer", "legal", "वकील")

Answer = Callable[["Calls"], Sequence[str]]


@dataclass(frozen=True)
class Calls:
    """The sample calls as they stand at `now`, and what questions ask of them."""

    all: tuple[SampleCall, ...]
    now: datetime

    def of(self, agent: int) -> list[SampleCall]:
        return [call for call in self.all if call.agent_id == agent]

    def since(self, moment: datetime) -> list[SampleCall]:
        return [call for call in self.all if call.started_at >= moment]

    @property
    def midnight(self) -> datetime:
        return datetime.combine(self.now.astimezone(ZONE).date(), datetime.min.time(), ZONE)

    @property
    def longest(self) -> SampleCall:
        return max(self.all, key=lambda call: call.duration_seconds or 0)

    def saying(self, *words: str) -> list[SampleCall]:
        """Calls in which one of these words (or phrases) stands in a turn."""
        wanted = [[word.folded for word in words_in(each)] for each in words]
        return [call for call in self.all if any(_has(turn.text, each) for turn in call.turns for each in wanted)]


def _has(text: str, phrase: list[str]) -> bool:
    said = [word.folded for word in words_in(text)]
    return any(said[i : i + len(phrase)] == phrase for i in range(len(said)))


def result(call: SampleCall, *path: str) -> JsonValue:
    value: JsonValue = call.results
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def succeeded(calls: Sequence[SampleCall]) -> int:
    return sum(call.status == "completed" for call in calls)


def failed(calls: Sequence[SampleCall]) -> list[SampleCall]:
    return [call for call in calls if call.status not in ("completed", RUNNING)]


def percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"


def commonest(values: Sequence[object]) -> tuple[str, int]:
    (value, count), *_ = sorted(Counter(map(str, values)).items(), key=lambda pair: (-pair[1], pair[0]))
    return value, count


def local_day(call: SampleCall) -> date:
    return call.started_at.astimezone(ZONE).date()


@dataclass(frozen=True)
class Question:
    """What is asked, what must be in the answer, and one way to ask it."""

    text: str
    answer: Answer
    tool: str
    arguments: dict[str, JsonValue]


def _numbers(calls: Sequence[SampleCall], *path: str) -> list[float]:
    found = [result(call, *path) for call in calls]
    return [float(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool)]


def _disputes(calls: Sequence[SampleCall]) -> int:
    return sum(result(call, "intent") == "dispute" for call in calls)


def _week_against_week(calls: Calls) -> Sequence[str]:
    since = calls.now - timedelta(days=7)
    now = [call for call in calls.of(456) if call.started_at >= since]
    before = [
        call
        for call in calls.of(456)
        if since - timedelta(days=7) - timedelta(milliseconds=1) <= call.started_at < since
    ]
    return [str(_disputes(now)), str(_disputes(before))]


def _commonest_reason(calls: Calls) -> Sequence[str]:
    since = calls.midnight - timedelta(days=1)
    bad = [call for call in failed(calls.of(123)) if call.started_at >= since]
    value, count = commonest([call.failure_reason or "(none)" for call in bad])
    return [value, str(count)]


def _worst_hour(calls: Calls) -> Sequence[str]:
    hour, count = commonest([f"{call.started_at.astimezone(ZONE):%H}" for call in failed(calls.of(123))])
    return [hour, str(count)]


def _weekday(calls: Calls) -> Sequence[str]:
    name, count = commonest([f"{call.started_at.astimezone(ZONE):%A}" for call in calls.all])
    return [name, str(count)]


def _durations(calls: Calls) -> Sequence[str]:
    seconds = [call.duration_seconds for call in calls.of(101) if call.status == "completed" and call.duration_seconds]
    return [f"{statistics.mean(seconds):.4g}", f"{statistics.median(seconds):g}"]


def _refund(calls: Calls) -> Sequence[str]:
    return [call.conversation_id for call in calls.saying("refund") if _has_amount(call)]


def _has_amount(call: SampleCall) -> bool:
    return any("15000" in fold(word.folded) for turn in call.turns for word in words_in(turn.text))


def _turn_200(calls: Calls) -> Sequence[str]:
    return [calls.longest.turns[200].text]


def _most_called(calls: Calls) -> Sequence[str]:
    number, count = commonest([call.contact_number for call in calls.all])
    return [number, str(count)]


def _yesterday(calls: Calls) -> Sequence[str]:
    day = (calls.midnight - timedelta(days=1)).date()
    return [str(len([call for call in failed(calls.of(123)) if local_day(call) == day]))]


def _v8(calls: Calls) -> Sequence[str]:
    v8 = [call for call in calls.all if result(call, "prompt_version") == "v8"]
    return [str(_disputes(v8)), str(len(v8))]


def _only(path: str, value: JsonValue) -> Answer:
    return lambda calls: [str(sum(result(call, path) == value for call in calls.all))]


def _summary(**arguments: JsonValue) -> dict[str, JsonValue]:
    return arguments


QUESTIONS = (
    Question(
        "How many calls are there in all, and how many of them were completed?",
        lambda calls: [str(len(calls.all)), str(succeeded(calls.all))],
        "summarize_results",
        _summary(group_by=["status"], top=2),
    ),
    Question(
        "What share of all calls succeeded, in percent with one decimal?",
        lambda calls: [percent(succeeded(calls.all), len(calls.all))],
        "summarize_results",
        _summary(group_by=["status"], top=1),
    ),
    Question(
        "What is the success rate of agent 789?",
        lambda calls: [percent(succeeded(calls.of(789)), len(calls.of(789)))],
        "summarize_results",
        _summary(agent_id="789", group_by=["agent_id"]),
    ),
    Question(
        "How long did completed calls of agent 101 last: mean and median, in seconds?",
        _durations,
        "summarize_results",
        _summary(agent_id="101", call_successful="success", measures=["duration_seconds"], group_by=["status"]),
    ),
    Question(
        "Agent 123's calls that failed since yesterday's midnight: the commonest failure reason, and how many had it?",
        _commonest_reason,
        "summarize_results",
        _summary(agent_id="123", since="yesterday", call_successful="failure", group_by=["failure_reason"], top=2),
    ),
    Question(
        "Agent 456: how many calls with intent dispute in the last 7 days, and how many in the 7 days before?",
        _week_against_week,
        "summarize_results",
        _summary(agent_id="456", since="7d", compare_previous=True, results=["intent=dispute"], group_by=["agent_id"]),
    ),
    Question(
        "Of the calls with prompt_version v8, how many are disputes, and how many are there in all?",
        _v8,
        "summarize_results",
        _summary(results=["prompt_version=v8"], group_by=["results.intent"], top=3),
    ),
    Question(
        "In how many calls did somebody speak of a lawyer or a legal step (lawyer, legal, वकील)?",
        lambda calls: [f"in {len(calls.saying(*LEGAL))} "],
        "search_transcripts",
        _summary(query="lawyer OR legal OR वकील", limit=1, context_turns=0),
    ),
    Question(
        "Which call asks for a refund of 15,000 rupees (its id)?",
        _refund,
        "search_transcripts",
        _summary(query="refund 15000", limit=2, context_turns=0),
    ),
    Question(
        "Which call is the longest, and how many seconds did it last?",
        lambda calls: [calls.longest.conversation_id, f"{int(calls.longest.duration_seconds or 0)}"],
        "list_conversations",
        _summary(order_by="longest", limit=1),
    ),
    Question(
        "What was said in turn 200 of the longest call?",
        _turn_200,
        "get_transcripts",
        _summary(conversation_ids=["{longest}"], from_turn=200, max_turns=1),
    ),
    Question(
        "What is the mean of csat, over all calls that have it?",
        lambda calls: [f"{statistics.mean(_numbers(calls.all, 'csat')):.4f}"[:5]],
        "summarize_results",
        _summary(measures=["results.csat"], agent_id="789", group_by=["agent_id"]),
    ),
    Question(
        "How many calls had a csat of 2 or less?",
        lambda calls: [f"{len([n for n in _numbers(calls.all, 'csat') if n <= 2])} of "],
        "list_conversations",
        _summary(results=["csat<=2"], limit=1),
    ),
    Question(
        "At which hour of the day did most of agent 123's calls fail, and how many?",
        _worst_hour,
        "summarize_results",
        _summary(agent_id="123", call_successful="failure", group_by=["hour"], top=3),
    ),
    Question(
        "How many calls ended with a promise (promise.amount) of more than 20,000?",
        lambda calls: [f"{len([n for n in _numbers(calls.all, 'promise', 'amount') if n > 20_000])} of "],
        "list_conversations",
        _summary(results=["promise.amount>20000"], limit=1),
    ),
    Question(
        "In how many calls was the late fee mentioned in Hindi (लेट फ़ीस)?",
        lambda calls: [f"in {len(calls.saying('लेट फ़ीस'))} "],
        "search_transcripts",
        _summary(query='"लेट फ़ीस"', limit=1, context_turns=0),
    ),
    Question(
        "On which weekday are most calls made, and how many?",
        _weekday,
        "summarize_results",
        _summary(group_by=["weekday"], top=7),
    ),
    Question(
        "How many calls of agent 123 failed yesterday?",
        _yesterday,
        "list_conversations",
        _summary(agent_id="123", since="yesterday", until="yesterday", call_successful="failure", limit=1),
    ),
    Question(
        "Which number was called most often, and how many times?",
        _most_called,
        "summarize_results",
        _summary(group_by=["contact_number"], top=1),
    ),
    Question(
        "How many calls were escalated (escalate is true)?",
        _only("escalate", True),
        "list_conversations",
        _summary(results=["escalate=true"], limit=1),
    ),
)
