"""The facts of a sample call, from which both its transcript and its results are made, so that the two agree."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from formant_mcp.demo import phrases


@dataclass(frozen=True, slots=True)
class Facts:
    """One call's facts; amounts in rupees, `score` 1 to 5, `words` the values for the braces in its script."""

    amount: int
    promised_on: date
    slot: str
    score: int
    topic: str
    reason: str
    new_prompt: bool
    words: dict[str, str]


_SCORES = {"satisfied": (4, 5, 5), "indifferent": (3, 3, 4), "dissatisfied": (1, 1, 2)}


def facts_of(
    rng: Random,
    *,
    name: str,
    language: str,
    outcome: str,
    opening: str,
    on: date,
    new_prompt: bool = False,
    amount: int = 0,
) -> Facts:
    """Facts for a call on that day (local to the agent); `amount` 0 for a random one.

    `opening`: the agent's first sentence, with braces.
    """
    amount = amount or rng.choice(phrases.AMOUNTS)
    days, when = rng.choice(phrases.WHEN[language])
    slot, slot_words = rng.choice(phrases.SLOTS[language])
    topic, praise, complaint = rng.choice(phrases.TOPICS)
    reason, reason_latin, reason_devanagari = rng.choice(phrases.REASONS)
    score = rng.choice(_SCORES.get(outcome, (3,)))
    words = {
        "name": name,
        "amount": f"{amount:,}",
        "when": when,
        "slot": slot_words,
        "score": str(score),
        "praise": praise,
        "complaint": complaint,
        "reason": reason_devanagari if language == "hi" else reason_latin,
    }
    words["opening"] = opening.format_map(words)
    return Facts(amount, on + timedelta(days=days), slot, score, topic, reason, new_prompt, words)
