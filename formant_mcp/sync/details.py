"""Transcripts and results, read one conversation at a time, many at once."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from formant_mcp.errors import (
    ASK_AGAIN,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnexpectedStatusError,
)
from formant_mcp.providers.base import Provider
from formant_mcp.store import Store
from formant_mcp.sync.background import BackgroundJobs, Progress
from formant_mcp.sync.freshness import next_try
from formant_mcp.sync.leases import Leases

_WORKERS = 16
_FAILURES_IN_A_ROW = _WORKERS  # that many, and it is the service that fails, not some conversations
_LOOK_EVERY_SECONDS = 0.2
FAILS_ALONE = (
    NotFoundError,
    PermissionDeniedError,
    InvalidRequestError,
    InvalidResponseError,
    ServiceError,
    UnexpectedStatusError,
)
"""What goes wrong with one conversation and says nothing of the others."""


def reason(error: FormantError) -> str:
    """Why a conversation's details could not be read, as the end of a sentence."""
    if isinstance(error, NotFoundError):
        return "the provider answers 'not found'"
    return (error.message[:1].lower() + error.message[1:]).rstrip(".")


class Details:
    """Reads those details that are due, each once, whoever asks for it."""

    def __init__(
        self, provider: Provider, store: Store, jobs: BackgroundJobs, leases: Leases, now: Callable[[], datetime]
    ) -> None:
        self._provider = provider
        self._store = store
        self._jobs = jobs
        self._leases = leases
        self._now = now

    async def read(self, conversation_ids: Sequence[str], progress: Progress, *, for_question: bool = False) -> None:
        """Reads them in this order and saves each as it comes; one that cannot be read fails alone.

        Raises:
            FormantError: nothing further can be read now; what was read is kept.
            PermissionDeniedError: they are for a question, and the key may read the details of no conversation.
        """
        try:
            await _Reading(self, conversation_ids, progress, self._now()).run()
        except PermissionDeniedError:
            if for_question and not self._store.read.has_details():
                self._store.write.retry_failed()  # whoever gives the key this right need not wait
                raise

    async def read_one(self, conversation_id: str, requested_at: datetime) -> None:
        """Reads one, unless somebody did since it was asked for; waits while somebody does.

        Why one cannot be read is noted. One that the provider does not find is marked as missing: the next full pass
        over its list decides.
        """
        name = f"detail:{conversation_id}"
        while self._store.read.needing_refresh([conversation_id], requested_at):
            if self._leases.take(name):
                try:
                    # Whoever held the lease before may have read it between our look and our turn.
                    if self._store.read.needing_refresh([conversation_id], requested_at):
                        conversation = await self._provider.get_conversation(conversation_id)
                        self._store.write.save([conversation], self._now())
                except FAILS_ALONE as error:
                    self._note(conversation_id, error)
                    raise
                finally:
                    self._leases.drop(name)
                return
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _note(self, conversation_id: str, error: FormantError) -> None:
        now = self._now()
        self._store.write.mark_failed(conversation_id, reason(error), next_try(error, now))
        if isinstance(error, NotFoundError):
            self._store.write.mark_missing(conversation_id, now)

    async def yield_to_waiting(self) -> None:
        """Lets questions that somebody waits for go first."""
        await self._jobs.yield_to_waiting()


class _Reading:
    """One run over a list of ids by several workers."""

    def __init__(
        self, details: Details, conversation_ids: Sequence[str], progress: Progress, requested_at: datetime
    ) -> None:
        self._details = details
        self._ids = iter(conversation_ids)
        self._count = len(conversation_ids)
        self._progress = progress
        self._asked_at = requested_at
        self._failures = 0
        self._refusals: list[PermissionDeniedError] = []
        progress.total += len(conversation_ids)

    async def run(self) -> None:
        workers = [asyncio.create_task(self._work()) for _ in range(min(_WORKERS, self._progress.total))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._refusals and len(self._refusals) == self._count:
            raise self._refusals[0]

    async def _work(self) -> None:
        for conversation_id in self._ids:
            await self._details.yield_to_waiting()
            try:
                await self._details.read_one(conversation_id, self._asked_at)
                self._failures = 0
            except NotFoundError:
                self._failures = 0
            except FAILS_ALONE as error:
                self._count_failure(error)
            self._progress.done += 1

    def _count_failure(self, error: FormantError) -> None:
        self._failures += 1
        if isinstance(error, PermissionDeniedError):
            self._refusals.append(error)
        if self._failures < _FAILURES_IN_A_ROW:
            return
        if isinstance(error, InvalidRequestError | InvalidResponseError):  # neither arguments nor address are wrong
            raise ServiceError(error.message, ASK_AGAIN)
        raise error
