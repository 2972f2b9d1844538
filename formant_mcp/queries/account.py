"""The one object that tools, resources, prompts and commands call: an account's conversations, of any provider."""

from collections.abc import Awaitable, Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.errors import ConnectionFailedError, FormantError, NotFoundError, RequestTimeoutError
from formant_mcp.filters import NEWEST, NO_FILTERS, DetailRequest, Filters
from formant_mcp.members import Member
from formant_mcp.models import Conversation, Turn
from formant_mcp.providers.base import Recording
from formant_mcp.queries.agents import for_agent
from formant_mcp.queries.changes import ChangeReport, ChangesQuery, find_changes
from formant_mcp.queries.conversations import ConversationPage, ListQuery, list_conversations
from formant_mcp.queries.coverage import Answer, Coverage
from formant_mcp.queries.cursors import Cursor, stale_cursor_error
from formant_mcp.queries.export import Export, export
from formant_mcp.queries.hidden_numbers import refuse_beginnings, refuse_parts
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.queries.phrases import PhrasesQuery, PhrasesResult, find_phrases
from formant_mcp.queries.profile import Profile, profile
from formant_mcp.queries.redacted import redacted, redacted_error
from formant_mcp.queries.review import ReviewQuery, ReviewResult, find_calls_to_review
from formant_mcp.queries.search import SearchQuery, SearchResult, search_transcripts
from formant_mcp.queries.summary import Summary, SummaryQuery, summarize
from formant_mcp.queries.transcripts import (
    Transcripts,
    Window,
    find,
    find_id,
    get_transcripts,
    is_unconnected,
    recording_error,
)
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store import Store
from formant_mcp.sync import AnySync, LimitedSync, Sync
from formant_mcp.sync.background import Report
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.text_search.query import parse_query

