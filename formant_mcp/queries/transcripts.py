"""Transcripts: conversations found by their ids, and the turns of a window."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

from formant_mcp.errors import ASK_AGAIN, FormantError, InvalidRequestError, NotFoundError
from formant_mcp.models import Conversation, Turn, clean, never_connected
from formant_mcp.queries.forms import id_in
from formant_mcp.queries.loader import Coverage, Loader, RequestContext, unreadable_notes
from formant_mcp.sync.details import FAILS_ALONE, reason
from formant_mcp.sync.list_sync import ListRequest

MIN_PREFIX = 6
_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Window:
    """Which turns: `max_turns` from `from_turn` on, or as many with `around_turn` in their middle (-1: not so)."""

    from_turn: int = 0
    max_turns: int = 200
    around_turn: int = -1

    @property
    def first(self) -> int:
        """The first turn to give."""
        return self.from_turn if self.around_turn < 0 else max(0, self.around_turn - self.max_turns // 2)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation with the turns of the window; `turn_count` None where there is no transcript.

    `is_unreadable`: there is one, but in no form that is understood here. `is_final`: the call is over and its
    transcript is up to date.
    """

    conversation: Conversation
    turns: tuple[Turn, ...]
    turn_count: int | None
    is_unreadable: bool
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Transcripts:
    """What was found, and for each id that failed its own error, in the order asked for."""

    coverage: Coverage
    found: tuple[Transcript, ...]
    errors: tuple[tuple[str, FormantError], ...]


async def get_transcripts(loader: Loader, context: RequestContext, ids: list[str], window: Window) -> Transcripts:
    """Each conversation with its turns; one that fails fails alone.

    Raises:
        FormantError: nothing at all can be read (no key, a refused key).
    """
    distinct = list(dict.fromkeys(ids))
    outcomes = await asyncio.gather(*(_find_or_error(loader, context, asked) for asked in distinct))
    windows: dict[str, Transcript | None] = {}
    errors: list[tuple[str, FormantError]] = []
    for asked, outcome in zip(distinct, outcomes, strict=True):
        if isinstance(outcome, FormantError):
            errors.append((asked, outcome))
        elif outcome not in windows:
            windows[outcome] = await read_window(loader, outcome, window)
            if windows[outcome] is None:
                errors.append((asked, NotLoadedYetError("It was deleted while it was read.", ASK_AGAIN)))
    found = tuple(each for each in windows.values() if each)
    list_status = await loader.sync.list_status(ListRequest(), context.requested_at)
    ids = [each.conversation.conversation_id for each in found]
    old, unreadable = (
        await loader.store.read.needing_refresh(ids, context.requested_at),
        await loader.store.read.unreadable_among(ids),
    )
    found = tuple(
        replace(each, is_final=each.conversation.ended and each.conversation.conversation_id not in old)
        for each in found
    )
    notes = [f"{len(errors)} of {len(distinct)} could not be read; `errors` says why."] if errors else []
    if old:
        notes.append(f"{len(old)} could not be refreshed and may be out of date: {', '.join(old)}. Ask again.")
    notes += unreadable_notes(unreadable)
    return Transcripts(
        Coverage(
            matched=len(found),
            known=list_status.stored,
            total=list_status.total,
            complete=not any(isinstance(error, NotLoadedYetError) for _, error in errors)
            and not old
            and not unreadable,
            as_of=context.requested_at,
            details_needed=len(distinct),
            details_read=len(distinct) - len(errors) - len(old),
            note=" ".join(notes),
            unreadable=unreadable,
        ),
        found,
        tuple(errors),
    )


async def _find_or_error(loader: Loader, context: RequestContext, asked: str) -> str | FormantError:
    try:
        return await find(loader, context, asked)
    except (*FAILS_ALONE, NotLoadedYetError) as error:
        return error


class NotLoadedYetError(FormantError):
    """A conversation that could not be read within the call's time, or not now."""


