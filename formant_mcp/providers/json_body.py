"""Parses a body as JSON. Errors say what is wrong with it, and never quote it."""

import json
from contextlib import suppress

from pydantic import JsonValue
from pydantic_core import from_json

from formant_mcp.errors import ASK_AGAIN, CHECK_ADDRESS, DamagedResponseError, InvalidResponseError

_LONGEST_INTEGER = 300
_OPEN = {"{": "}", "[": "]"}


def parse_json(body: bytes, address_hint: str = CHECK_ADDRESS) -> JsonValue:
    """Parses JSON leniently: a damaged byte, raw line break or lone surrogate costs a character, not a whole page.

    `address_hint`: the next step if the address may be wrong.

    Raises:
        InvalidResponseError: it is not JSON. DamagedResponseError: it was damaged in transit.
    """
    with suppress(ValueError):
        return from_json(body)  # nearly every body, and faster
    text = body.decode("utf-8-sig", errors="replace").strip()
    if not text:
        raise DamagedResponseError("The response is empty.", ASK_AGAIN)
    if text.startswith("<"):
        raise DamagedResponseError("The response is a web page instead of JSON.", address_hint)
    try:
        return json.loads(text, parse_int=_integer, strict=False)
    except json.JSONDecodeError as error:
        is_cut_off = error.pos >= len(text) or error.msg.startswith("Unterminated")
        if is_cut_off or (text[0] in _OPEN and text[-1] != _OPEN[text[0]]):  # within a word, a number, an escape
            raise DamagedResponseError("The response was truncated.", ASK_AGAIN) from None
        raise InvalidResponseError("The response is not JSON.", ASK_AGAIN) from None
    except RecursionError:
        raise InvalidResponseError("The response is nested too deeply.", ASK_AGAIN) from None


def _integer(digits: str) -> int | float:
    """Python refuses to parse integers of thousands of digits; as a float such a number is infinite."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def says_not_found(body: bytes) -> bool:
    """Whether the body of a 404 is an error of one of the APIs, and not a gateway's."""
    try:
        sent = parse_json(body)
    except InvalidResponseError:
        return False
    if not isinstance(sent, dict):
        return False
    error, status = sent.get("error"), sent.get("status")
    if isinstance(error, dict):  # Formant: {"error": {"type": "not_found"}}
        return "not_found" in str(error.get("type", "not_found"))
    if isinstance(status, dict):
        status = status.get("code")
    # ElevenLabs, VoiceOS: {"detail": ...}; Voiceable: {"status": 404, "error": ...}, or {"status": {"code": 404}, ...}
    return bool(sent.get("detail")) or str(status) == "404"
