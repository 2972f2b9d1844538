"""Which calls should be reviewed, in plain Python from the conversations themselves; and calls to choose from."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from statistics import median

from pydantic import JsonValue

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.review import REASONS
from formant_mcp.analysis.signals import TURNS_BY_TIMES, Value, measure, turns_to_hear
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation
from tests.analysis.planted import PLANTED, calls
from tests.store.oracle import NOW, matches

LISTED = PhraseLists.load()
PHRASES = (*(name for name in PLANTED if name != "refusal"),)
Reasons = dict[str, int | None]
Signals = dict[str, Value]

PROMISES: tuple[dict[str, JsonValue], ...] = (
    {"intent": "promise_to_pay"}, {"promise": {"amount": 500}}, {"paid": True}, {"promised_date": "2026-12-01"},
)  # fmt: skip
NO_PROMISES: tuple[dict[str, JsonValue], ...] = ({"intent": "refusal"}, {"promise": {"amount": 0}}, {"paid": False}, {})


def random_calls(seed: int, count: int) -> list[Conversation]:
    """Calls of three agents and none, some without a transcript, with planted phrases, ratings and promises."""
    random = Random(seed)
    made: list[Conversation] = []
    for planted in calls(seed, count):
        has_transcript = random.random() < 0.9
        results: dict[str, JsonValue] = {"risk_score": 1, **random.choice((*PROMISES, *NO_PROMISES))}
        if random.random() < 0.5:
            results["csat"] = random.choice((1, 2, 3, 4, 5, [5, 1], "2", "bad"))
        if random.random() < 0.2:
            results["survey"] = {"nps": random.choice((6, 7, 10))}
        outcome = random.choice(("success", "success", "failure", None))
        made.append(
            planted.conversation._replace(
                agent_id=random.choice(("1", "1", "1", "2", "3", None)),
                status={"success": "completed", "failure": "failed", None: "odd"}[outcome],
                outcome=outcome,
                ended=random.random() < 0.95,
                started_at=random.choice((None, NOW - timedelta(hours=random.randint(0, 99)))),
                duration_seconds=random.choice((None, 0.0, 60.0)),
                turns=planted.conversation.turns if has_transcript else random.choice((None, ())),
                tool_errors=random.choice((None, 0, 0, 0, 1)),
                results=results,
            )
        )
    return made


def signals_of(call: Conversation) -> Signals:
    measured = measure(call, LISTED)
    return measured if "turn_count" in measured else {}


def all_reasons(account: Sequence[Conversation], usual_of: Filters) -> dict[str, Reasons]:
    """The reasons of each call, by its id; `usual_of`: the calls whose values are the usual ones."""
    measured = [(call, signals_of(call)) for call in account]
    usual = [(call, signals) for call, signals in measured if matches(call, usual_of)]
    return {call.conversation_id: reasons_of(call, signals, usual) for call, signals in measured}


def reasons_of(call: Conversation, signals: Signals, account: Sequence[tuple[Conversation, Signals]]) -> Reasons:
    """The reasons that a call has, each with its turn; `account`: the calls, for what is usual."""
    results = call.results or {}
    reasons: Reasons = {name: int(signals[name]) for name in PHRASES if name in signals}
    survey, ratings = results.get("survey"), results.get("csat")
    nps = survey.get("nps") if isinstance(survey, dict) else None
    is_low = any(rating in (1, 2, "2") for rating in (ratings if isinstance(ratings, list) else [ratings]))
    if is_low or nps == 6:
        reasons["low_rating"] = None
    if "refusal" in signals and any(promise.items() <= results.items() for promise in PROMISES):
        reasons["contradiction"] = int(signals["refusal"])
    if "voicemail" in signals:
        return reasons
    if call.outcome == "failure" and (call.duration_seconds or call.turns):
        reasons["failed_after_connection"] = None
    for name, reason in REASONS.items():
        if reason.least and name in signals and is_far(name, call, account, float(signals[name])):
            by_times = signals.get(TURNS_BY_TIMES.get(name, ""))
            reasons[name] = turns_to_hear(call.turns or (), LISTED).get(name) if by_times is None else int(by_times)
    return reasons


def is_far(name: str, call: Conversation, account: Sequence[tuple[Conversation, Signals]], measured: float) -> bool:
    """Whether a call's signal is far above what is usual of its agent, or with few calls of all agents."""
    everybody = [(other.agent_id, float(signals[name])) for other, signals in account if name in signals]
    own = [value for agent, value in everybody if agent == call.agent_id and agent is not None]
    values = own if len(own) >= 20 else [value for _, value in everybody]
    if len(values) < 20:
        return False
    middle = median(values)
    deviation = 1.482602218505602 * median([abs(value - middle) for value in values])
    above = measured - middle
    return above >= REASONS[name].least - 1e-9 and above >= 3.5 * deviation - 1e-9


def rank(call: Conversation, score: int) -> tuple[int, float, str]:
    """By score, then newest first, those without a start last; the greatest rank first."""
    started = call.started_at.timestamp() if call.started_at else -1e18
    return score, started, call.conversation_id