_ATTEMPTS = 3
_CHANGED_MEANWHILE = "Calls changed while this was computed, so its figures may be of different moments. Ask again."

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The state after a download: counts of conversations, of those left, of failures by reason, of unreadable data."""

    conversations: int
    left: int
    failures: dict[str, int]
    unreadable: dict[str, int]


class Account:
    """Answers queries about one account. `agent_id` in filters may be an agent's name.

    Raises (from every method that takes a context):
        FormantError: the query cannot be answered; says what to do instead.
    """

    def __init__(self, sync: AnySync, store: Store, redactor: Redactor | None = None) -> None:
        self._sync = sync
        self._store = store
        self._loader = Loader(sync, store)
        self._redactor = redactor

    def for_member(self, member: Member | None) -> "Account":
        """The account as it exists for a member: with no agents but theirs. None: whoever has the key."""
        if member is None or not member.agents:
            return self
        if not isinstance(self._sync, Sync):
            raise TypeError("This is a member's account already.")
        store = self._store.limited_to(member.agents)
        return Account(LimitedSync(self._sync, store), store)

    def redacted(self, redactor: Redactor) -> "Account":
        """The account for one answer, with labels in place of identifiers; filters take these as ever."""
        return Account(self._sync, self._store.redacted(redactor), redactor)

    def shown_error(self, error: FormantError) -> FormantError:
        """The error as it may be shown: without identifiers, if these are hidden."""
        return redacted_error(self._redactor, error) if self._redactor else error

    async def identity(self) -> str:
        """A unique name of the store, for cursors that are valid for it alone."""
        return await self._store.identity()

    @property
    def recording_type(self) -> str:
        """The media type that the provider's recordings usually have."""
        return self._sync.recording_type

    @property
    def requests_per_minute(self) -> float | None:
        """The provider's rate limit, else the recent request rate; None if neither is available."""
        return self._sync.requests_per_minute

    async def list_conversations(self, context: RequestContext, query: ListQuery) -> ConversationPage:
        """A page of the conversations that match."""
        return await self._answer(
            context,
            query.filters,
            lambda filters: list_conversations(self._loader, context, replace(query, filters=filters)),
        )

    async def search(self, context: RequestContext, query: SearchQuery) -> SearchResult:
        """A page of the turns that match the query."""
        if self._redactor:
            refuse_beginnings(self._redactor.kinds, parse_query(query.query))
        return await self._answer(
            context,
            query.filters,
            lambda filters: search_transcripts(self._loader, context, replace(query, filters=filters)),
        )

    async def phrases(self, context: RequestContext, query: PhrasesQuery) -> PhrasesResult:
        """What is said most in all calls that match, or more than elsewhere."""
        return await self._answer(
            context,
            query.filters,
            lambda filters: find_phrases(self._loader, context, replace(query, filters=filters)),
        )

    async def summarize(self, context: RequestContext, query: SummaryQuery, zone: ZoneInfo) -> Summary:
        """Figures over all calls that match, by groups."""
        return await self._answer(
            context,
            query.filters,
            lambda filters: summarize(self._loader, context, replace(query, filters=filters), zone),
        )

    async def profile(self, context: RequestContext, filters: Filters, top: int, zone: ZoneInfo) -> Profile:
        """The profile of all calls that match: agents, statuses, result fields."""
        return await self._answer(
            context, filters, lambda resolved: profile(self._loader, context, resolved, top, zone)
        )

    async def find_changes(self, context: RequestContext, query: ChangesQuery, zone: ZoneInfo) -> ChangeReport:
        """What changed between two periods more than chance explains."""
        return await self._answer(
            context,
            query.filters,
            lambda filters: find_changes(self._loader, context, replace(query, filters=filters), zone),
        )

    async def find_calls_to_review(self, context: RequestContext, query: ReviewQuery, zone: ZoneInfo) -> ReviewResult:
        """The calls to listen to first, of all that match."""
        return await self._answer(
            context,
            query.filters,
            lambda filters: find_calls_to_review(self._loader, context, replace(query, filters=filters), zone),
        )

    async def export(self, context: RequestContext, filters: Filters, include: Set[str]) -> Export:
        """Everything that matches, page by page."""
        self._refuse_parts(filters)
        return self._shown(
            await for_agent(
                self._loader, context, filters, lambda resolved: export(self._loader, context, resolved, include)
            )
        )

    async def transcripts(self, context: RequestContext, ids: list[str], window: Window) -> Transcripts:
        """Conversations by id, each with the turns of a window."""
        return self._shown(await get_transcripts(self._loader, context, ids, window))

    async def conversation(
        self, context: RequestContext, id_or_prefix: str
    ) -> tuple[Conversation, list[Turn], dict[str, Measured]]:
        """One conversation with all its turns and signals, by its id or a unique prefix of it."""
        conversation_id = await find(self._loader, context, id_or_prefix)
        conversation = await self._stored(conversation_id)
        if conversation is None:
            raise ConnectionFailedError("The conversation could not be loaded.", "Retry.")
        read = self._store.read
        turns = await read.turns(conversation_id, 0, await read.turn_count(conversation_id) or 0)
        return conversation, turns, (await self._loader.signals_of([conversation_id])).get(conversation_id, {})

    async def find_id(self, context: RequestContext, id_or_prefix: str) -> str:
        """The full id for an id or a unique prefix; requests it from the provider only if it is not stored."""
        return await find_id(self._loader, id_or_prefix) or await find(self._loader, context, id_or_prefix)

    async def recording(
        self,
        context: RequestContext,
        conversation_id: str,
        save: Callable[[Recording], Awaitable[T]],
        purpose: str = "file",
    ) -> T:
        """Passes a recording to `save` and returns its result; `purpose` distinguishes what is saved."""
        try:
            saved = await self._sync.fetch_recording(conversation_id, save, context.seconds_left, purpose)
        except NotFoundError as error:
            raise await recording_error(self._loader, context, conversation_id, error) from None
        if saved is None:
            raise RequestTimeoutError(
                "The recording has not been received in full within this call's time; the server keeps trying.",
                "Retry in a moment.",
            )
        return saved

    async def keep_figures(
        self, context: RequestContext, conversation_id: str, longest_silence: float, silence_share: float
    ) -> None:
        """Keeps what was measured of a saved recording as signals of its call, if the call's details can be loaded.

        `longest_silence`: in seconds; `silence_share`: 0 to 1.
        """
        if await self._store.read.needing_refresh([conversation_id], context.requested_at):
            with suppress(FormantError):
                await self._sync.fetch_one(conversation_id, context.requested_at, context.seconds_left)
        await self._loader.signals_of([conversation_id])
        measured = {"recording_gap_seconds": longest_silence, "recording_silence_share": silence_share}
        await self._store.signals.save_of_recording(conversation_id, measured)

    async def recording_coverage(self, context: RequestContext) -> Coverage:
        """The coverage of an answer about one recording."""
        list_status = await self._sync.list_status(ListRequest(), context.requested_at)
        return Coverage(1, list_status.stored, list_status.total, complete=True, as_of=context.requested_at)

    async def duration_seconds(self, conversation_id: str) -> float | None:
        """A conversation's duration; None if it has none or is not stored."""
        conversation = await self._stored(conversation_id)
        return conversation and conversation.duration_seconds

    async def has_connected(self, conversation: Conversation) -> bool:
        """Whether a transcript and a recording may exist."""
        return not await is_unconnected(self._loader, conversation)

    async def shortest_ids(self, conversation_ids: Sequence[str], minimum: int) -> dict[str, str]:
        """For each id its shortest unique prefix of at least `minimum` characters."""
        return await self._store.read.shortest_prefixes(conversation_ids, minimum)

    async def newest(
        self, context: RequestContext, cursor: Cursor, limit: int
    ) -> tuple[list[tuple[int, Conversation]], bool]:
        """The newest conversations after a cursor, each with its row, and whether more follow."""
        request = ListRequest(newest=cursor.shown + limit + 1)
        if not (await self._sync.list_status(request, context.requested_at)).is_complete:
            error = (await self._sync.refresh_list(request, context.seconds_left)).error
            if error and not await self._store.read.count(NO_FILTERS):
                raise error
        try:
            page = await self._store.read.page(NO_FILTERS, NEWEST, limit + 1, cursor.row)
        except LookupError:
            raise stale_cursor_error() from None
        return page[:limit], len(page) > limit

    async def ids_with_prefix(self, seconds: float, prefix: str, limit: int) -> list[str]:
        """Stored ids with that prefix, the newest for ''; fetches the first page of a new account."""
        await self._sync.fetch_first_page(seconds)
        if prefix:
            return await self._store.read.ids_with_prefix(prefix, limit)
        newest = await self._store.read.page(NO_FILTERS, NEWEST, limit)
        return [conversation.conversation_id for _, conversation in newest]

    async def agents(self, seconds: float) -> dict[str, str | None]:
        """All agents by id, each with its name if it has one."""
        await self._sync.fetch_first_page(seconds)
        return await self._store.read.agents()

    async def download_list(self, since: datetime | None, seconds: float, report: Report) -> FormantError | None:
        """Updates the list since then; returns the error that stopped it, if it is transient."""
        return (await self._sync.refresh_list(ListRequest(Filters(since=since)), seconds, report)).error

    async def download_details(
        self, since: datetime | None, requested_at: datetime, seconds: float, report: Report
    ) -> FormantError | None:
        """Loads transcripts and results since then; returns the error that stopped it, if it is transient."""
        due = await self._store.read.details_to_fetch(DetailRequest(Filters(since=since)), requested_at)
        return await self._sync.fetch_details(due, seconds, report)

    async def retry_failed(self) -> None:
        """Makes failed details due at once."""
        await self._store.write.retry_failed()

    async def count_left(self, since: datetime | None, requested_at: datetime) -> int:
        """How many transcripts since then are still to load."""
        return await self._store.read.count_details_to_fetch(DetailRequest(Filters(since=since)), requested_at)

    async def downloaded(self, since: datetime | None, requested_at: datetime) -> Downloaded:
        """The state since then after a download."""
        read, filters = self._store.read, Filters(since=since)
        request = DetailRequest(filters)
        rows = (await self._sync.list_status(ListRequest(filters), requested_at)).unreadable
        return Downloaded(
            await read.count(filters),
            await read.count_details_to_fetch(request, requested_at),
            await read.failures(request, requested_at),
            {"rows": rows} | await read.unreadable(filters),
        )

    async def is_unused(self) -> bool:
        """Whether the store has nothing, and nothing has come from the provider yet."""
        return await self._store.purge.is_unused()

    async def aclose(self) -> None:
        """Ends background work and closes the store."""
        await self._sync.aclose()
        await self._store.close()

    async def _answer(self, context: RequestContext, filters: Filters, answer: Callable[[Filters], Awaitable[A]]) -> A:
        """The answer for the filters, for the agent that they name.

        It takes several statements. Where calls changed between them, it is computed again, unless it is incomplete
        anyway, and as far as there is time. One that comes out the same again is taken: what changed were other calls.
        Where there is no time for that, it is incomplete, but not for a member with agents: others' may have changed.
        """
        self._refuse_parts(filters)
        before, left = None, _ATTEMPTS
        while True:
            had, loaded = context.seconds_left, context.loading
            result = await for_agent(self._loader, context, filters, answer)
            coverage, left = result.coverage, left - 1
            if not coverage.complete or coverage.version == await self._store.read.version() or result == before:
                return self._shown(result)
            took = had - context.seconds_left - (context.loading - loaded)
            if not left or context.seconds_left <= took:
                break
            before = result
        if before is not None or not self._store.visible_agents:
            result = replace(result, coverage=coverage.incomplete(_CHANGED_MEANWHILE))
        return self._shown(result)

    def _refuse_parts(self, filters: Filters) -> None:
        if self._redactor:
            refuse_parts(self._redactor.kinds, filters)

    def _shown(self, answer: T) -> T:
        return redacted(self._redactor, answer) if self._redactor else answer

    async def _stored(self, conversation_id: str) -> Conversation | None:
        return (await self._store.read.get([conversation_id])).get(conversation_id)
