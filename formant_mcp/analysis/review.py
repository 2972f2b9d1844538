"""What makes a call worth listening to: named reasons, each with a weight, whose sum is the call's score."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from formant_mcp.analysis.signals import SIGNALS
from formant_mcp.analysis.statistics import Distribution, Usual
from formant_mcp.models import outside_form
from formant_mcp.values import label

FAR = 3.5  # deviations from the median (Iglewicz & Hoaglin 1993)
FEWEST_CALLS = 20  # for what is usual


class Reason(NamedTuple):
    """A reason to listen to a call: its weight, when a call has it, and what an answer says of such a call.

    `least`: only of a signal that is compared with its usual value: by how much it must exceed that at least.
    """

    weight: int
    definition: str
    detail: str = ""
    least: float = 0.0


def _unusual(weight: int, least: float, detail: str = "") -> Reason:
    return Reason(weight, f"far above the usual, and by {least:g} or more", detail, least)


LOW_RATING, FAILED, CONTRADICTION = "low_rating", "failed_after_connection", "contradiction"
MACHINE = "voicemail"  # such a call is no conversation: nothing else about it is compared, nor is its failure one
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "opt_out": Reason(5, "the contact wants no more calls", "wants no more calls"),
        CONTRADICTION: Reason(
            5, "a result field says that a payment was promised or made, and the contact refuses to pay or disputes"
        ),
        "abusive_words": Reason(4, "the contact says an insult", "an insult"),
        LOW_RATING: Reason(4, "a result field that is a rating has a low value"),
        FAILED: Reason(
            3, "the call connected, not with an answering machine, and then failed", "connected, then failed"
        ),
        "asked_for_human": Reason(3, "the contact wants a person instead of the agent", "wants a person"),
        "wrong_person": Reason(3, "the contact says that the number or the person is wrong", "wrong number or person"),
        "tool_errors": _unusual(3, 1),
        "unanswered_questions": _unusual(3, 2),
        "agent_repeats": _unusual(3, 3),
        "asked_if_robot": Reason(2, "the contact asks whether the agent is a machine", "asks if it is a machine"),
        "contact_repeats": _unusual(2, 2),
        "interruptions": _unusual(2, 3),
        "reply_seconds_max": _unusual(2, 3),
        "longest_gap_seconds": _unusual(2, 5),
        "recording_silence_share": _unusual(2, 0.2),
        "agent_word_share": _unusual(1, 0.2),
        "longest_agent_turn_words": _unusual(1, 40),
        "early_end": _unusual(1, 1, "the contact spoke in fewer than two turns"),
        MACHINE: Reason(1, "an answering machine or the network answers", "an answering machine or the network"),
    }
)
"""By weight. A reason about a signal has its name."""

PHRASES = tuple(name for name in REASONS if name in SIGNALS and SIGNALS[name].kind == "turn")
COMPARED = tuple(name for name, reason in REASONS.items() if reason.least)


class UsualValues:
    """What is usual of each signal that is compared: of an agent with enough calls, else of all that are given."""

    def __init__(self, values: Mapping[str | None, Mapping[str, Distribution]]) -> None:
        of_all: dict[str, Counter[float]] = {}
        self._of_agents: dict[tuple[str | None, str], Usual] = {}
        for agent, by_name in values.items():
            for name, numbers in by_name.items():
                of_all.setdefault(name, Counter()).update(numbers)
                if agent is not None and sum(numbers.values()) >= FEWEST_CALLS:
                    self._of_agents[agent, name] = Usual.among(numbers)
        self._of_all = {
            name: Usual.among(numbers) for name, numbers in of_all.items() if numbers.total() >= FEWEST_CALLS
        }

    def lowest_limits(self) -> dict[str, float]:
        """For each signal the smallest value that is far above the usual for any agent."""
        limits: dict[str, float] = {}
        for name, usual in [
            *self._of_all.items(),
            *((name, usual) for (_, name), usual in self._of_agents.items()),
        ]:
            limits[name] = min(limits.get(name, float("inf")), _limit(name, usual))
        return limits

    def detail(self, agent: str | None, name: str, value: float) -> str:
        """What an answer says of a value far above the usual; '' if it is not, or nothing is usual yet."""
        usual = self._of_agents.get((agent, name)) if agent is not None else None
        whose = "agent's" if usual else "all agents'"
        usual = usual or self._of_all.get(name)
        if usual is None or value < _limit(name, usual):
            return ""
        return REASONS[name].detail or f"{_rounded(value)}; {whose} usual {_rounded(usual.median)}"


def _limit(name: str, usual: Usual) -> float:
    return usual.median + max(REASONS[name].least, FAR * usual.deviation)


def _rounded(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1e5 else f"{value:.0f}"


_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PLAIN_PATH = re.compile(r"[\w.+-]{1,60}", re.ASCII)
_RATINGS = frozenset({"csat", "nps", "rating", "ratings", "satisfaction", "score", "scores", "stars", "quality"})
_OTHER_SCORES = frozenset(
    {"churn", "confidence", "credit", "effort", "fraud", "lead", "priority", "probability", "risk", "sentiment"}
)
_SCALES = (5.0, 10.0, 100.0)
_LOW_SHARE = 0.4


class Range(NamedTuple):
    """The smallest and the largest number of a field, and whether all of its numbers are whole."""

    lowest: float
    highest: float
    is_whole: bool


class Scale(NamedTuple):
    """A rating's largest value, and the largest that is low."""

    highest: float
    low: float


