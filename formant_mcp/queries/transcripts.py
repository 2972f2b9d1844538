"""Transcripts: conversations by their ids, each with a window of its turns."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.errors import ASK_AGAIN, FormantError, InvalidRequestError, NotFoundError, NotKeptError
from formant_mcp.models import Conversation, Turn, named, never_connected, outside_form
from formant_mcp.queries.coverage import Coverage, unreadable_notes
from formant_mcp.queries.forms import id_in
from formant_mcp.queries.guesses import listed
from formant_mcp.queries.loader import Loader, RequestContext
from formant_mcp.sync.details import FAILS_ALONE, reason
from formant_mcp.sync.list_sync import ListRequest

MIN_PREFIX = 6
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Window:
    """Which turns: `max_turns` from `from_turn` on, or centered on `around_turn` (-1: from `from_turn`)."""

    from_turn: int = 0
    max_turns: int = 200
    around_turn: int = -1

    @property
    def first(self) -> int:
        """The first turn of the window."""
        return self.from_turn if self.around_turn < 0 else max(0, self.around_turn - self.max_turns // 2)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation with the turns of the window; `turn_count` is None if there is no transcript.

    `is_unreadable`: there is one, but it could not be parsed. `signals`: what is measured of it. `is_final`: the call
    has ended, and its transcript is up to date.
    """

    conversation: Conversation
    turns: tuple[Turn, ...]
    turn_count: int | None
    is_unreadable: bool
    signals: dict[str, Measured]
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Transcripts:
    """The transcripts, and the error of each id that failed, in the order requested."""

    coverage: Coverage
    transcripts: tuple[Transcript, ...]
    errors: tuple[tuple[str, FormantError], ...]


async def get_transcripts(loader: Loader, context: RequestContext, ids: list[str], window: Window) -> Transcripts:
    """Each conversation with its turns; a failure of one does not affect the others.

    Raises:
        FormantError: nothing can be loaded at all (no key, a refused key).
    """
    distinct = list(dict.fromkeys(ids))
    outcomes = await asyncio.gather(*(_find_or_error(loader, context, id_or_prefix) for id_or_prefix in distinct))
    stored_ids = [outcome for outcome in dict.fromkeys(outcomes) if isinstance(outcome, str)]
    # Before they are read: of what is stored meanwhile, the answer may show the state before.
    outdated = await loader.store.read.needing_refresh(stored_ids, context.requested_at)
    windows: dict[str, Transcript | None] = {}
    errors: list[tuple[str, FormantError]] = []
    for id_or_prefix, outcome in zip(distinct, outcomes, strict=True):
        if isinstance(outcome, FormantError):
            errors.append((id_or_prefix, outcome))
        elif outcome not in windows:
            windows[outcome] = await read_window(loader, outcome, window)
            if windows[outcome] is None:
                errors.append((id_or_prefix, NotLoadedYetError("It was deleted while it was read.", ASK_AGAIN)))
    transcripts = [transcript for transcript in windows.values() if transcript]
    list_status = await loader.sync.list_status(ListRequest(), context.requested_at)
    loaded_ids = [transcript.conversation.conversation_id for transcript in transcripts]
    outdated = [conversation_id for conversation_id in outdated if windows[conversation_id]]
    unreadable = await loader.store.read.unreadable_among(loaded_ids)
    notes = [f"{len(errors)} of {len(distinct)} could not be read, each for the reason given."] if errors else []
    if outdated:
        which = listed(outdated, len(outdated))
        which = which and f": {which}"
        notes.append(f"{len(outdated)} could not be refreshed and may be out of date{which}. Ask again.")
    notes += unreadable_notes(unreadable)
    return Transcripts(
        Coverage(
            matched=len(transcripts),
            known=list_status.stored,
            total=list_status.total,
            complete=not errors and not outdated and not unreadable,
            as_of=context.requested_at,
            details_needed=len(distinct),
            details_read=len(distinct) - len(errors) - len(outdated),
            note=" ".join(notes),
            unreadable=unreadable,
        ),
        tuple(_with_final(transcript, outdated) for transcript in transcripts),
        tuple(errors),
    )


def _with_final(transcript: Transcript, outdated: Sequence[str]) -> Transcript:
    conversation = transcript.conversation
    return replace(transcript, is_final=conversation.ended and conversation.conversation_id not in outdated)


async def _find_or_error(loader: Loader, context: RequestContext, id_or_prefix: str) -> str | FormantError:
    try:
        return await find(loader, context, id_or_prefix)
    except (*FAILS_ALONE, NotLoadedYetError) as error:
        return error


class NotLoadedYetError(FormantError):
    """A conversation that could not be loaded now, or not within the call's time."""


