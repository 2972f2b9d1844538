"""When what was read may have changed. The figures are ours; the provider documents none."""

from datetime import datetime, timedelta

from formant_mcp.errors import FormantError, NotFoundError, UnavailableError
from formant_mcp.models import Conversation

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_RETRY_AFTER = 5 * MINUTE

CONFIRM_AFTER = MINUTE  # many calls are taken for gone only where a second full pass, so much later, misses them too
_MANY = 5


def are_many(missing: int, known: int) -> bool:
    """Whether so many known calls are missing, a fifth or more likely all, that the provider may be wrong."""
    return missing * _MANY > known


def next_refresh_at(conversation: Conversation, read_at: datetime) -> datetime | None:
    """When to read a conversation's transcript and results anew; None: they are final.

    Final is a call over for an hour that has results, and any call over for a day. One still running, or over for less
    than an hour, is read anew after a minute; one without results ever more seldom, until the day is over.
    """
    over_at = conversation.ended_at or conversation.started_at
    if over_at is None:
        return None if conversation.ended and conversation.results else read_at + MINUTE
    age = read_at - over_at
    if age >= DAY or (conversation.ended and age >= HOUR and conversation.results):
        return None
    if not conversation.ended or age < HOUR:
        return read_at + MINUTE
    return read_at + age / 4


def next_try(error: FormantError, now: datetime) -> datetime:
    """When a question may ask again for details that could not be read: at once where the failure may have passed."""
    if isinstance(error, NotFoundError):
        return now + HOUR
    return now if isinstance(error, UnavailableError) else now + _RETRY_AFTER
