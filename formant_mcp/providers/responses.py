"""A provider's answer held against what was asked for."""

from dataclasses import replace

from formant_mcp.errors import ASK_AGAIN, InvalidResponseError, NotFoundError
from formant_mcp.models import Conversation, clean


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
            ASK_AGAIN,
        )
    return conversation


def no_conversation(conversation_id: str) -> NotFoundError:
    """The error for a conversation that does not exist or belongs to another account; no API says which."""
    return NotFoundError(
        f"No conversation {clean(conversation_id)} in this account.", "list_conversations gives the ids."
    )
