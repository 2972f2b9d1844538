"""The sample account's calls, independent of any provider: five agents, sixty days, always the same except for dates.

`sample_calls(now)` generates dates relative to `now` in each agent's zone. Every provider's sample API renders these
calls.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from random import Random
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from formant_mcp.demo import phrases
from formant_mcp.demo.agents import Agent, Contact, contacts_of, read_agents, status_at
from formant_mcp.demo.facts import Facts, facts_of
from formant_mcp.demo.planted_calls import PlantedCall, Statement, read_planted_calls, read_stories
from formant_mcp.demo.results import results_of
from formant_mcp.demo.script import SampleTurn, Script, lines_of, timed

RecordingKind = Literal["ready", "not ready", "none"]

DAYS = 60
_SEED = 20
_NEW_PROMPT_DAYS = 7
_SPAM_LABEL_DAYS = 5
_REMINDERS, _COLLECTIONS, _DELIVERY = 123, 456, 101


@dataclass(frozen=True, slots=True)
class SampleCall:
    """One attempt to call a contact.

    `started_at` is in UTC. Calls that never connected have no turns, no results and no duration (None, or 0 for busy
    ones). A call that ends in the future is running: `as_of` returns what has happened in it so far.
    """

    conversation_id: str
    agent_id: int
    agent_name: str
    contact_number: str
    status: str
    started_at: datetime
    duration_seconds: float | None
    failure_reason: str | None
    results: dict[str, JsonValue] | None
    turns: tuple[SampleTurn, ...]
    recording: RecordingKind
    trace_id: str

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None if it never connected or is still running."""
        return self.started_at + timedelta(seconds=self.duration_seconds) if self.duration_seconds else None

    def as_of(self, now: datetime) -> "SampleCall":
        """The call as it is at `now`: while it is running, without its end, results and later turns."""
        if self.ended_at is None or self.ended_at <= now:
            return self
        elapsed = (now - self.started_at).total_seconds()
        return replace(
            self,
            status="in_progress",
            duration_seconds=None,
            results=None,
            turns=tuple(turn for turn in self.turns if turn.end_seconds <= elapsed),
            recording="not ready",
        )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt to call a contact: which one it is, when it starts, how it ends."""

    agent: Agent
    contact: Contact
    case_id: str
    number: int
    started_at: datetime
    days_back: int
    status: str


def sample_calls(now: datetime) -> tuple[SampleCall, ...]:
    """About 630 calls of the `DAYS` days before `now` (aware), newest first; two are still running (see `as_of`)."""
    rng = Random(_SEED)
    staff = {agent.agent_id: agent for agent in read_agents()}
    planted_calls, statement = read_planted_calls(), Statement.read()
    ended = [call for agent in staff.values() for call in _campaign(agent, agent.contact_count, DAYS, now, rng)]
    ended += _campaign(staff[_COLLECTIONS], 25, _NEW_PROMPT_DAYS, now, rng)
    ended += _carrier_outage(staff[_REMINDERS], now, rng)
    ended += [_planted(planted, staff[planted.agent_id], now, rng) for planted in planted_calls]
    reviewed_at = _moment(staff[_REMINDERS], now, 12, 14, rng)
    ended.append(_statement_review(statement, staff[_REMINDERS], reviewed_at, 200, rng))
    ended += _stories(staff, now)
    past = [call for call in ended if (call.ended_at or call.started_at) < now]
    running = [
        _statement_review(statement, staff[_REMINDERS], now - timedelta(minutes=4), 60, rng),
        replace(_planted(planted_calls[0], staff[_COLLECTIONS], now, rng), started_at=now - timedelta(seconds=15)),
    ]
    return tuple(sorted(past + running, key=lambda call: (call.started_at, call.trace_id), reverse=True))


def _moment(agent: Agent, now: datetime, days_back: int, hour: int, rng: Random) -> datetime:
    """A time in that hour, `days_back` days ago in the agent's zone; as UTC."""
    day = now.astimezone(agent.zone).date() - timedelta(days=days_back)
    at = time(hour, rng.randrange(60), rng.randrange(60), rng.randrange(1000) * 1000, tzinfo=agent.zone)
    return datetime.combine(day, at).astimezone(UTC)


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _campaign(agent: Agent, contact_count: int, days: int, now: datetime, rng: Random) -> Iterator[SampleCall]:
    """Ordinary calls of an agent in the last `days`: each contact is called until it answers, at most four times."""
    for contact in islice(contacts_of(agent, rng), contact_count):
        case_id, days_back, hour = _uuid(rng), rng.randrange(days), agent.hour(rng)
        for number in range(1, 5):
            status = status_at(hour, agent, number, rng)
            started_at = _moment(agent, now, days_back, hour, rng)
            yield _call(_Attempt(agent, contact, case_id, number, started_at, days_back, status), rng)
            if status in ("completed", "socket_failure") or rng.random() < 0.2:
                break
            days_back, hour = (days_back, hour + 3) if hour <= 15 else (days_back - 1, agent.hour(rng))
            if days_back < 0:
                break


def _carrier_outage(agent: Agent, now: datetime, rng: Random) -> Iterator[SampleCall]:
    """Yesterday evening's failed calls: the carrier was down from six to eight."""
    for contact in islice(contacts_of(agent, rng), 18):
        started_at = _moment(agent, now, 1, rng.choice((18, 19)), rng)
        failed = _Attempt(agent, contact, _uuid(rng), 1, started_at, 1, "telephony_failed")
        yield replace(_call(failed, rng), failure_reason=phrases.OUTAGE_REASON)


