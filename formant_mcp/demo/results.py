"""The results that each sample agent extracts from a call: flat or nested, with different keys for each agent."""

from random import Random

from pydantic import JsonValue

from formant_mcp.demo.facts import Facts
from formant_mcp.demo.script import Script

_SENTIMENTS = {
    "payment_confirmed": "positive", "promise_to_pay": "neutral", "confirmed": "positive", "satisfied": "positive",
    "dispute": "negative", "refusal": "negative", "refund_request": "negative", "dissatisfied": "negative",
    "hardship": "negative", "wrong_number": "neutral",
}  # fmt: skip


def results_of(agent_id: int, script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    """The results of a call of that agent, in agreement with its transcript."""
    extract = {123: _reminder, 456: _collection, 789: _survey, 452: _appointment, 101: _delivery}[agent_id]
    return extract(script, facts, rng)


def _sentiment(script: Script) -> str:
    return _SENTIMENTS.get(script.outcome, "neutral")


def _reminder(script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    """Flat; promised and refunded amounts only for calls that have them, null after a denial."""
    results: dict[str, JsonValue] = {
        "intent": script.outcome,
        "sentiment": _sentiment(script),
        "language": script.language,
        "amount_due": facts.amount,
    }
    if script.outcome in ("payment_confirmed", "will_pay_later"):
        results |= {"promised_amount": facts.amount, "promised_date": facts.promised_on.isoformat()}
    if script.outcome == "already_paid":
        results |= {"promised_amount": None, "paid": True}
    if script.outcome == "refund_request":
        results |= {"refund_amount": facts.amount, "paid": True}
    return results


def _collection(script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    promised = script.outcome == "promise_to_pay"
    tags: list[JsonValue] = [script.outcome]
    if "{opening}" in script.lines and facts.new_prompt:
        tags.append("late_fee_mentioned")
    legal = "legal notice" in script.lines
    if legal:
        tags.append("legal_threat")
    return {
        "intent": script.outcome,
        "language": {"primary": script.language, "confidence": round(rng.uniform(0.78, 0.99), 2)},
        "promise": {"amount": facts.amount, "date": facts.promised_on.isoformat()} if promised else None,
        "sentiment_analysis": {
            "overall_sentiment": _sentiment(script),
            "confidence": round(rng.uniform(0.6, 0.98), 2),
        },
        "escalate": legal,
        "prompt_version": "v8" if facts.new_prompt else "v7",
        "tags": tags,
    }


def _survey(script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    if script.outcome == "declined":
        return {"csat": None, "would_recommend": None, "topics": []}
    return {
        "csat": facts.score,
        "nps": min(10, facts.score * 2 + rng.randrange(2)),
        "would_recommend": facts.score >= 4,
        "topics": [facts.topic],
        "comment": facts.words["complaint"] if facts.score <= 3 else None,
    }


def _appointment(script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    moved = f"{facts.promised_on.isoformat()}T{facts.slot}" if script.outcome == "rescheduled" else None
    return {
        "appointment": {"outcome": script.outcome, "confirmed": script.outcome == "confirmed", "moved_to": moved},
        "call_quality": rng.choice(("excellent", "excellent", "good", "poor")),
        "transcription_confidence": round(rng.uniform(0.85, 0.99), 2),
    }


def _delivery(script: Script, facts: Facts, rng: Random) -> dict[str, JsonValue]:
    moved = script.outcome == "rescheduled"
    return {
        "outcome": script.outcome,
        "language": {"primary": script.language, "mixed": True},
        "slot": {"date": facts.promised_on.isoformat(), "window": facts.slot} if moved else None,
        "reason": facts.reason if moved else None,
        "attempts_so_far": rng.randrange(1, 4),
        "address_confirmed": None if script.outcome == "cancelled" else script.outcome != "address_changed",
    }
