"""The resources: a conversation as JSON, its transcript as Markdown, its recording as it came."""

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from mcp_types import (
    BlobResourceContents,
    Completion,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic import BaseModel

from formant_mcp.app import App
from formant_mcp.errors import ConnectionFailed, InvalidRequestError, NotFoundError, RequestTimedOut
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.query.gather import Call
from formant_mcp.query.transcripts import find
from formant_mcp.source import Recording
from formant_mcp.sync.lists import ListNeed
from formant_mcp.tools.answers import CONVERSATION_URI, RECORDING_URI, TRANSCRIPT_URI, common_fields, local, uri_of
from formant_mcp.tools.text import WARNING, results_line, seconds, stamp, turn_line

PAGE = 50
_COMPLETIONS = 100
_URI = re.compile(r"formant://conversations/([^/]+)(/recording|/transcript)?")
_CURSOR = re.compile(r"r:(\d{1,9}):(\d{1,18})")

Contents = TextResourceContents | BlobResourceContents


class ConversationDocument(BaseModel):
    """A conversation whole, as the JSON resource gives it."""

    conversation_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    contact_number: str | None = None
    user_id: str | None = None
    status: str | None = None
    failure_reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    trace_id: str | None = None
    results: dict[str, object] | None = None
    turns: list[Turn] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of resource: its address with the id left open, and how one is read."""

    name: str
    title: str
    description: str
    media_type: str
    uri: str
    read: Callable[[App, Call, str], Awaitable[Contents]]

    def entry(self) -> ResourceTemplate:
        """The template as the server lists it."""
        return ResourceTemplate(
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.media_type,
            uri_template=self.uri,
        )


async def read_resource(app: App, call: Call, uri: str) -> Contents:
    """What stands at that address.

    Raises:
        NotFoundError: nothing does. FormantError: it cannot be read now.
    """
    found = _URI.fullmatch(uri)
    if not found:
        raise NotFoundError(
            "No such resource.", f"Addresses are {RECORDING_URI}, {TRANSCRIPT_URI}, {CONVERSATION_URI}."
        )
    template = next(each for each in TEMPLATES if each.uri == CONVERSATION_URI + (found[2] or ""))
    return await template.read(app, call, unquote(found[1]))


async def list_resources(app: App, call: Call, cursor: str) -> tuple[list[Resource], str]:
    """The newest conversations' recordings and transcripts, and the cursor of the next page, empty at the end.

    Raises:
        InvalidRequestError: the cursor is not one of ours.
    """
    found = _CURSOR.fullmatch(cursor) if cursor else None
    if cursor and not found:
        raise InvalidRequestError("cursor: not one that this server gave.", "List from the beginning, without it.")
    shown, after = (int(found[1]), int(found[2])) if found else (0, 0)
    read = app.gathering.store.read
    trouble = await app.gathering.sync.bring_list(ListNeed(newest=shown + PAGE + 1), call.seconds_left)
    if trouble and not read.count(Filters()):
        raise trouble
    try:
        page = read.page(Filters(), "newest", PAGE + 1, after)
    except LookupError:
        raise InvalidRequestError("cursor: the call it stood at is gone.", "List from the beginning.") from None
    entries = [entry for _, conversation in page[:PAGE] for entry in _entries(app, conversation)]
    return entries, f"r:{shown + PAGE}:{page[PAGE - 1][0]}" if len(page) > PAGE else ""


def complete_id(app: App, typed: str) -> Completion:
    """The known ids that begin as one types; the newest where nothing is typed yet."""
    read = app.gathering.store.read
    if typed:
        found = read.beginning_with(typed, _COMPLETIONS + 1)
    else:
        found = [each.conversation_id for _, each in read.page(Filters(), "newest", _COMPLETIONS + 1)]
    return Completion(values=found[:_COMPLETIONS], has_more=len(found) > _COMPLETIONS)


def _entries(app: App, conversation: Conversation) -> list[Resource]:
    conversation_id = conversation.conversation_id
    about = " · ".join(
        part
        for part in (
            stamp(conversation.started_at, app.zone),
            f"agent {conversation.agent_id or '-'}",
            conversation.status or "",
            f"{seconds(conversation.duration_seconds)} s",
        )
        if part
    )
    return [
        Resource(
            name=f"{template.name} {conversation_id}",
            title=f"{template.title} {about}",
            uri=uri_of(template.uri, conversation_id),
            mime_type=template.media_type,
        )
        for template in TEMPLATES
        if template.uri != CONVERSATION_URI
    ]


async def _recording(app: App, call: Call, conversation_id: str) -> Contents:
    async def receive(recording: Recording) -> tuple[str, bytes]:
        return recording.media_type, b"".join([chunk async for chunk in recording.chunks])

    got = await app.gathering.sync.bring_recording(conversation_id, receive, call.seconds_left, "bytes")
    if got is None:
        raise RequestTimedOut("The recording is still being received.", "Ask again in a moment.")
    media_type, data = got
    return BlobResourceContents(
        uri=uri_of(RECORDING_URI, conversation_id),
        mime_type=media_type,
        blob=base64.b64encode(data).decode(),
    )


async def _document(app: App, call: Call, asked: str) -> Contents:
    conversation, turns = await _whole(app, call, asked)
    document = ConversationDocument.model_validate(
        {
            **common_fields(conversation, app.zone),
            "ended_at": local(conversation.ended_at, app.zone),
            "trace_id": conversation.trace_id,
            "results": conversation.results,
            "turns": turns,
        }
    )
    return TextResourceContents(
        uri=uri_of(CONVERSATION_URI, conversation.conversation_id),
        mime_type="application/json",
        text=document.model_dump_json(exclude_none=True),
    )


async def _markdown(app: App, call: Call, asked: str) -> Contents:
    conversation, turns = await _whole(app, call, asked)
    boundary = app.new_boundary()
    lines = [
        f"# Conversation {conversation.conversation_id}",
        "",
        f"agent {conversation.agent_id or '-'} · {conversation.contact_number or '-'} · {conversation.status or '-'}"
        f" · {stamp(conversation.started_at, app.zone)} · {seconds(conversation.duration_seconds)} s",
        "",
        f'Results and {len(turns)} turns, {WARNING}, up to the line "end {boundary}"',
        "",
        f"Results: {results_line(conversation.results or {}) or 'none'}",
        "",
        *(f"- {turn_line(turn)}" for turn in turns),
        "",
        f"end {boundary}",
    ]
    return TextResourceContents(
        uri=uri_of(TRANSCRIPT_URI, conversation.conversation_id),
        mime_type="text/markdown",
        text="\n".join(lines),
    )


async def _whole(app: App, call: Call, asked: str) -> tuple[Conversation, list[Turn]]:
    conversation_id = await find(app.gathering, call, asked)
    read = app.gathering.store.read
    conversation = read.get([conversation_id]).get(conversation_id)
    if conversation is None:
        raise ConnectionFailed("The conversation could not be read.", "Ask again.")
    return conversation, read.turns(conversation_id, 0, read.turn_count(conversation_id) or 0)


TEMPLATES = (
    Template(
        "recording", "Recording", "A call's audio, as the provider has it.", "audio/wav", RECORDING_URI, _recording
    ),
    Template(
        "transcript", "Transcript", "A call's turns, to read or attach.", "text/markdown", TRANSCRIPT_URI, _markdown
    ),
    Template(
        "conversation",
        "Conversation",
        "Everything known of a call: fields, results, turns.",
        "application/json",
        CONVERSATION_URI,
        _document,
    ),
)