def _stories(staff: Mapping[int, Agent], now: datetime) -> Iterator[SampleCall]:
    """What signals and comparisons find. Its random numbers are its own, so that no other call depends on it."""
    rng = Random(_SEED + 1)
    for planted in read_stories():
        yield _planted(planted, staff[planted.agent_id], now, rng)
    yield from _labelled_as_spam(staff[_DELIVERY], now, rng)


def _labelled_as_spam(agent: Agent, now: datetime, rng: Random) -> Iterator[SampleCall]:
    """Four calls a day that the carrier refuses, since it labelled the agent's number."""
    for days_back in range(_SPAM_LABEL_DAYS, 0, -1):
        for contact in islice(contacts_of(agent, rng), 4):
            started_at = _moment(agent, now, days_back, agent.hour(rng), rng)
            failed = _Attempt(agent, contact, _uuid(rng), 1, started_at, days_back, "failed")
            yield replace(_call(failed, rng), failure_reason=phrases.SPAM_REASON)


def _planted(planted: PlantedCall, agent: Agent, now: datetime, rng: Random) -> SampleCall:
    started_at = _moment(agent, now, planted.days_back, planted.hour, rng)
    contact = next(contacts_of(agent, rng))
    attempt = _Attempt(agent, contact, _uuid(rng), 1, started_at, planted.days_back, "completed")
    call = _connected(attempt, planted.script, _facts(attempt, planted.script, rng, planted.amount), rng)
    return replace(call, recording="ready")


def _statement_review(
    statement: Statement, agent: Agent, started_at: datetime, entries: int, rng: Random
) -> SampleCall:
    """A very long call: about an hour with 200 entries."""
    attempt = _Attempt(agent, next(contacts_of(agent, rng)), _uuid(rng), 1, started_at, _NEW_PROMPT_DAYS, "completed")
    facts = _facts(attempt, statement.script, rng)
    turns = timed(statement.lines(facts.words, entries, rng), rng, longest_pause=10.6)
    results = results_of(agent.agent_id, statement.script, facts, rng)
    return replace(_finished(attempt, turns, results, rng), recording="ready")


def _call(attempt: _Attempt, rng: Random) -> SampleCall:
    agent, status = attempt.agent, attempt.status
    new_prompt = attempt.days_back < _NEW_PROMPT_DAYS
    scripts = agent.new_scripts if new_prompt else agent.scripts
    script = rng.choices(scripts, weights=[script.weight for script in scripts])[0]
    if status == "voicemail_left":
        script = Script("voicemail", script.language, 0, agent.shared.voicemail[script.language])
    if status in ("completed", "socket_failure", "voicemail_left"):
        return _connected(attempt, script, _facts(attempt, script, rng), rng)
    return _made(attempt, (), None, 0 if status == "busy" else None, "none", rng)


def _facts(attempt: _Attempt, script: Script, rng: Random, amount: int = 0) -> Facts:
    shared, new_prompt = attempt.agent.shared, attempt.days_back < _NEW_PROMPT_DAYS
    return facts_of(
        rng,
        name=attempt.contact.name_in(script.language),
        language=script.language,
        outcome=script.outcome,
        opening=(shared.new_openings if new_prompt else shared.openings).get(script.language, ""),
        on=attempt.started_at.astimezone(attempt.agent.zone).date(),
        new_prompt=new_prompt,
        amount=amount,
    )


def _connected(attempt: _Attempt, script: Script, facts: Facts, rng: Random) -> SampleCall:
    agent = attempt.agent
    lines = lines_of(script.lines, facts.words, agent.shared.asides[script.language], rng)
    turns = timed(lines, rng, thinking_seconds=agent.thinking_seconds)
    if attempt.status == "socket_failure":
        turns = turns[: rng.randrange(1, 4)]
    extracted = attempt.status == "completed" and rng.random() < 0.96
    return _finished(attempt, turns, results_of(agent.agent_id, script, facts, rng) if extracted else None, rng)


def _finished(
    attempt: _Attempt, turns: tuple[SampleTurn, ...], results: dict[str, JsonValue] | None, rng: Random
) -> SampleCall:
    recording: RecordingKind = rng.choices(("ready", "not ready", "none"), weights=(90, 4, 6))[0]
    return _made(attempt, turns, results, round(turns[-1].end_seconds + rng.uniform(1, 3), 1), recording, rng)


def _made(
    attempt: _Attempt,
    turns: tuple[SampleTurn, ...],
    results: dict[str, JsonValue] | None,
    duration_seconds: float | None,
    recording: RecordingKind,
    rng: Random,
) -> SampleCall:
    reasons = phrases.FAILURE_REASONS.get(attempt.status)
    return SampleCall(
        conversation_id=f"{attempt.case_id}_{attempt.number}",
        agent_id=attempt.agent.agent_id,
        agent_name=attempt.agent.name,
        contact_number=attempt.contact.number,
        status=attempt.status,
        started_at=attempt.started_at,
        duration_seconds=duration_seconds,
        failure_reason=rng.choice(reasons) if reasons else None,
        results=results,
        turns=turns,
        recording=recording,
        trace_id=_uuid(rng),
    )
