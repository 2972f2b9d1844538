"""The resources: a conversation as JSON, its transcript as Markdown, its recording unchanged."""

import base64
from collections import Counter
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

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.app import App
from formant_mcp.audio import WAV, AudioKind
from formant_mcp.errors import InvalidRequestError, NotFoundError
from formant_mcp.models import Conversation, Turn, outside_form
from formant_mcp.providers.base import Recording
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint
from formant_mcp.queries.forms import ADDRESS
from formant_mcp.queries.loader import RequestContext
from formant_mcp.server.tools.schemas import (
    CONVERSATION_URI,
    RECORDING_URI,
    TRANSCRIPT_URI,
    ConversationFields,
    common_fields,
    local,
    uri_of,
)
from formant_mcp.server.tools.text import (
    EMPTY,
    NEXT_PART,
    fenced,
    format_seconds,
    format_time,
    one_value,
    outside_forms,
    results_line,
    turn_line,
)

PAGE = 50
MOST_BYTES = 7_000_000  # as base64 within the 10 MiB that the TypeScript SDK takes as one message
_COMPLETIONS = 100
_COMPLETION_SECONDS = 2.0  # the user is typing and waits

Contents = TextResourceContents | BlobResourceContents


class ConversationDocument(ConversationFields):
    """A whole conversation, as in the JSON resource."""

    ended_at: datetime | None = None
    trace_id: str | None = None
    results: dict[str, object] | None = None
    signals: dict[str, Measured] | None = None
    turns: list[Turn] | None = None


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One kind of resource: its URI template, and the function that reads one."""

    name: str
    title: str
    description: str
    media_type: str
    uri: str
    read: Callable[[App, RequestContext, str], Awaitable[Contents]]

    def to_mcp(self) -> ResourceTemplate:
        """The template as the server lists it."""
        return ResourceTemplate(
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.media_type,
            uri_template=self.uri,
        )


async def read_resource(app: App, context: RequestContext, uri: str) -> Contents:
    """The resource at that address.

    Raises:
        NotFoundError: there is none. FormantError: it cannot be read now.
    """
    match = ADDRESS.fullmatch(uri)
    if not match:
        raise NotFoundError(
            "No such resource.", f"Addresses are {RECORDING_URI}, {TRANSCRIPT_URI}, {CONVERSATION_URI}."
        )
    template = next(kind for kind in TEMPLATES if kind.uri == CONVERSATION_URI + (match[2] or ""))
    return await template.read(app, context, unquote(match[1]))


async def list_resources(app: App, context: RequestContext, cursor: str) -> tuple[list[Resource], str]:
    """The newest calls' recordings and transcripts, and the cursor of the next page, '' at the end.

    A call that never connected has neither; a running call has no recording yet.

    Raises:
        InvalidRequestError: the cursor is invalid.
    """
    fingerprint = query_fingerprint("resources", await app.account.identity())
    at = parse_cursor(cursor, fingerprint)
    listed: list[Conversation] = []
    has_more = True
    while has_more and len(listed) < PAGE:
        conversations, has_more = await app.account.newest(context, at, PAGE)
        for row, conversation in conversations:
            is_named = outside_form(conversation.conversation_id) is not None  # else its address would be sentences
            if is_named and await app.account.has_connected(conversation):
                listed.append(conversation)
            at = Cursor(at.shown + 1, row)
            if len(listed) == PAGE:
                has_more = has_more or row != conversations[-1][0]
                break
    saved = await app.recordings.saved([conversation.conversation_id for conversation in listed])
    entries = [
        entry
        for conversation in listed
        for entry in _entries(app, conversation, saved.get(conversation.conversation_id))
    ]
    return entries, format_cursor(at, fingerprint) if has_more else ""


async def complete_id(app: App, context: RequestContext, typed: str) -> Completion:
    """The stored ids that start with what is typed; the newest ids if nothing is typed yet."""
    ids = await app.account.ids_with_prefix(min(context.seconds_left, _COMPLETION_SECONDS), typed, _COMPLETIONS + 1)
    return completion(list(filter(outside_form, ids)))


async def complete_agent(app: App, context: RequestContext, typed: str) -> list[str]:
    """The agents whose id or name starts with what is typed: the name if no other agent has it, else the id."""
    names = await app.account.agents(min(context.seconds_left, _COMPLETION_SECONDS))
    name_counts = Counter(name for name in names.values() if name)
    typed_folded = typed.casefold()
    completions: list[str] = []
    for agent_id, name in names.items():
        if agent_id.casefold().startswith(typed_folded):
            completions.append(agent_id)
        elif name and name.casefold().startswith(typed_folded):
            is_plain = name_counts[name] == 1 and "," not in name and outside_form(name)
            completions.append(name if is_plain else agent_id)
    return list(filter(outside_form, completions))


def completion(values: list[str]) -> Completion:
    """A completion with the maximum number of values, and whether there are more."""
    return Completion(values=values[:_COMPLETIONS], has_more=len(values) > _COMPLETIONS)


def _entries(app: App, conversation: Conversation, saved: tuple[AudioKind, int] | None) -> list[Resource]:
    conversation_id = conversation.conversation_id
    about = " · ".join(
        part
        for part in (
            format_time(conversation.started_at, app.zone),
            f"agent {outside_form(conversation.agent_id or '-') or ''}".strip(),
            outside_form(conversation.status or "") or "",
            f"{format_seconds(conversation.duration_seconds)} s",
        )
        if part
    )
    recording_type = saved[0].media_type if saved else app.account.recording_type
    recording = _entry(_RECORDING, conversation_id, about, recording_type, saved[1] if saved else None)
    transcript = _entry(_TRANSCRIPT, conversation_id, about, _TRANSCRIPT.media_type)
    return [recording, transcript] if conversation.ended else [transcript]


def _entry(
    template: ResourceKind, conversation_id: str, about: str, media_type: str, size: int | None = None
) -> Resource:
    return Resource(
        name=f"{template.name} {conversation_id}",
        title=f"{template.title} {about}",
        uri=uri_of(template.uri, conversation_id),
        mime_type=media_type,
        size=size,
    )


async def _recording(app: App, context: RequestContext, conversation_id: str) -> Contents:
    async def receive(recording: Recording) -> tuple[str, bytes]:
        data = bytearray()
        size = recording.size or 0
        async for chunk in recording.chunks:
            data += chunk
            if max(size, len(data)) > MOST_BYTES:
                raise _too_large(conversation_id, recording.size)
        return recording.kind.media_type, bytes(data)

    media_type, data = await app.account.recording(context, conversation_id, receive, "bytes")
    return BlobResourceContents(
        uri=uri_of(RECORDING_URI, conversation_id),
        mime_type=media_type,
        blob=base64.b64encode(data).decode(),
    )


def _too_large(conversation_id: str, size: int | None) -> InvalidRequestError:
    is_named = outside_form(conversation_id) == conversation_id
    which = f'conversation_id="{conversation_id}"' if is_named else "this conversation_id"
    most = f"more than the {MOST_BYTES / 1e6:g} MB that assistants accept as a resource"
    return InvalidRequestError(
        f"The recording is {size / 1e6:.1f} MB, {most}." if size else f"The recording is {most}.",
        f"Call save_recording with {which}: it saves the recording as a file.",
    )


async def _document(app: App, context: RequestContext, given_id: str) -> Contents:
    conversation, turns, signals = await app.account.conversation(context, given_id)
    document = ConversationDocument.model_validate(
        {
            **common_fields(conversation, app.zone),
            "ended_at": local(conversation.ended_at, app.zone),
            "trace_id": conversation.trace_id,
            "results": conversation.results,
            "signals": signals or None,
            "turns": turns,
        }
    )
    return TextResourceContents(
        uri=uri_of(CONVERSATION_URI, conversation.conversation_id),
        mime_type="application/json",
        text=document.model_dump_json(exclude_none=True),
    )


async def _markdown(app: App, context: RequestContext, given_id: str) -> Contents:
    conversation, turns, _ = await app.account.conversation(context, given_id)
    own = [
        conversation.conversation_id,
        conversation.agent_id or EMPTY,
        conversation.contact_number or EMPTY,
        conversation.status or EMPTY,
    ]
    outside = outside_forms(own)
    named, agent, contact, status = outside or [one_value(value, NEXT_PART) for value in own]
    seconds = format_seconds(conversation.duration_seconds)
    head = f"agent {agent} · {contact} · {status} · {format_time(conversation.started_at, app.zone)} · {seconds} s"
    results = f"Results: {results_line(conversation.results or {}) or 'none'}"
    said = ["", results, "", *(f"- {turn_line(turn)}" for turn in turns), ""]
    if outside:
        what = f"Results and {len(turns)} turns,"
        lines = [f"# Conversation {named}", "", head, "", *fenced(what, said, app.new_boundary())]
    else:
        what = f"Fields, results and {len(turns)} turns,"
        lines = ["# Conversation", "", *fenced(what, ["", f"{named} · {head}", *said], app.new_boundary())]
    return TextResourceContents(
        uri=uri_of(TRANSCRIPT_URI, conversation.conversation_id),
        mime_type="text/markdown",
        text="\n".join(lines),
    )


_RECORDING = ResourceKind(
    "recording", "Recording", "A call's audio, as the provider has it.", WAV.media_type, RECORDING_URI, _recording
)
_TRANSCRIPT = ResourceKind(
    "transcript", "Transcript", "A call's turns, to read or attach.", "text/markdown", TRANSCRIPT_URI, _markdown
)
_CONVERSATION = ResourceKind(
    "conversation",
    "Conversation",
    "Everything stored about a call: fields, results, signals, turns.",
    "application/json",
    CONVERSATION_URI,
    _document,
)
TEMPLATES = (_RECORDING, _TRANSCRIPT, _CONVERSATION)