def may_be_rating(path: str) -> bool:
    """Whether a result field is called like a rating of the call: `csat`, `agent.rating`, not `risk_score`."""
    words = _words(path)
    return bool(_PLAIN_PATH.fullmatch(path) and words & _RATINGS) and not words & _OTHER_SCORES


def rating_scale(path: str, numbers: Range) -> Scale | None:
    """The scale of a field called like a rating, from all its numbers; None if they are no ratings.

    It ends at 1 for fractions up to 1, else at the smallest of 5, 10 and 100 (of an NPS, 10 and 100) that no number
    exceeds. Low is up to 0.4 of that: 2 of 5; of an NPS up to 6 of 10, its detractors.
    """
    is_nps = "nps" in _words(path)
    if numbers.lowest < 0 or numbers.highest > _SCALES[-1]:
        return None
    if numbers.highest <= 1 and not numbers.is_whole:
        return Scale(1.0, _LOW_SHARE)
    highest = next(end for end in _SCALES if end >= numbers.highest and not (is_nps and end < 10))
    return Scale(highest, 6.0 if is_nps and highest == 10 else _LOW_SHARE * highest)


def rating_detail(path: str, value: float, scale: Scale) -> str:
    """What an answer says of a low rating."""
    return f"{outside_form(path) or 'a rating'} {_rounded(value)} of {scale.highest:g}"


_PROMISES = frozenset({"promise", "promised", "promises", "ptp", "paid"})
_PROMISES_OF_TWO = (
    {"payment", "confirmed"}, {"payment", "made"}, {"payment", "done"}, {"payment", "received"}, {"will", "pay"},
    {"agreed", "pay"},
)  # fmt: skip
_NO_PROMISES = frozenset(
    {
        *("already", "broken", "cannot", "declined", "denied", "dispute", "disputed", "last", "later", "missing"),
        *("never", "no", "non", "none", "not", "pending", "previous", "refusal", "refused", "refuses", "without"),
    }
)
# What a field counts or expects that is called so, too: emi_paid_count, days_since_promise, amount_to_be_paid.
_NO_PROMISES_IN_FIELDS = _NO_PROMISES | {
    *("attempts", "be", "chance", "confidence", "count", "counts", "days", "due", "likelihood", "probability", "rate"),
    *("score", "since", "times", "total", "will"),
}
_YES = frozenset({"yes", "y", "true"})
_MOST_WORDS = 5


def says_promise(path: str, kind: str, text: str, number: float | None) -> bool:
    """Whether a value of a result field says that a payment was promised or made.

    It does if it is a short text such as `promise_to_pay` or `payment_confirmed`, or a number above 0, a date or a yes
    in a field called so (`promised_amount`, `paid`).
    """
    said = frozenset(label(text).split("_")) if kind == "text" else frozenset[str]()
    if kind == "text" and not said & _YES:
        return len(said) <= _MOST_WORDS and _is_promise(said, _NO_PROMISES)
    is_yes = (number or 0) > 0 if kind in ("number", "numeral") else kind != "boolean" or text == "true"
    return is_yes and _is_promise(_words(path), _NO_PROMISES_IN_FIELDS)


def contradiction_detail(path: str) -> str:
    """What an answer says of a promise beside a refusal: the field's name, unless it may be somebody's words."""
    field = outside_form(path) or "a result"
    return f"{field} says promised or paid; the contact refuses or disputes"


def _is_promise(words: frozenset[str], unless: frozenset[str]) -> bool:
    has_promise = words & _PROMISES or any(pair <= words for pair in _PROMISES_OF_TWO)
    return bool(has_promise) and not words & unless


def _words(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(name))


def draw_key(seed: str) -> Callable[[str], bytes]:
    """Gives each id a place in a random order that only the seed decides: the first calls are a random share."""
    seeded = hashlib.blake2b(key=seed.encode()[:64])

    def key(conversation_id: str) -> bytes:
        hashed = seeded.copy()
        hashed.update(conversation_id.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    return key
