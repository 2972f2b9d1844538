"""Transcripts and results: how they are read, and when again. The times are ours; the provider documents none."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from formant_mcp.errors import (
    ASK_AGAIN,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    NotKeptError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
    UnexpectedStatusError,
)
from formant_mcp.models import Conversation, clean
from formant_mcp.providers.base import Provider
from formant_mcp.store import Store
from formant_mcp.sync.background import POLL_LEASE_SECONDS, BackgroundJobs, Leases, Progress, run_all

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_RETRY_AFTER = 5 * MINUTE
_IN_FLIGHT = 16
_WORKERS = 2 * _IN_FLIGHT  # as many may wait until what they read is saved
_FAILURES_IN_A_ROW = _IN_FLIGHT  # after so many it is the service that fails, not some conversations
FAILS_ALONE = (
    NotFoundError,
    PermissionDeniedError,
    InvalidRequestError,
    InvalidResponseError,
    ServiceError,
    UnexpectedStatusError,
)
"""The errors that say something of one conversation and nothing of the others."""


def reason(error: FormantError) -> str:
    """Why a conversation's details could not be read, as the end of a sentence."""
    if isinstance(error, NotFoundError):
        return "not found at the provider"
    return (error.message[:1].lower() + error.message[1:]).rstrip(".")


def next_refresh_at(conversation: Conversation, read_at: datetime) -> datetime | None:
    """When to read a conversation's transcript and results again; None: they are final.

    Final is a call that ended an hour ago and has results, and any call that ended a day ago. One that is running or
    ended within the hour is read again after a minute; one without results after a quarter of its age, until the day
    is over.
    """
    over_at = conversation.ended_at or conversation.started_at
    if over_at is None:
        return None if conversation.ended and conversation.results else read_at + MINUTE
    age = read_at - over_at
    if age >= DAY or (conversation.ended and age >= HOUR and conversation.results):
        return None
    if not conversation.ended or age < HOUR:
        return read_at + MINUTE
    return read_at + age / 4


def next_try(error: FormantError, now: datetime) -> datetime:
    """When a question may request details again that failed: at once where the failure may have passed."""
    if isinstance(error, NotFoundError):
        return now + HOUR
    return now if isinstance(error, UnavailableError) else now + _RETRY_AFTER


class Details:
    """Reads those details that are due, once, whoever needs them."""

    def __init__(
        self, provider: Provider, store: Store, jobs: BackgroundJobs, leases: Leases, now: Callable[[], datetime]
    ) -> None:
        self._provider = provider
        self._store = store
        self._jobs = jobs
        self._leases = leases
        self._now = now

    async def read(
        self,
        conversation_ids: Sequence[str],
        progress: Progress,
        *,
        for_question: bool = False,
        holds_list: bool = False,
    ) -> None:
        """Reads them in this order and saves each as it comes; one that cannot be read fails alone.

        `holds_list`: the caller holds the lease of a list; questions may wait for it, so they do not go first.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
            PermissionDeniedError: a question needs them, and the key may not read the details of any conversation.
        """
        try:
            await _DetailWorkers(self, conversation_ids, progress, self._now(), holds_list).run()
        except PermissionDeniedError:
            if for_question and not await self._store.read.has_details():
                await self._store.write.retry_failed()  # whoever gives the key this right need not wait
                raise

    async def read_one(self, conversation_id: str, requested_at: datetime) -> None:
        """Reads one, unless somebody has since it was requested; waits while somebody does.

        A failure is noted with its reason. A call that the provider does not find is marked as missing: the next full
        scan of its list decides whether it is deleted.
        """
        while await self.needed([conversation_id], requested_at):
            if claimed := await self.claim([conversation_id], requested_at):
                try:
                    if claimed.to_read:
                        await self.save(await self.get(conversation_id))
                finally:
                    await self.drop(claimed)
                return
            await asyncio.sleep(POLL_LEASE_SECONDS)

    async def read_again(self, conversation_id: str) -> None:
        """Reads one, stored or not, due or not."""
        await self.save(await self.get(conversation_id))

    async def claim(self, conversation_ids: Sequence[str], requested_at: datetime) -> "Claim | None":
        """Takes the leases of those that nobody reads now; None where all are being read."""
        names = {_lease(conversation_id): conversation_id for conversation_id in conversation_ids}
        taken = await self._leases.take(*names)
        if not taken:
            return None
        ids = [names[name] for name in taken]
        try:
            # Whoever held a lease before may have read that conversation meanwhile.
            to_read = await self.needed(ids, requested_at)
        except BaseException:
            await self._leases.drop(*taken)
            raise
        return Claim(ids, to_read, len(to_read))

    async def needed(self, conversation_ids: Sequence[str], requested_at: datetime) -> list[str]:
        """Those that nobody has read since it was requested."""
        return await self._store.read.needing_refresh(conversation_ids, requested_at)

    async def drop(self, claim: "Claim") -> None:
        """Gives the leases of a claim back."""
        await self._leases.drop(*map(_lease, claim.conversation_ids))

    async def get(self, conversation_id: str) -> Conversation:
        """Fetches one whose lease is held, to be saved; a failure is noted with its reason."""
        try:
            conversation = await self._provider.get_conversation(conversation_id)
        except FAILS_ALONE as error:
            await self._note(conversation_id, error)
            raise
        kept_from = self._store.retention.kept_from(self._now())
        if kept_from and self._store.retention.is_expired(conversation, self._now()):
            await self._store.retention.delete([conversation_id], kept_from)  # the list may not have said how old it is
            raise _not_kept(conversation_id)
        return conversation

    async def save(self, conversation: Conversation) -> None:
        """Saves what was read."""
        await self._store.write.save([conversation], self._now())

    async def _note(self, conversation_id: str, error: FormantError) -> None:
        now = self._now()
        await self._store.write.mark_failed(conversation_id, reason(error), next_try(error, now))
        if isinstance(error, NotFoundError):
            await self._store.write.mark_missing(conversation_id, now)

    async def yield_to_waiting(self) -> None:
        """Lets questions that somebody waits for go first."""
        await self._jobs.yield_to_waiting()


