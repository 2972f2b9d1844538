"""Accounts of which a part is missing, and what the tools say of them: for `test_incomplete_answers`."""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.app import App
from formant_mcp.errors import FormantError, ServiceError
from formant_mcp.exports import ExportsFolder
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Conversation, Page, Turn
from formant_mcp.providers.rate_limit import Ledger
from formant_mcp.queries.account import Account
from formant_mcp.queries.loader import RequestContext
from formant_mcp.recordings import RecordingsFolder
from formant_mcp.server.tools import TOOLS
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from tests.queries.static_provider import StaticProvider
from tests.store.oracle import NOW, OUTCOMES
from tests.text_matches_structure import assert_same_facts

UNREAD, NONE = "(not read yet)", "(none)"
START = NOW - timedelta(hours=30)
LATER = timedelta(minutes=10)
INTENTS, REASONS = ("dispute", "refund", "very angry"), ("line dropped", "voicemail")
TOOL = {tool.name: tool for tool in TOOLS}
Figures = dict[str, JsonValue]


@dataclass(frozen=True)
class Situation:
    """The account as it was when first loaded (or not), as it is, and what of it cannot be had."""

    before: tuple[Conversation, ...]
    now: tuple[Conversation, ...]
    failing: frozenset[str]
    loaded_before: frozenset[str]
    pages: int
    seconds: float
    detail_only_fields: frozenset[str]


