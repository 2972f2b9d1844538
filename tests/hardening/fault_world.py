"""An account whose calls come, end and go, and what is true of it, from the values that its calls are built from."""

import random
from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests import calls
from tests.calls import Row
from tests.fake_api import FakeApi, Order
from tests.fake_voiceos import FakeVoiceOs
from tests.provider_apis import FORMANT, PROVIDERS, VOICEOS, ProviderFixture
from tests.server_harness import NOW, ZONE

RUNNING = "in_progress"
_WORDS = ("completed", "no_answer", "completed", "busy", "failed", "completed")
_AGENTS = (101, 102, 103)
_CHANGES_AT = (4, 9, 15)  # requests


@dataclass(frozen=True)
class Scenario:
    """`count` calls, `rows` on a page; `changes`: some come, end and go while they are read. `skew_minutes`: how far
    the provider's clock is ahead. `is_cold`: the first question loads everything, else a pass before it."""

    provider: ProviderFixture
    count: int
    rows: int
    order: Order
    changes: bool
    is_cold: bool
    skew_minutes: int

    @property
    def name(self) -> str:
        what = [self.provider.name, f"{self.count}", self.order]
        flags = {"changes": self.changes, "cold": self.is_cold, f"{self.skew_minutes:+} min": bool(self.skew_minutes)}
        return " ".join([*what, *(name for name, is_set in flags.items() if is_set)])


def scenarios(count: int) -> list[Scenario]:
    """So many, of all providers alike."""
    sizes = ((0, 100), (4, 100), (13, 5), (18, 6), (11, 3), (24, 2))
    made: list[Scenario] = []
    for n in range(count):
        place = n // len(PROVIDERS)
        size, rows = sizes[place % len(sizes)]
        made.append(
            Scenario(
                PROVIDERS[n % len(PROVIDERS)],
                size,
                rows,
                ("newest", "oldest", "none")[place % 3],
                changes=place % 4 in (1, 2),
                is_cold=place % 2 == 1,
                skew_minutes=(0, 10, -10)[(place // 2) % 3],
            )
        )
    return made


@dataclass(frozen=True)
class Call:
    """What is true of a call: `word` is how it stands, in Formant's words."""

    number: int
    started_at: datetime
    agent: int
    word: str
    row: Row = field(compare=False)

    @property
    def id(self) -> str:
        return calls.conversation_id(self.number)

    @property
    def status(self) -> str:
        return str(self.row["status"])

    @property
    def completed(self) -> bool:
        return self.word == "completed"

    @property
    def outcome(self) -> str:
        return "" if self.word == RUNNING else "success" if self.completed else "failure"

    @property
    def day(self) -> str:
        return self.started_at.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d")

    @property
    def lines(self) -> list[str]:
        said = calls.detail({"conversation_id": self.id, "status": "completed"})["transcript"]
        assert isinstance(said, list)
        return [str(turn["message"]) for turn in said if isinstance(turn, dict)] if self.completed else []


@dataclass
class World:
    """The account of a scenario, served by `api`."""

    scenario: Scenario
    now: Callable[[], datetime]
    api: FakeApi = field(init=False)
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    ever: list[Call] = field(default_factory=list[Call])
    gone: list[Call] = field(default_factory=list[Call])
    _changes: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.api = scenario.provider.api()
        self.api.rows_per_page_cap, self.api.order = scenario.rows, scenario.order
        for n in range(scenario.count):
            self._put(n, NOW - timedelta(days=2, hours=7 * n), _WORDS[n % len(_WORDS)])
        if scenario.changes and scenario.count:
            self._put(500, NOW - timedelta(minutes=9, seconds=17), RUNNING)
            self._changes = [self._come, self._end, *([] if self.is_by_index else [self._go])]
            self.api.on_request = lambda _: self._change_at(len(self.api.requests))

    @property
    def is_by_index(self) -> bool:
        """Whether a call that goes while pages are read may hide another, as decision 9 says."""
        return isinstance(self.api, FakeVoiceOs)

    @property
    def version(self) -> int:
        """Another after each change."""
        return len(self._changes)

    @property
    def may_keep_gone(self) -> bool:
        """Whether calls that are gone are found out once a day, because the provider states no total."""
        return self.scenario.provider is not FORMANT

    def settle(self) -> None:
        """Makes the changes that are still to come."""
        while self._changes:
            self._changes.pop(0)()

    def matching(self, is_match: Callable[[Call], bool]) -> list[Call]:
        """The newest first."""
        return sorted(filter(is_match, self.calls.values()), key=lambda call: call.started_at, reverse=True)

    def with_gone(self) -> "World":
        """The account as if nothing had gone."""
        other = copy(self)
        other.calls = self.calls | {call.id: call for call in self.gone}
        return other

    def _change_at(self, requests: int) -> None:
        if self._changes and requests >= _CHANGES_AT[-len(self._changes)]:
            self._changes.pop(0)()

    def _put(self, n: int, started_at: datetime, word: str) -> None:
        agent, provider = _AGENTS[n % 3], self.scenario.provider
        started_at = started_at.replace(microsecond=0)
        row = provider.call(n, started_at, agent_id=agent, status=word)
        call = Call(n, started_at, agent, word, row)
        place = next((at for at, held in enumerate(self.api.conversations) if self.api.id_of(held) == call.id), None)
        if place is not None:
            self.api.remove(call.id)
        self.api.add(row, at=place or 0)
        self.calls[call.id] = call
        self.ever.append(call)

    def _come(self) -> None:
        skew = timedelta(minutes=self.scenario.skew_minutes)
        self._put(600, self.now() + skew - timedelta(minutes=1), "completed")

    def _end(self) -> None:
        running = self.calls[calls.conversation_id(500)]
        self._put(500, running.started_at, "completed")

    def _go(self) -> None:
        call = self.calls.pop(calls.conversation_id(self.scenario.count // 2))
        self.gone.append(call)
        self.api.remove(call.id)


def most(world: World, label: Callable[[Call], str]) -> Counter[str]:
    """How many calls have each label, or ever had it."""
    return Counter(label for _, label in {(call.id, label(call)) for call in world.ever})


def result_condition(provider: ProviderFixture, intent: str) -> str:
    """A condition on results that completed calls with that intent meet; VoiceOS' calls have none."""
    return "ended_reason=user_ended" if provider is VOICEOS else f"{result_path(provider)}={intent}"


def result_path(provider: ProviderFixture) -> str:
    return "intent" if provider is FORMANT else "ended_reason" if provider is VOICEOS else "data.intent"


def intent_of(call: Call, provider: ProviderFixture) -> str:
    """Its label by `result_path`."""
    if provider is VOICEOS:
        return "(none)" if call.word == RUNNING else "user_ended" if call.completed else "unknown"
    results = calls.detail({"conversation_id": call.id, "status": call.word})["results"]
    return str(results["intent"]) if isinstance(results, dict) else "(none)"


def some_ids(world: World, chance: random.Random, count: int) -> list[str]:
    ids = sorted(world.calls)
    return chance.sample(ids, min(count, len(ids)))