async def find(loader: Loader, context: RequestContext, id_or_prefix: str) -> str:
    """The id of the one conversation with this id or prefix; its details are loaded if they are due.

    Raises:
        InvalidRequestError: the prefix is too short or ambiguous. NotFoundError: there is none. NotLoadedYetError.
    """
    read = loader.store.read
    conversation_id = await find_id(loader, id_or_prefix)
    id_or_prefix = id_in(id_or_prefix)
    if not conversation_id and not id_or_prefix:
        raise InvalidRequestError("This contains no conversation id.", "Copy one from an answer.")
    if conversation_id is None and not await loader.sync.knows_all():
        # An id that is not stored yet can be requested from the provider; a prefix needs the list.
        try:
            await loader.sync.fetch_one(id_or_prefix, context.requested_at, context.seconds_left)
        except NotKeptError:
            raise
        except NotFoundError:
            await loader.sync.refresh_list(ListRequest(), context.seconds_left, context.report)
            if await find_id(loader, id_or_prefix) is None and not await loader.sync.knows_all():
                hint = "Give the whole id, or ask again: more is being listed."
                raise NotLoadedYetError("Not among the calls listed so far.", hint) from None
        conversation_id = await find_id(loader, id_or_prefix)
    conversation_id = conversation_id or id_or_prefix
    error: FormantError | None = None
    if await read.needing_refresh([conversation_id], context.requested_at):
        error = await _fetch(loader, context, conversation_id)
    conversation = (await read.get([conversation_id])).get(conversation_id)
    if conversation and not conversation.has_detail and isinstance(error, FAILS_ALONE):
        raise NotLoadedYetError(f"Listed, but the provider has no details: {reason(error)}.", ASK_AGAIN)
    if conversation is None or not conversation.has_detail:
        raise NotLoadedYetError(
            error.message if error else "Not loaded within this call's time limit.",
            (error.hint if error else "") or "Ask again.",
        )
    return conversation_id


async def find_id(loader: Loader, id_or_prefix: str) -> str | None:
    """The id of the stored conversation with this id or prefix; None if there is none."""
    read = loader.store.read
    if id_or_prefix in await read.get([id_or_prefix]):
        return id_or_prefix
    id_or_prefix = id_in(id_or_prefix)
    if id_or_prefix in await read.get([id_or_prefix]):
        return id_or_prefix
    is_long_enough = len(id_or_prefix) >= MIN_PREFIX
    candidates = await read.ids_with_prefix(id_or_prefix, _MAX_NAMED + 1) if is_long_enough else []
    if len(candidates) > 1:
        ids = listed(candidates, _MAX_NAMED)
        raise InvalidRequestError(f"Ambiguous id prefix{ids and f': {ids}'}.", "Use a longer prefix.")
    return candidates[0] if candidates else None


async def _fetch(loader: Loader, context: RequestContext, conversation_id: str) -> FormantError | None:
    try:
        return await loader.sync.fetch_one(conversation_id, context.requested_at, context.seconds_left)
    except NotFoundError:
        if len(conversation_id) >= MIN_PREFIX:
            raise
        hint = f"Give the whole id, or at least its first {MIN_PREFIX} characters."
        raise NotFoundError(f"No conversation has the id {named(conversation_id)}.", hint) from None


async def recording_error(
    loader: Loader, context: RequestContext, conversation_id: str, error: NotFoundError
) -> NotFoundError:
    """The error for a missing recording; says so if the call never connected."""
    read = loader.store.read
    if conversation_id not in await read.get([conversation_id]):
        with suppress(FormantError):  # the recording's own error matters more
            await loader.sync.fetch_one(conversation_id, context.requested_at, context.seconds_left)
    conversation = (await read.get([conversation_id])).get(conversation_id)
    if conversation is None or not await is_unconnected(loader, conversation):
        return error
    status = f" ({shown})" if (shown := outside_form(conversation.status or "")) else ""
    return NotFoundError(
        f"The call {named(conversation_id)} never connected{status}, so it has no recording.",
        "list_conversations with min_duration_seconds=1 gives calls that connected.",
    )


async def is_unconnected(loader: Loader, conversation: Conversation) -> bool:
    """Whether a stored call never connected, so that it has neither recording nor transcript."""
    return never_connected(conversation, await loader.store.read.turn_count(conversation.conversation_id))


async def read_window(loader: Loader, conversation_id: str, window: Window) -> Transcript | None:
    """A stored conversation with the turns of the window; None if it is not stored."""
    read = loader.store.read
    conversation = (await read.get([conversation_id])).get(conversation_id)
    return conversation and Transcript(
        conversation,
        tuple(await read.turns(conversation_id, window.first, window.max_turns)),
        await read.turn_count(conversation_id),
        "transcripts" in await read.unreadable_among([conversation_id]),
        (await loader.signals_of([conversation_id])).get(conversation_id, {}),
    )