class FailingProvider(StaticProvider):
    """List rows without details; some details fail, and the list from some page on."""

    page_size = 4

    def __init__(self, situation: Situation) -> None:
        super().__init__([])
        self.spec = replace(self.spec, detail_only_fields=situation.detail_only_fields)
        self.pages = 99
        self.failing = frozenset[str]()
        self.requests_per_minute: float | None = None
        self.waits = False

    def show(self, calls: Iterable[Conversation]) -> None:
        self._calls = [call._replace(has_detail=True, failure_reason_known=True) for call in calls]

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        if offset >= self.pages * self.page_size:
            raise ServiceError("The API failed (502).")
        page = await super().list_page(offset, filters)
        return replace(page, conversations=tuple(self._row(call) for call in page.conversations))

    def share_rate_limit(self, ledger: Ledger) -> None:
        """No requests are sent."""

    async def get_conversation(self, conversation_id: str) -> Conversation:
        if self.waits:
            await asyncio.Event().wait()
        if conversation_id in self.failing:
            raise ServiceError("The API failed (502).")
        return await super().get_conversation(conversation_id)

    def _row(self, call: Conversation) -> Conversation:
        hidden = dict.fromkeys(self.spec.detail_only_fields)
        return call._replace(
            results=None, turns=None, failure_reason=None, failure_reason_known=False, has_detail=False, **hidden
        )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Up to ten calls, the newest first."""
    count = draw(st.integers(0, 10))
    now = tuple(draw(a_call(n)) for n in range(count))
    ids = [call.conversation_id for call in now]
    some = st.sets(st.sampled_from(ids)).map(frozenset) if ids else st.just(frozenset[str]())
    running = draw(some)
    before = tuple(
        call._replace(status="in_progress", outcome=None, ended=False, results=None, failure_reason=None, turns=None)
        if call.conversation_id in running
        else call
        for call in now
    )
    return Situation(
        before=before,
        now=now,
        failing=draw(some),
        loaded_before=draw(some),
        pages=draw(st.sampled_from([0, 1, 2, 99, 99, 99])),
        seconds=draw(st.sampled_from([0.0, 60.0, 60.0, 60.0])),
        detail_only_fields=draw(st.sampled_from([frozenset[str](), frozenset({"contact_number"})])),
    )


@st.composite
def a_call(draw: st.DrawFn, n: int) -> Conversation:
    outcome = draw(st.sampled_from(OUTCOMES))
    intent, csat = draw(st.sampled_from([*INTENTS, None])), draw(st.sampled_from([1, 2, 5, None]))
    results: dict[str, JsonValue] = {
        name: value for name, value in [("intent", intent), ("csat", csat)] if value is not None
    }
    return Conversation(
        f"call-{n:04d}",
        agent_id=draw(st.sampled_from(["7", "8"])),
        agent_name="Sales",
        contact_number=draw(st.sampled_from(["+919876543210", "+14155550100"])),
        status="completed" if outcome == "success" else "failed",
        outcome=outcome,
        failure_reason=None if outcome == "success" else draw(st.sampled_from([*REASONS, None])),
        started_at=START - n * timedelta(minutes=1),
        duration_seconds=draw(st.sampled_from([10.0, 20.0])),
        results=results or None,
        turns=(
            Turn(0, "agent", "Good morning.", 0.0),
            Turn(1, "contact", draw(st.sampled_from(["yes", "no way"])), 2.0),
        ),
    )


A_CALL = Conversation(
    "call-0000", agent_id="7", agent_name="Sales", status="completed", outcome="success", started_at=START
)


@dataclass
class Said:
    """What a tool said, twice."""

    text: str
    structure: Figures

    @property
    def coverage(self) -> Figures:
        return objects([self.structure["coverage"]])[0]

    @property
    def note(self) -> str:
        return str(self.coverage.get("note", ""))


class ToolsHarness:
    """The tools over an account that partly fails, in this process; the clock moves each time it is read."""

    def __init__(self, situation: Situation, store: Store, exports: Path | None = None) -> None:
        self.situation = situation
        self.store = store
        self.moment = START + timedelta(minutes=2)
        self.source = FailingProvider(situation)
        self.app = App(
            Account(Sync(self.source, store, self.clock), store),
            store.members,
            RecordingsFolder(None),  # pyright: ignore[reportArgumentType]
            ExportsFolder(exports),  # pyright: ignore[reportArgumentType]
            ZoneInfo("UTC"),
            60,
            self.clock,
        )

    @classmethod
    async def open(cls, situation: Situation, exports: Path | None = None) -> "ToolsHarness":
        return cls(situation, await Store.open(None, AccountKey("service", "test"), next_refresh_at), exports)

    def clock(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment

    async def prepare(self) -> None:
        """Loads what was loaded before; then some calls end, and the provider fails."""
        situation = self.situation
        self.source.show(situation.before)
        if situation.loaded_before:
            self.source.failing = frozenset(call.conversation_id for call in situation.before) - situation.loaded_before
            await self.ask("summarize_results")
        self.source.show(situation.now)
        self.source.failing, self.source.pages = situation.failing, situation.pages
        self.moment += LATER

    async def ask(self, tool: str, seconds: float = 60.0, **arguments: JsonValue) -> Said:
        reply = await TOOL[tool].call(self.app, dict(arguments), RequestContext(self.clock(), seconds))
        structure = reply.structured.model_dump(mode="json", exclude_none=True)
        assert_same_facts(reply.text, structure)
        return Said(reply.text, structure)


def answers(situation: Situation, tool: str, **arguments: JsonValue) -> Said | None:
    """The answer; None where nothing at all could be answered, which is said as an error."""

    async def ask() -> Said | None:
        harness = await ToolsHarness.open(situation)
        try:
            await harness.prepare()
            return await harness.ask(tool, situation.seconds, **arguments)
        except FormantError:
            return None
        finally:
            await harness.app.aclose()

    return asyncio.run(ask())


def objects(value: JsonValue) -> list[Figures]:
    assert isinstance(value, list)
    return [each for each in value if isinstance(each, dict)]


def pairs(value: JsonValue) -> dict[str, int]:
    """Values, each with how many calls have it."""
    found: dict[str, int] = {}
    for pair in value if isinstance(value, list) else []:
        assert isinstance(pair, list)
        found[str(pair[0])] = count(pair[1])
    return found


def count(value: JsonValue) -> int:
    assert isinstance(value, int)
    return value


def number(value: JsonValue) -> float:
    assert isinstance(value, int | float)
    return float(value)


def value_of(call: Conversation, name: str) -> str:
    if name.startswith("results."):
        return str((call.results or {}).get(name.removeprefix("results."), NONE))
    return str(getattr(call, name) or NONE)


def successes(calls: Iterable[Conversation]) -> int:
    return sum(call.outcome == "success" for call in calls)


FILTERS: list[dict[str, JsonValue]] = [
    {},
    {"agent_id": "7"},
    {"status": ["failed"]},
    {"results": ["intent=dispute"]},
    {"results": ["intent missing"]},
    {"failure_reason": "voicemail"},
    {"contact_number": "43210"},
    {"agent_id": "nobody"},
    {"results": ["intent=never"]},
    {"results": ["intent!=disptue"]},
    {"results": ["intent=verry angry"]},
    {"status": ["never"]},
]


def matching(situation: Situation, asked: Figures) -> list[Conversation]:
    """The calls that match as they are now."""
    return [call for call in situation.now if matches(call, asked)]


def matching_then(situation: Situation, asked: Figures) -> list[Conversation]:
    """The calls that match, each with the status of now and (an old list is said to be old) with the one before."""
    old = [
        call._replace(status=before.status, outcome=before.outcome)
        for call, before in zip(situation.now, situation.before, strict=True)
        if call.status != before.status
    ]
    return [call for call in [*situation.now, *old] if matches(call, asked)]


def matches(call: Conversation, asked: Figures) -> bool:
    intent = value_of(call, "results.intent")
    if asked == {"results": ["intent!=disptue"]}:
        return intent != NONE
    facts: Figures = {
        "agent_id": call.agent_id,
        "status": [call.status],
        "failure_reason": call.failure_reason,
        "contact_number": str(call.contact_number)[-5:],
        "results": ["intent missing" if intent == NONE else f"intent={intent}"],
    }
    return all(facts[name] == value for name, value in asked.items())


@contextmanager
def explained(*facts: object) -> Generator[None]:
    try:
        yield
    except AssertionError as error:
        error.add_note("\n".join(str(fact) for fact in facts))
        raise
