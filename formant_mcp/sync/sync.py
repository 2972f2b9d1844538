"""Reads what a question needs within the time it has; the rest follows in the background."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from formant_mcp.analysis.signals import Need
from formant_mcp.errors import FormantError, InvalidResponseError, StoreError, UnavailableError
from formant_mcp.filters import Filters
from formant_mcp.providers.base import AnyProvider, Recording
from formant_mcp.store import Store
from formant_mcp.sync.background import BackgroundJobs, Leases, Progress, Report
from formant_mcp.sync.cursor.list_sync import CursorListSync
from formant_mcp.sync.details import FAILS_ALONE, Details
from formant_mcp.sync.list_sync import ListRequest, ListStatus, ListSync, SyncParts
from formant_mcp.sync.offset.list_sync import OffsetListSync

_log = logging.getLogger(__name__)
_RETENTION = "retention"  # the lease
_DELETE_EVERY_SECONDS = 600
_MEASURING_SHARE = 1 / 3  # of a question's time: its list and details must be read, too

T = TypeVar("T")


class Sync:
    """The only way from the provider into the store."""

    def __init__(self, provider: AnyProvider, store: Store, now: Callable[[], datetime]) -> None:
        self._provider = provider
        self._store = store
        self._now = now
        self._jobs = BackgroundJobs(store.purge.note_begin)
        self._leases = Leases(store.sync_state, now)
        self._has_begun = self._has_measured = False
        provider.share_rate_limit(self._change_rate_limit)
        self._details = Details(provider, store, self._jobs, self._leases, now)
        parts = SyncParts(store, self._details, self._jobs, self._leases, now)
        self._lists: ListSync = (
            CursorListSync(provider, parts) if provider.pagination == "cursor" else OffsetListSync(provider, parts)
        )

    async def refresh_list(self, request: ListRequest, seconds: float, report: Report | None = None) -> ListStatus:
        """Updates that part of the list; returns its status then, with an error that may pass or leaves stored data.

        Raises:
            FormantError: it will not pass by itself (a refused key; of a list not stored yet, a wrong answer).
        """
        given, request = request, self._lists.supported(request)
        requested_at, ends = self._now(), asyncio.get_running_loop().time() + seconds
        checked_since = request.checked_since(requested_at)
        key = ("list", replace(request, fresh_since=None))
        status = await self._lists.status(request, checked_since)
        passing = (UnavailableError,) if status.as_of is None else (UnavailableError, InvalidResponseError)
        # A second time where another question had begun to read: maybe before this one came.
        for _ in range(2):
            if status.is_complete and not status.has_running:
                break
            is_shared, seconds = self._jobs.is_running(key), ends - asyncio.get_running_loop().time()
            error = await self._wait(key, lambda job: self._lists.refresh(request, job), seconds, report, passing)
            status = replace(await self._lists.status(request, checked_since), error=error)
            if error or not is_shared:
                break
        return self._with_kept(status, given)

    def _with_kept(self, status: ListStatus, request: ListRequest) -> ListStatus:
        """The status, which says so where calls may match that are too old to be kept."""
        kept_from, since = self._store.retention.kept_from(self._now()), request.filters.since
        has_all = status.total is not None and status.total <= status.stored
        if kept_from is None or (since and since >= kept_from) or has_all:
            return status
        return replace(status, kept_from=kept_from, list_total=None)  # the provider's count has older calls

    async def fetch_first_page(self, seconds: float) -> None:
        """Reads the first page of the list where nothing is stored: one request, once, and no claim about the rest.

        Raises:
            FormantError: it cannot be read now.
        """
        if self._has_begun or await self._store.read.count_seen(""):
            return

        async def work(_: Progress) -> None:
            if self._provider.pagination == "cursor":
                page = (await self._provider.list_page("", Filters())).page
            else:
                page = await self._provider.list_page(0, Filters())
            await self._store.write.save(page.conversations, self._now())
            self._has_begun = True

        if error := await self._wait("first page", work, seconds, None, (UnavailableError,)):
            raise error

    async def fetch_details(
        self, conversation_ids: Sequence[str], seconds: float, report: Report | None = None
    ) -> FormantError | None:
        """Reads transcripts and results of these, in their order; returns what prevented it, if it may pass.

        Those that could not be read a short while ago are left alone.

        Raises:
            FormantError: it will not pass by itself (a refused key, or one that may read no details at all).
        """
        waiting = await self._store.read.waiting(self._now()) if conversation_ids else set[str]()
        ids = tuple(conversation_id for conversation_id in conversation_ids if conversation_id not in waiting)
        if not ids:
            return None
        passing = (UnavailableError, InvalidResponseError)
        return await self._wait(
            ("details", ids),
            lambda progress: self._details.read(ids, progress, for_question=True),
            seconds,
            report,
            passing,
        )

    async def fetch_one(self, conversation_id: str, requested_at: datetime, seconds: float) -> FormantError | None:
        """Reads one conversation where it is due; returns what prevented it, if it may pass or the call is stored.

        Raises:
            FormantError: it will not pass by itself, such as NotFoundError of a conversation that is not stored.
        """
        is_stored = conversation_id in await self._store.read.get([conversation_id])
        passing = (UnavailableError, *FAILS_ALONE) if is_stored else (UnavailableError,)
        return await self._wait(
            ("one", conversation_id),
            lambda _: self._details.read_one(conversation_id, requested_at),
            seconds,
            None,
            passing,
        )

    async def fetch_again(self, conversation_id: str, seconds: float) -> FormantError | None:
        """Reads one conversation, stored or not; returns what prevented it, if it may pass.

        Raises:
            FormantError: it will not pass by itself, such as NotFoundError.
        """
        return await self._wait(
            ("again", conversation_id),
            lambda _: self._details.read_again(conversation_id),
            seconds,
            None,
            (UnavailableError,),
        )

    async def fetch_recording(
        self, conversation_id: str, save: Callable[[Recording], Awaitable[T]], seconds: float, purpose: str = "file"
    ) -> T | None:
        """Hands a recording to `save` and returns its result; None where the time was too short.

        The download then goes on, and if it succeeds, the next call for the same `purpose` returns its result.

        Raises:
            FormantError: there is none, or it cannot be had or saved.
        """

        async def work(_: Progress) -> T:
            async with self._provider.open_recording(conversation_id) as recording:
                return await save(recording)

        try:
            async with asyncio.timeout(seconds):
                return await self._jobs.join(("recording", purpose, conversation_id), work, keep=True)
        except TimeoutError:
            return None

    async def measure_stored(self, seconds: float) -> None:
        """Measures stored calls whose signals are due, within a part of that time; the rest follows in the background.

        Raises:
            StoreError: they cannot be saved.
        """
        if self._has_measured or await self._store.signals.are_measured():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds * _MEASURING_SHARE)):
                await self._jobs.join("measure", self._measure)

    def start_measuring(self) -> None:
        """Does the same in the background."""
        self._jobs.start("measure", self._measure)

    async def start_retention(self, seconds: float, forget: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Deletes what is too old, now and every few minutes; waits for the first time, as long as given.

        `forget`: deletes what else there is of such calls.
        """
        if self._store.retention.span is None:
            return

        async def delete(_: Progress) -> None:
            try:
                await self._delete_old(forget)
            except StoreError as error:  # what is stored can still be read
                _log.warning("Old calls are not deleted: %s", error)

        async def go_on(progress: Progress) -> None:
            while True:
                await asyncio.sleep(_DELETE_EVERY_SECONDS)
                await delete(progress)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._jobs.join("old calls", delete)

        self._jobs.start("retention", go_on)

    async def _delete_old(self, forget: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        retention = self._store.retention
        kept_from = retention.kept_from(self._now())
        if kept_from is None or not await self._leases.take(_RETENTION):  # one server at a time
            return
        try:
            while old := await retention.expired(kept_from):
                await forget(old)
                await retention.delete(old, kept_from)
                await self._jobs.yield_to_waiting()
            while await retention.drop_unused(kept_from):
                await self._jobs.yield_to_waiting()
        finally:
            await self._leases.drop(_RETENTION)

    async def list_status(self, request: ListRequest, requested_at: datetime) -> ListStatus:
        """How far the store answers that request now, for a question of that time."""
        status = await self._lists.status(self._lists.supported(request), request.checked_since(requested_at))
        return self._with_kept(status, request)

    async def knows_all(self, agent_id: str = "") -> bool:
        """Whether the whole list, or that agent's own, was stored as far as it is kept when it was last checked."""
        state, kept_from = (
            await self._store.sync_state.list_state(agent_id),
            self._store.retention.kept_from(self._now()),
        )
        is_covered = kept_from is not None and state.covered_from is not None and state.covered_from <= kept_from
        return state.knows_all or (is_covered and not state.ends_early)

    @property
    def unmeasured(self) -> frozenset[Need]:
        """What signals may need and the provider never sends."""
        return self._provider.spec.unmeasured

    @property
    def unsupported_filters(self) -> frozenset[str]:
        """The filters that the provider has no field for."""
        return self._provider.spec.unsupported_filters

    @property
    def recording_type(self) -> str:
        """The media type that the provider's recordings usually have."""
        return self._provider.spec.recording_type

    @property
    def detail_only_fields(self) -> frozenset[str]:
        """The filters that a list row does not answer, nor the provider for it."""
        return self._provider.spec.detail_only_fields - self._provider.spec.server_side_filters

    @property
    def requests_per_minute(self) -> float | None:
        """The rate limit the provider last stated, else the recent request rate; None if neither is available."""
        return self._provider.requests_per_minute

    async def aclose(self) -> None:
        """Ends what runs in the background; what was read is in the store."""
        await self._jobs.aclose()
        await self._leases.aclose()
        await self._provider.aclose()

    async def _measure(self, _: Progress) -> None:
        async with self._leases.hold("measure"):  # one server at a time
            row = await self._store.signals.make_due()
            while row:
                await self._jobs.yield_to_waiting()
                row = await self._store.signals.make_due(row)
            while await self._store.signals.measure_due():
                await self._jobs.yield_to_waiting()
        self._has_measured = True

    async def _change_rate_limit(self, change: Callable[[str, float], str]) -> None:
        """Lets all servers on the store count their requests together."""
        await self._store.sync_state.change_text("rate_limit", self._now(), change)

    async def _wait(
        self,
        key: Hashable,
        work: Callable[[Progress], Coroutine[None, None, None]],
        seconds: float,
        report: Callable[[int, int], Awaitable[None]] | None,
        passing: tuple[type[FormantError], ...],
    ) -> FormantError | None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._jobs.join(key, work, report)
        except TimeoutError:
            if self._provider.requests_per_minute is None:  # another server may have learned it
                await self._provider.refresh_rate_limit()
            return None
        except passing as error:
            return error
        return None
