"""Conversations with given fields, as the providers' parsers read them."""

from pydantic import JsonValue

from formant_mcp.models import Conversation
from formant_mcp.providers import elevenlabs_json, formant_json


def formant_row(**fields: JsonValue) -> Conversation:
    """A row of Formant's list."""
    page = formant_json.parse_page({"data": [{"conversation_id": "c1", **fields}]})
    assert page.unreadable == 0
    return page.conversations[0]


def elevenlabs_detail(**fields: JsonValue) -> Conversation:
    """A conversation of the cursor family."""
    return elevenlabs_json.parse_detail({"conversation_id": "c1", **fields})
