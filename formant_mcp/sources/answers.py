"""A provider's answer held against what was asked for: the right conversation, and a recording that is one."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from formant_mcp.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, clean
from formant_mcp.source import Recording
from formant_mcp.sources.http import Download

# How files of these types begin: RFC 2361 (RIFF), RFC 3533 (Ogg), RFC 9639 (FLAC), the ID3v2 standard.
_BEGINNINGS = ((b"RIFF", "audio/wav"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"ID3", "audio/mpeg"))
_MPEG_SYNC = 0xFFE0  # the eleven bits that an MPEG audio frame begins with (ISO/IEC 11172-3)


def as_asked(conversation: Conversation, conversation_id: str) -> Conversation:
    """The conversation, with the id it was asked for by where the answer names none.

    Raises:
        InvalidResponseError: the answer is about another conversation.
    """
    if not conversation.conversation_id:
        return replace(conversation, conversation_id=clean(conversation_id))
    if conversation.conversation_id != clean(conversation_id):
        raise InvalidResponseError(
            "The answer's field 'conversation_id' names another conversation than the one asked for.",
            "Ask again; if it stays so, tell the provider.",
        )
    return conversation


def no_conversation(conversation_id: str) -> NotFoundError:
    """The error for a conversation that does not exist or belongs to another account; no API says which."""
    return NotFoundError(
        f"No conversation {clean(conversation_id)} in this account.", "list_conversations gives the ids."
    )


def no_recording(conversation_id: str) -> NotFoundError:
    """The error for a recording that does not exist, or not yet; no API says which."""
    return NotFoundError(
        f"The recording of {clean(conversation_id)} is not available yet, or there is none.",
        "Ask again some minutes after the call's end; get_transcripts tells whether the call connected.",
    )


def cursor_refused() -> InvalidRequestError:
    """The error for a cursor that the provider does not take, or no longer."""
    return InvalidRequestError("cursor: the provider does not take it, or no longer.", "Begin with the first page.")


async def recording_of(download: Download, usual_type: str) -> Recording:
    """The recording being received. Its type is what was sent, else what its first bytes tell, else `usual_type`.

    Raises:
        InvalidResponseError: what comes is a document.
    """
    sent = download.media_type
    if sent.startswith("text/") or "json" in sent or "html" in sent or "xml" in sent:
        raise InvalidResponseError(
            "The API answered with a document instead of a recording.", "Ask again; if it stays so, tell the provider."
        )
    if sent.startswith("audio/"):
        return Recording(sent, download.chunks)
    beginning = await anext(download.chunks, b"")
    return Recording(_type_by(beginning) or usual_type, _rejoined(beginning, download))


async def _rejoined(beginning: bytes, download: Download) -> AsyncGenerator[bytes, None]:
    if beginning:
        yield beginning
    async for chunk in download.chunks:
        yield chunk


def _type_by(beginning: bytes) -> str | None:
    for mark, media_type in _BEGINNINGS:
        if beginning.startswith(mark):
            return media_type
    if beginning[4:8] == b"ftyp":
        return "audio/mp4"
    return "audio/mpeg" if int.from_bytes(beginning[:2], "big") & _MPEG_SYNC == _MPEG_SYNC else None
