"""Every filter, with a provider that filters its list, with one that cannot, and on a store that has all calls.

All three must give the conversations that plain Python selects from the calls of the API.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from math import floor

import pytest

from formant_mcp.filters import Condition, Filters
from formant_mcp.models import Conversation
from formant_mcp.queries.conversations import ListQuery, list_conversations
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.store import AccountKey, Store
from formant_mcp.sync import Sync
from formant_mcp.sync.details import next_refresh_at
from formant_mcp.sync.list_sync import ListRequest
from tests import calls, cursor_calls
from tests.examples import each_once, some
from tests.fake_api import FakeApi
from tests.fake_cursor import FakeCursorFamily
from tests.fake_http import Request
from tests.fake_voiceos import FakeVoiceOs
from tests.mixed_calls import COUNT, LATE, row_of, started, truth, word
from tests.provider_apis import ELEVENLABS, VOICEABLE, VOICEOS, ProviderFixture
from tests.store.oracle import matches
from tests.sync.sync_harness import NOON, SECONDS, Clock

pytestmark = pytest.mark.anyio

SERVER_SIDE = {"agent_id", "user_id", "call_successful", "status"}
AFTER = ("call_start_after_unix", "created_after")
BEFORE = ("call_start_before_unix", "created_before")

PERIOD = Filters(since=started(90), until=started(30))
SINCE = Filters(since=started(60).replace(microsecond=0))
USER = cursor_calls.user_id(calls.conversation(58, NOON)["contact_number"])
BOTH: dict[str, Filters] = {
    "nothing": Filters(),
    "agent_id": Filters(agent_id="101"),
    "another's agent_id": Filters(agent_id="nobody"),
    "success": Filters(call_successful="success"),
    "failure": Filters(call_successful="failure"),
    "since": SINCE,
    "since a call's start": Filters(since=started(60)),
    "since a whole day ago": Filters(since=NOON - timedelta(days=1)),
    "until": Filters(until=started(100)),
    "until just now": Filters(until=started(1)),
    "a past period": PERIOD,
    "a past period of whole seconds": Filters(
        since=started(90).replace(microsecond=0), until=started(30).replace(microsecond=0)
    ),
    "a period up to now": Filters(since=started(40), until=started(2)),
    "an instant": Filters(since=started(49), until=started(49)),
    "min duration": Filters(min_duration_seconds=131),
    "max duration": Filters(max_duration_seconds=20),
    "durations": Filters(min_duration_seconds=57, max_duration_seconds=168),
    "contact_number": Filters(contact_number=("5550157",)),
    "failure_reason": Filters(failure_reason="BUSY"),
    "failure_reason unknown": Filters(failure_reason="unknown"),
    "agent_id, success and since": replace(SINCE, agent_id="100", call_successful="success"),
    "agent_id, failure and a past period": replace(PERIOD, agent_id="102", call_successful="failure"),
    "failure and a past period": replace(PERIOD, call_successful="failure"),
    "success and until": Filters(call_successful="success", until=started(120)),
    "contact_number and a past period": replace(PERIOD, contact_number=("57",)),
    "failure_reason and since": replace(SINCE, failure_reason="busy"),
    "durations and agent_id": Filters(agent_id="101", min_duration_seconds=60, max_duration_seconds=300),
}
OF_FAMILY: dict[str, Filters] = {
    "status done": Filters(status=("done",)),
    "status failed": Filters(status=("FAILED",)),
    "status of running calls": Filters(status=("in-progress", "initiated")),
    "user_id": Filters(user_id=USER),
    "another's user_id": Filters(user_id="user_nobody"),
    "user_id and since": Filters(user_id=USER, since=started(60)),
    "user_id and a past period": replace(PERIOD, user_id=USER),
    "user_id, agent_id and success": Filters(user_id=USER, agent_id="102", call_successful="success"),
    "a result": Filters(results=(Condition("data.intent", "=", "Dispute"),)),
    "results and a past period": replace(
        PERIOD, results=(Condition("data.csat", "<=", "3"), Condition("data.language.primary", "=", "hi"))
    ),
    "a result missing": Filters(results=(Condition("data.csat", "missing"),)),
    "a result, agent_id and success": Filters(
        agent_id="100", call_successful="success", results=(Condition("data.csat", ">=", "4"),)
    ),
    "status and since": replace(SINCE, status=("done",)),
}
OF_VOICEOS: dict[str, Filters] = {
    "status ended": Filters(status=("ended",)),
    "status started": Filters(status=("Started",)),
    "status queued": Filters(status=("queued",)),
    "statuses": Filters(status=("started", "queued")),
    "status and since": replace(SINCE, status=("ended",)),
    "status, failure and a past period": replace(PERIOD, status=("ended",), call_successful="failure"),
    "status started and success": Filters(status=("started",), call_successful="success"),
    "a result": Filters(results=(Condition("ended_reason", "=", "user_ended"),)),
    "results and a past period": replace(
        PERIOD, results=(Condition("cost.total", ">", "0.01"), Condition("ended_reason", "!=", "unknown"))
    ),
    "a result missing": Filters(results=(Condition("cost", "missing"),)),
}
PROVIDERS = (ELEVENLABS, VOICEABLE, VOICEOS)


def cases(provider: ProviderFixture) -> dict[str, Filters]:
    return BOTH | (OF_VOICEOS if provider is VOICEOS else OF_FAMILY)


# In a quick run half of `BOTH`, at each provider others. All of them follow each other on one store below.
ALONE = some([(provider, name) for provider in PROVIDERS for name in cases(provider)], 6)


@dataclass
class FilteredAccount:
    """An account over the provider's API, with its store and clock."""

    provider: ProviderFixture
    api: FakeApi
    loader: Loader
    clock: Clock

    async def ids(self, filters: Filters) -> list[str]:
        """The ids of all pages of the list, each of which must be complete."""
        ids: list[str] = []
        cursor = ""
        while True:
            call = RequestContext(self.clock.now(), SECONDS)
            listing = await list_conversations(
                self.loader, call, ListQuery(filters, str(filters), limit=40, cursor=cursor)
            )
            assert listing.coverage.complete, listing.coverage.note
            ids += [row.conversation.conversation_id for row in listing.rows]
            assert listing.shown == len(ids)
            cursor = listing.next_cursor
            if not cursor:
                assert listing.coverage.matched == len(ids)
                return ids

    async def load_all(self) -> None:
        coverage = await self.loader.ensure_loaded(
            RequestContext(self.clock.now(), SECONDS), DataRequest(Filters(), ListRequest(), with_details=True)
        )
        assert (coverage.complete, coverage.details_read) == (True, COUNT)

    def list_requests(self) -> list[Request]:
        return [request for request in self.api.requests if request.path.endswith("/conversations")]


