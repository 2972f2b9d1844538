"""Fetches a recording from where the provider's API says it is, and recognizes it by its first bytes.

The API's own address may return the bytes, redirect to a storage address, or name one in JSON. Whatever the headers
say, a recording is what starts like one: no bytes, a web page or an error document is not a recording.
"""

import ipaddress
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
from pydantic import JsonValue

from formant_mcp.audio import BEGINNING_BYTES, UNKNOWN, WAV, is_document, kind_of
from formant_mcp.errors import ASK_AGAIN, InvalidResponseError, NotFoundError
from formant_mcp.models import named
from formant_mcp.providers.base import Recording
from formant_mcp.providers.http import Download, HttpClient

_MOST_HOPS = 5
_MOST_DOCUMENT_BYTES = 65_536
_ADDRESS_FIELDS = ("recording_url", "audio_url", "signed_url", "download_url", "url")
_BYTES, _GONE = frozenset({200, 201, 203, 206, 208, 226}), 410
_ABOUT_KEY = frozenset({401, 403, 429})  # from the API: about the key or its rate limit, not about this recording
_NOT_THERE = frozenset(range(300, 500)) - _ABOUT_KEY
_NOT_YET = frozenset({300, 304, 404, 409, 416, 422, 425, 451})
_EXPIRED = frozenset({400, 401, 403})  # from a storage address: its signature has expired, and no key is wrong
_DEEPEST = 3  # {"data": [{"recording": {"url": …}}]}
_HIGHEST_PORT = 65_535


@asynccontextmanager
async def open_recording(http: HttpClient, path: str, conversation_id: str) -> AsyncGenerator[Recording, None]:
    """The recording's bytes, up to 100 MB. The key is sent to the API's own origin only.

    Raises:
        NotFoundError: there is none, none yet, or no longer.
        InvalidResponseError: it is larger, or at an address that is not allowed.
    """
    address = path
    for _ in range(_MOST_HOPS + 1):
        client = http.for_address(address)
        accepted = _NOT_THERE if client is http else _NOT_THERE | _EXPIRED
        async with client.stream(address, accepted) as download:
            opened = await _open_download_as_recording(download, conversation_id, is_elsewhere=client is not http)
            if isinstance(opened, Recording):
                yield opened
                return
            address = str(_allowed_address(download.address, opened, http.address))
    raise InvalidResponseError("Too many redirects to the recording.", ASK_AGAIN)


async def _open_download_as_recording(
    download: Download, conversation_id: str, *, is_elsewhere: bool
) -> Recording | str:
    """The recording, or the address where the response says it is."""
    if download.location:
        return download.location
    _check_status(download, conversation_id, is_elsewhere=is_elsewhere)
    beginning, is_whole = await _read_at_least(download.chunks, BEGINNING_BYTES)
    kind = kind_of(beginning)
    if kind is WAV and is_whole and beginning[-8:-4] == b"data":
        raise recording_not_found(conversation_id, "the file has no audio")
    if kind is None and not beginning.strip(b"\0 \t\r\n"):
        raise recording_not_found(conversation_id)
    if kind is None and is_document(beginning):
        document = beginning + (await _read_at_least(download.chunks, _MOST_DOCUMENT_BYTES))[0]
        if address := _address_in(document):
            return address
        raise recording_not_found(conversation_id, "the provider sent a document instead")
    return Recording(kind or UNKNOWN, _rejoined(beginning, download.chunks), download.size)


def _check_status(download: Download, conversation_id: str, *, is_elsewhere: bool) -> None:
    """Raises the error for a status that does not announce the recording's bytes."""
    if download.status == _GONE:
        raise NotFoundError(
            f"The recording of {named(conversation_id)} is no longer available: the provider has removed it.",
            "get_transcripts still has the transcript.",
        )
    if is_elsewhere and download.status in _EXPIRED:
        raise NotFoundError(
            f"The recording of {named(conversation_id)} is not available: the storage refused the address that the"
            " provider gave, which may have expired.",
            "Retry for a new address; if it persists, report it to the provider.",
        )
    if download.status >= 400 and download.status not in _NOT_YET:
        raise NotFoundError(
            f"The recording of {named(conversation_id)} is not available (status {download.status}).",
            "Retry later; if it persists, report it to the provider.",
        )
    if download.status not in _BYTES:
        raise recording_not_found(conversation_id)
    if download.is_part:
        raise recording_not_found(conversation_id, "the provider sent only a part of it")


def recording_not_found(conversation_id: str, why: str = "") -> NotFoundError:
    """The error for a recording that does not exist, or not yet; no API says which."""
    return NotFoundError(
        f"The recording of {named(conversation_id)} is not available yet, or there is none{why and f' ({why})'}.",
        "Retry some minutes after the call's end; get_transcripts says whether the call connected.",
    )


async def _read_at_least(chunks: AsyncIterator[bytes], least: int) -> tuple[bytes, bool]:
    """At least that many bytes, or all there are; and whether that was all."""
    read = bytearray()
    async for chunk in chunks:
        read += chunk
        if len(read) >= least:
            return bytes(read), False
    return bytes(read), True


async def _rejoined(beginning: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield beginning
    async for chunk in chunks:
        yield chunk


def _address_in(document: bytes) -> str:
    """The address in a JSON document; '' if there is none."""
    try:
        wire: JsonValue = json.loads(document)
    except (ValueError, RecursionError):
        return ""
    return _find_address(wire, _DEEPEST)


def _find_address(wire: JsonValue, levels: int) -> str:
    """The address in a value: the value itself, the only item of a list, or in a field up to that many levels down."""
    if isinstance(wire, list):
        return _find_address(wire[0], levels) if len(wire) == 1 and not isinstance(wire[0], list) else ""
    if isinstance(wire, str):
        return wire if wire.startswith(("https://", "http://")) else ""
    if not isinstance(wire, dict) or not levels:
        return ""
    named = (wire.get(name) for name in _ADDRESS_FIELDS)
    below = (_find_address(value, levels - 1) for value in wire.values() if isinstance(value, dict | list))
    return next((value for value in named if isinstance(value, str) and value), "") or next(filter(None, below), "")


def _allowed_address(current: httpx.URL, sent: str, api: httpx.URL) -> httpx.URL:
    """The address `sent`, which may be relative, if it is allowed: https, or http on loopback if the API is there."""
    try:
        named = httpx.URL(sent)
        address = named if named.scheme else current.join(named)
        if (address.port or 0) > _HIGHEST_PORT:
            raise httpx.InvalidURL("port")
        str(address.host)  # decodes the name of an international domain
    except (httpx.InvalidURL, UnicodeError):
        address = httpx.URL("")
    is_here = _is_loopback(address.host)
    allowed = ("https", "http") if is_here else ("https",)
    if (
        not address.host
        or address.userinfo
        or address.scheme not in allowed
        or (is_here and not _is_loopback(api.host))
    ):
        raise InvalidResponseError("The provider's address for the recording is not allowed: only https is.", ASK_AGAIN)
    return address


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