async def find(loader: Loader, context: RequestContext, asked: str) -> str:
    """The id of the one conversation meant, whole or by its beginning, its detail read where it is due.

    Raises:
        InvalidRequestError: too short, or several begin so. NotFoundError: none. NotLoadedYetError: not now.
    """
    read = loader.store.read
    known = await find_id(loader, asked)
    asked = known or id_in(asked)
    if not asked:
        raise InvalidRequestError("This contains no conversation id.", "Copy one from an answer.")
    if known is None and not await loader.sync.knows_all():
        # What is not stored yet can be asked for by its whole id; a beginning needs the list.
        try:
            await loader.sync.fetch_one(asked, context.requested_at, context.seconds_left)
        except NotFoundError:
            await loader.sync.refresh_list(ListRequest(), context.seconds_left, context.report)
            if await find_id(loader, asked) is None and not await loader.sync.knows_all():
                hint = "Give the whole id, or ask again: more is being listed."
                raise NotLoadedYetError("Not among the calls listed so far.", hint) from None
        known = await find_id(loader, asked)
    asked = known or asked
    trouble: FormantError | None = None
    if await read.needing_refresh([asked], context.requested_at):
        trouble = await _bring(loader, context, asked)
    conversation = (await read.get([asked])).get(asked)
    if conversation and not conversation.has_detail and isinstance(trouble, FAILS_ALONE):
        raise NotLoadedYetError(f"Listed, but the provider gives no details of it: {reason(trouble)}.", ASK_AGAIN)
    if conversation is None or not conversation.has_detail:
        raise NotLoadedYetError(
            trouble.message if trouble else "Not loaded within this call's time limit.",
            (trouble.hint if trouble else "") or "Ask again.",
        )
    return asked


async def find_id(loader: Loader, asked: str) -> str | None:
    """The known conversation of that id or that beginning; None where there is none."""
    read = loader.store.read
    if asked in await read.get([asked]):
        return asked
    asked = id_in(asked)
    if asked in await read.get([asked]):
        return asked
    candidates = await read.ids_with_prefix(asked, _CANDIDATES + 1) if len(asked) >= MIN_PREFIX else []
    if len(candidates) > 1:
        named = ", ".join(candidates[:_CANDIDATES]) + (", …" if len(candidates) > _CANDIDATES else "")
        raise InvalidRequestError(f"Several ids begin with that: {named}.", "Give more of the id.")
    return candidates[0] if candidates else None


async def _bring(loader: Loader, context: RequestContext, asked: str) -> FormantError | None:
    try:
        return await loader.sync.fetch_one(asked, context.requested_at, context.seconds_left)
    except NotFoundError:
        if len(asked) >= MIN_PREFIX:
            raise
        hint = f"Give the whole id, or at least {MIN_PREFIX} characters of its beginning."
        raise NotFoundError(f"No conversation has the id {clean(asked)}.", hint) from None


async def recording_error(
    loader: Loader, context: RequestContext, conversation_id: str, error: NotFoundError
) -> NotFoundError:
    """The error for a recording that cannot be had: where the call never connected, that is why."""
    read = loader.store.read
    if conversation_id not in await read.get([conversation_id]):
        with suppress(FormantError):  # the recording's own error matters more
            await loader.sync.fetch_one(conversation_id, context.requested_at, context.seconds_left)
    conversation = (await read.get([conversation_id])).get(conversation_id)
    if conversation is None or not await is_unconnected(loader, conversation):
        return error
    status = f" ({conversation.status})" if conversation.status else ""
    return NotFoundError(
        f"The call {conversation_id} never connected{status}, so it has no recording.",
        "list_conversations with min_duration_seconds=1 gives calls that connected.",
    )


async def is_unconnected(loader: Loader, conversation: Conversation) -> bool:
    """Whether a stored call never connected, so that it has no recording and no transcript."""
    return never_connected(conversation, await loader.store.read.turn_count(conversation.conversation_id))


async def read_window(loader: Loader, conversation_id: str, window: Window) -> Transcript | None:
    """What the store has of a conversation, with the turns of the window; None where it has none."""
    read = loader.store.read
    conversation = (await read.get([conversation_id])).get(conversation_id)
    return conversation and Transcript(
        conversation,
        tuple(await read.turns(conversation_id, window.first, window.max_turns)),
        await read.turn_count(conversation_id),
        "transcripts" in await read.unreadable_among([conversation_id]),
    )