@asynccontextmanager
async def account(
    provider: ProviderFixture, *, bounds_included: bool, narrows: bool
) -> AsyncGenerator[FilteredAccount]:
    """A new store, over an API with all the calls."""
    async with provider.opened() as opened:
        api, source, clock = opened.api, opened.source, Clock()
        assert isinstance(api, FakeCursorFamily | FakeVoiceOs)
        assert source.pagination == "cursor"
        api.bounds_included = bounds_included
        api.conversations = [row_of(provider, n) for n in range(COUNT)]
        if isinstance(api, FakeVoiceOs):
            waited = {n: timedelta(hours=n % 23) for n in range(COUNT) if n % LATE == 0 or word(n) == "queued"}
            api.created_at = {calls.conversation_id(n): started(n) - waited[n] for n in waited}
        if not narrows:
            source.spec = replace(source.spec, server_side_filters=frozenset())
        store = await Store.open(None, AccountKey("service", "account"), next_refresh_at)
        sync = Sync(source, store, clock.now)
        try:
            yield FilteredAccount(provider, api, Loader(sync, store), clock)
        finally:
            await sync.aclose()
            await store.close()


@cache
def held(provider: ProviderFixture) -> tuple[Conversation, ...]:
    """All calls of the account."""
    return tuple(truth(provider, n) for n in range(COUNT))


def expected(provider: ProviderFixture, filters: Filters) -> set[str]:
    return {conversation.conversation_id for conversation in held(provider) if matches(conversation, filters)}


def seconds_of(sent: str) -> float:
    return float(sent) if sent.isdigit() else datetime.fromisoformat(sent).timestamp()


def stated(requests: list[Request], names: tuple[str, str]) -> list[float]:
    """The times that requests sent under one of these names, in seconds since the epoch."""
    return [seconds_of(request.query[name]) for request in requests for name in names if name in request.query]


def narrowed_by(provider: ProviderFixture, filters: Filters) -> dict[str, str]:
    """The parameters that every list request must have, apart from times."""
    if provider is not VOICEOS:
        parameters = {"agent_id": filters.agent_id, "user_id": filters.user_id}
        success = {} if filters.call_successful == "any" else {"call_successful": filters.call_successful}
        return {name: value for name, value in parameters.items() if value} | success
    if len(filters.status) == 1:
        return {"status": filters.status[0].lower()}
    return {} if filters.call_successful == "any" else {"status": "ended"}


