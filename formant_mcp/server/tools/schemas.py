"""The structured answers: times are ISO 8601 with offset, and empty fields are left out."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import BaseModel, JsonValue, PlainSerializer, WithJsonSchema

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.models import Conversation
from formant_mcp.queries.coverage import Coverage
from formant_mcp.server.tools.text import truncate

RECORDING_URI = "formant://conversations/{conversation_id}/recording"
TRANSCRIPT_URI = "formant://conversations/{conversation_id}/transcript"
CONVERSATION_URI = "formant://conversations/{conversation_id}"
_EXACT = 1e15  # from here on a number is shorter with an exponent
_FIELD_CHARACTERS = 100  # more than any provider's ids, numbers and statuses have


def _shortest_number(value: float) -> int | float:
    return int(value) if abs(value) < _EXACT and value == int(value) else value


Number = Annotated[float, PlainSerializer(_shortest_number), WithJsonSchema({"type": "number"})]
"""A number that is sent without decimals where it has none: `20`, not `20.0`."""


class CoverageAnswer(BaseModel):
    """What the answer covers."""

    matched: int
    known: int
    total: int | None = None
    complete: bool
    as_of: datetime | None = None
    details_needed: int = 0
    details_read: int = 0
    unreadable: dict[str, int] | None = None
    note: str | None = None


class ConversationFields(BaseModel):
    """A conversation's own fields, the same in every answer."""

    conversation_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    contact_number: str | None = None
    user_id: str | None = None
    direction: str | None = None
    status: str | None = None
    failure_reason: str | None = None
    started_at: datetime | None = None
    duration_seconds: Number | None = None


OPTIONAL_FIELDS = {"user_id": "user {}", "direction": "{}"}
"""Fields that not every provider has, with their form in a line of text; shown only if there is a value."""


class ConversationAnswer(ConversationFields):
    """One conversation as a list shows it."""

    results: dict[str, JsonValue] | None = None
    signals: dict[str, JsonValue] | None = None
    gist: str | None = None


class ListAnswer(BaseModel):
    """Conversations that match."""

    coverage: CoverageAnswer
    next_cursor: str | None = None
    conversations: list[ConversationAnswer]


class TranscriptAnswer(ConversationFields):
    """One conversation with the turns of a window, one line per turn: `index role m:ss text`."""

    ended_at: datetime | None = None
    trace_id: str | None = None
    results: dict[str, JsonValue] | None = None
    signals: dict[str, Measured] | None = None
    recording_uri: str | None = None
    turn_count: int
    transcript: str
    next_turn: int | None = None


class ErrorAnswer(BaseModel):
    """An id that failed, and why."""

    conversation_id: str
    message: str


class TranscriptsAnswer(BaseModel):
    """The requested conversations."""

    coverage: CoverageAnswer
    conversations: list[TranscriptAnswer]
    errors: list[ErrorAnswer]


class Silence(BaseModel):
    """A stretch without sound, in seconds from the start."""

    from_seconds: Number
    to_seconds: Number


class SavedAnswer(BaseModel):
    """A recording on disk, with the figures that its format allows."""

    coverage: CoverageAnswer
    path: str
    bytes: int
    seconds: Number | None = None
    channels: int | None = None
    sample_rate: int | None = None
    silence_share: Number | None = None
    longest_silence: Silence | None = None


class ExportAnswer(BaseModel):
    """A file with all conversations that match."""

    coverage: CoverageAnswer
    path: str
    rows: int
    bytes: int
    columns: list[str]


class ElsewhereAnswer(BaseModel):
    """How many conversations say a phrase on the other side of a comparison."""

    conversations: int
    share: Number | None = None


class PhraseAnswer(BaseModel):
    """A phrase in the words of one of its turns, which the example conversation has.

    `share`: of the conversations in which that role speaks.
    """

    text: str
    turns: int
    conversations: int
    share: Number
    elsewhere: ElsewhereAnswer | None = None
    example_conversation_id: str
    turn: int


class PhrasesAnswer(BaseModel):
    """What is said most, or more than elsewhere.

    `conversations_total`, `elsewhere_total`: in how many that role speaks; `turns_total`: in how many turns.
    `forms_total`: how many different ones these have; `forms_joined`: how many of them were compared.
    """

    coverage: CoverageAnswer
    conversations_total: int
    turns_total: int
    forms_total: int
    forms_joined: int
    elsewhere_total: int | None = None
    phrases: list[PhraseAnswer]


def local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A time in the user's zone, to the second."""
    return moment and moment.astimezone(zone).replace(microsecond=0)


def coverage_answer(coverage: Coverage, zone: ZoneInfo) -> CoverageAnswer:
    """The coverage as an answer has it."""
    return CoverageAnswer(
        matched=coverage.matched,
        known=coverage.known,
        total=coverage.total,
        complete=coverage.complete,
        as_of=local(coverage.as_of, zone),
        details_needed=coverage.details_needed,
        details_read=coverage.details_read,
        unreadable=coverage.unreadable or None,
        note=coverage.note or None,
    )


def common_fields(conversation: Conversation, zone: ZoneInfo) -> dict[str, Any]:
    """The fields that lists and transcripts share."""
    fields = {name: getattr(conversation, name) for name in ConversationFields.model_fields}
    return fields | {"started_at": local(conversation.started_at, zone)}


def shown_fields(conversation: Conversation, zone: ZoneInfo, reason_characters: int) -> dict[str, Any]:
    """The same with long texts truncated, so that none of them fills an answer; the id stays whole."""
    fields = common_fields(conversation, zone)
    for name, value in fields.items():
        if isinstance(value, str) and name != "conversation_id":
            fields[name] = truncate(value, reason_characters if name == "failure_reason" else _FIELD_CHARACTERS)
    return fields


def uri_of(template: str, conversation_id: str) -> str:
    """The address of one conversation's resource."""
    return template.format(conversation_id=quote(conversation_id, safe=""))
