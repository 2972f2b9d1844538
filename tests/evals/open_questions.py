"""Ten open questions of a reviewer, each with what is planted in the sample calls as its answer.

`asks` are the calls of an assistant that has read the tools' descriptions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from formant_mcp.demo.calls import SampleCall
from tests.evals.questions import Calls, local_day, result

Ask = tuple[str, dict[str, JsonValue]]


@dataclass(frozen=True)
class OpenQuestion:
    """What is asked, what must be in the answers, and one way to ask it."""

    text: str
    answer: Callable[[Calls], Sequence[str]]
    asks: tuple[Ask, ...]


def _said(call: SampleCall, role: str, *phrases: str) -> bool:
    return any(phrase in turn.text for turn in call.turns if turn.role == role for phrase in phrases)


def _ids(calls: Sequence[SampleCall]) -> list[str]:
    return [call.conversation_id for call in calls]


def _contradictions(calls: Calls) -> list[SampleCall]:
    claims = ("payment_confirmed", "promise_to_pay")
    refusals = ("will not pay", "nahi dunga", "नहीं दूँगा")
    return [call for call in calls.all if result(call, "intent") in claims and _said(call, "contact", *refusals)]


def _loops(calls: Calls) -> list[SampleCall]:
    return [call for call in calls.of(452) if result(call, "appointment", "outcome") == "unresolved"]


def _to_review(calls: Calls) -> Sequence[str]:
    since = calls.now - timedelta(days=14)
    return _ids([call for call in [*_contradictions(calls), *_loops(calls)] if call.started_at >= since])


def _spam(calls: Calls) -> Sequence[str]:
    labelled = [call for call in calls.all if "SIP 608" in (call.failure_reason or "")]
    first = min(map(local_day, labelled))
    return [f"SIP 608: number labelled as spam\t0 (0.0%)\t{len(labelled)} ", f"101\t{first}\t", f"\t{first}\t"]


def _paid(calls: Calls) -> Sequence[str]:
    said = [sum(_said(call, "contact", phrase) for call in calls.of(123)) for phrase in ("have the", "already paid")]
    return [f"{count}\t" for count in said]


def _ignored(calls: Calls) -> Sequence[str]:
    wishes = ("talk to a human", "इंसान से बात", "kisi insaan se")
    return _ids([call for call in calls.all if _said(call, "contact", *wishes)])


def _abusive(calls: Calls) -> Sequence[str]:
    return _ids([call for call in calls.all if _said(call, "contact", "You idiots", "बेवकूफ़ हो", "kamine")])


def _failed_week(calls: Calls) -> Sequence[str]:
    since = calls.now - timedelta(days=7)
    bad = [call for call in calls.all if call.started_at >= since and call.status not in ("completed", "in_progress")]
    return [f"({len(bad):,} rows", "signals.agent_repeats"]


OPEN_QUESTIONS = (
    OpenQuestion(
        "Which calls of the last two weeks should I listen to first, and why?",
        lambda calls: [*_to_review(calls), "contradiction", "unanswered_questions"],
        (("find_calls_to_review", {"since": "2w", "limit": 12}),),
    ),
    OpenQuestion(
        "How long do callers wait for a reply, and with which agent longest?",
        lambda calls: ["101", "signals.reply_seconds_median", "median 5."],
        (("summarize_results", {"group_by": ["agent_id"], "measures": ["signals.reply_seconds_median"]}),),
    ),
    OpenQuestion(
        "Where does an agent say the same again while the caller asks something else?",
        lambda calls: [*_ids(_loops(calls)), "agent 452"],
        (("list_conversations", {"results": "signals.unanswered_questions>=2", "order_by": "-signals.agent_repeats"}),),
    ),
    OpenQuestion(
        "What has changed in the last week, and since which day?",
        _spam,
        (
            ("find_changes", {"since": "7d"}),
            ("summarize_results", {"failure_reason": "Carrier returned SIP 608…", "group_by": ["agent_id", "day"]}),
            ("find_changes", {"since": "7d", "agent_id": "101"}),
        ),
    ),
    OpenQuestion(
        "What do contacts of agent 123 say most often?",
        _paid,
        (("find_phrases", {"agent_id": "123", "limit": 10}),),
    ),
    OpenQuestion(
        "Who wanted a human, and was ignored?",
        _ignored,
        (
            ("list_conversations", {"results": "signals.asked_for_human exists"}),
            ("find_calls_to_review", {"reasons": "asked_for_human", "random_share": 0}),
        ),
    ),
    OpenQuestion(
        "Where do the results contradict what was said?",
        lambda calls: _ids(_contradictions(calls)),
        (("find_calls_to_review", {"reasons": ["contradiction"], "random_share": 0}),),
    ),
    OpenQuestion(
        "Which callers insulted the agent?",
        _abusive,
        (("list_conversations", {"results": "signals.abusive_words exists"}),),
    ),
    OpenQuestion(
        "Who speaks of money in any spelling: paisa, paise, पैसा?",
        lambda calls: ["paisa", *_ids([call for call in calls.all if _said(call, "contact", "Ek paisa")])],
        (("search_transcripts", {"query": "paise", "limit": 20, "context_turns": 0}),),
    ),
    OpenQuestion(
        "Give me a table of the failed calls of the last week, with what was measured.",
        _failed_week,
        (("export_conversations", {"since": "7d", "call_successful": "failure", "include": ["results", "signals"]}),),
    ),
)