@pytest.mark.parametrize(
    ("provider", "name"),
    [pytest.param(provider, name, id=f"{provider.name}: {name}") for provider, name in ALONE],
)
async def test_a_filter_matches_the_same_calls_with_and_without_server_side_filters(
    provider: ProviderFixture, name: str
) -> None:
    filters = cases(provider)[name]
    by_provider = [
        await ids_by_provider(provider, filters, bounds_included=bounds_included)
        for bounds_included in ((True, False) if filters.since or filters.until else (True,))
    ]
    async with account(provider, bounds_included=True, narrows=False) as filtered:
        by_us = await filtered.ids(filters)
        assert not any(SERVER_SIDE & request.query.keys() for request in filtered.list_requests())
        assert stated(filtered.list_requests(), AFTER) + stated(filtered.list_requests(), BEFORE) == []  # nor bounds
    assert by_provider == [by_us] * len(by_provider)


async def ids_by_provider(provider: ProviderFixture, filters: Filters, *, bounds_included: bool) -> list[str]:
    """The ids of a provider that filters its list, by requests that let it do so as far as it can."""
    async with account(provider, bounds_included=bounds_included, narrows=True) as filtered:
        ids = await filtered.ids(filters)
        carried = filtered.list_requests()
    assert len(ids) == len(set(ids))
    assert set(ids) == expected(provider, filters)
    # The list of a user without calls is requested once, to see whether the provider filters by user. If nothing
    # matches, some of the account's calls are listed at the end, to name the values that exist.
    carried = [request for request in carried if request.query.get("user_id") != "formant-mcp-nobody"]
    if not ids:
        carried = [request for request in carried if stated([request], AFTER)] if filters.since else carried[:1]
    assert_narrowed(provider, filters, carried)
    return ids


def assert_narrowed(provider: ProviderFixture, filters: Filters, carried: list[Request]) -> None:
    """Asserts that the requests filter by all that the provider can, and leave out nothing that may match."""
    wanted = narrowed_by(provider, filters)
    assert carried
    for request in carried:
        assert {name: request.query[name] for name in SERVER_SIDE & request.query.keys()} == wanted
    is_over = filters.until is not None and filters.until < NOON - timedelta(days=1)
    hour = 3_600 if is_over else 0  # a period that is over is requested in whole hours
    if filters.since:
        waits = timedelta(days=1) if provider is VOICEOS else timedelta()
        after = stated(carried, AFTER)
        assert len(after) == len(carried)
        assert -2 - hour <= min(after) - floor((filters.since - waits).timestamp()) <= -1
    if filters.since and filters.until and is_over:
        before = stated(carried, BEFORE)
        assert len(before) == len(carried)
        assert 0 < max(before) - filters.until.timestamp() <= 2 + hour


@pytest.mark.parametrize(("provider", "narrows"), each_once(some(PROVIDERS, 2), [True, False]))
async def test_a_filter_matches_the_same_calls_on_a_loaded_store(provider: ProviderFixture, narrows: bool) -> None:
    async with account(provider, bounds_included=True, narrows=narrows) as filtered:
        await filtered.load_all()
        for name, filters in cases(provider).items():
            ids = await filtered.ids(filters)
            assert len(ids) == len(set(ids)), name
            assert set(ids) == expected(provider, filters), name


@pytest.mark.parametrize("provider", some(PROVIDERS, 2), ids=lambda provider: provider.name)
async def test_filters_in_sequence_on_one_store_each_match_their_calls(provider: ProviderFixture) -> None:
    async with account(provider, bounds_included=False, narrows=True) as filtered:
        for name, filters in sorted(cases(provider).items(), key=lambda case: case[0] == "nothing"):
            ids = await filtered.ids(filters)
            assert len(ids) == len(set(ids)), name
            assert set(ids) == expected(provider, filters), name


def test_the_filters_under_test_match_some_calls_but_not_all() -> None:
    for provider in PROVIDERS:
        by_case = {name: expected(provider, filters) for name, filters in cases(provider).items()}
        asks_all = {name for name, ids in by_case.items() if len(ids) == COUNT}
        asks_none = {name for name, ids in by_case.items() if not ids}
        reasons = {name for name in by_case if name.startswith("failure_reason")}  # whose words differ by provider
        assert asks_all == {"nothing"}
        assert asks_none - reasons <= {"another's agent_id", "another's user_id", "status started and success"}