def _not_kept(conversation_id: str) -> NotKeptError:
    return NotKeptError(
        f"{clean(conversation_id)} started longer ago than calls are kept here.",
        "FORMANT_RETENTION_DAYS says how long.",
    )


def _lease(conversation_id: str) -> str:
    return f"detail:{conversation_id}"


@dataclass(slots=True)
class Claim:
    """Conversations whose leases are held, those of them that are still to be read, and how many of these are left."""

    conversation_ids: list[str]
    to_read: list[str]
    left: int


class _DetailWorkers:
    """One run over a list of ids by several workers, which claim the next few together."""

    def __init__(
        self,
        details: Details,
        conversation_ids: Sequence[str],
        progress: Progress,
        requested_at: datetime,
        holds_list: bool,
    ) -> None:
        self._details = details
        self._holds_list = holds_list
        ids = list(dict.fromkeys(conversation_ids))
        self._ids = iter(ids)
        self._count = len(ids)
        self._progress = progress
        self._requested_at = requested_at
        self._claiming = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(_IN_FLIGHT)
        self._claims: list[Claim] = []
        self._next: list[tuple[str, Claim]] = []
        self._left_to_others: list[str] = []
        self._poll_at = 0.0  # the loop's time
        self._failures = 0
        self._refusals: list[PermissionDeniedError] = []
        progress.total += len(ids)

    async def run(self) -> None:
        try:
            await run_all(self._work() for _ in range(min(_WORKERS, self._progress.total)))
        finally:
            for claim in self._claims:
                await self._details.drop(claim)
        if self._refusals and len(self._refusals) == self._count:
            raise self._refusals[0]

    async def _work(self) -> None:
        while True:
            async with self._in_flight:
                if (taken := await self._take()) is None:
                    return
                conversation_id, claim = taken
                conversation = await self._read(conversation_id)
            if conversation:
                await self._details.save(conversation)
            self._progress.done += 1
            claim.left -= 1
            await self._drop_if_done(claim)

    async def _read(self, conversation_id: str) -> Conversation | None:
        """One that is to be saved; None where it cannot be read."""
        conversation = None
        try:
            conversation = await self._details.get(conversation_id)
            self._failures = 0
        except NotFoundError:
            self._failures = 0
        except FAILS_ALONE as error:
            self._count_failure(error)
        return conversation

    async def _take(self) -> tuple[str, Claim] | None:
        """The next one to read, with the claim that holds its lease; None where there is none left."""
        async with self._claiming:
            while not self._next:
                if not self._holds_list:  # what pauses holds no lease
                    await self._details.yield_to_waiting()
                is_full = len(self._left_to_others) >= _IN_FLIGHT  # in flight, though sent by others
                if self._left_to_others and asyncio.get_running_loop().time() >= self._poll_at:
                    await self._claim_left()
                elif not is_full and (ids := list(islice(self._ids, _IN_FLIGHT))):
                    await self._claim(ids)
                elif self._left_to_others:
                    await asyncio.sleep(POLL_LEASE_SECONDS)
                else:
                    return None
            return self._next.pop(0)

    async def _claim(self, ids: list[str]) -> None:
        """Claims those that nobody reads; the others are left to those who do."""
        claim = await self._details.claim(ids, self._requested_at)
        if claim:
            self._claims.append(claim)
            self._next = [(conversation_id, claim) for conversation_id in claim.to_read]
            self._progress.done += len(claim.conversation_ids) - len(claim.to_read)
            await self._drop_if_done(claim)
        held = set(claim.conversation_ids) if claim else set[str]()
        self._left_to_others += [conversation_id for conversation_id in ids if conversation_id not in held]

    async def _claim_left(self) -> None:
        """Claims some that others have neither read nor are still reading; to be tried again after a while."""
        left, self._left_to_others = self._left_to_others, []
        needed = await self._details.needed(left, self._requested_at)
        self._progress.done += len(left) - len(needed)
        while needed and not self._next:
            await self._claim(needed[:_IN_FLIGHT])
            del needed[:_IN_FLIGHT]
        self._left_to_others += needed
        self._poll_at = asyncio.get_running_loop().time() + POLL_LEASE_SECONDS

    async def _drop_if_done(self, claim: Claim) -> None:
        if not claim.left:
            self._claims.remove(claim)
            await self._details.drop(claim)

    def _count_failure(self, error: FormantError) -> None:
        self._failures += 1
        if isinstance(error, PermissionDeniedError):
            self._refusals.append(error)
        if self._failures < _FAILURES_IN_A_ROW:
            return
        if isinstance(error, InvalidRequestError | InvalidResponseError):  # neither arguments nor address are wrong
            raise ServiceError(error.message, ASK_AGAIN)
        raise error
