"""Checks that a response is about the requested conversation."""

from formant_mcp.errors import ASK_AGAIN, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, clean, named


def check_conversation_id(conversation: Conversation, conversation_id: str) -> Conversation:
    """The conversation; falls back to the requested id if the response has none.

    Raises:
        InvalidResponseError: the response is about another conversation.
    """
    if not conversation.conversation_id:
        return conversation._replace(conversation_id=clean(conversation_id))
    if conversation.conversation_id != clean(conversation_id):
        raise InvalidResponseError(
            "The response's field 'conversation_id' names another conversation than the one requested.",
            ASK_AGAIN,
        )
    return conversation


def conversation_not_found(conversation_id: str) -> NotFoundError:
    """The error for a conversation that does not exist or belongs to another account; no API says which."""
    return NotFoundError(
        f"No conversation {named(conversation_id)} in this account.", "list_conversations gives the ids."
    )
