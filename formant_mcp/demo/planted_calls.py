"""What there is to be found in the sample account: calls that do not happen by chance.

Besides these, agent 456's disputes rise with its new prompt (see `phrases_collections.LATE_FEE_DISPUTES`).
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from formant_mcp.demo.phrases_collections import LAWYER
from formant_mcp.demo.phrases_english import SURVEY_INJECTION
from formant_mcp.demo.phrases_reminders import (
    INJECTION,
    REFUND,
    STATEMENT_CLOSING,
    STATEMENT_ENTRY,
    STATEMENT_OPENING,
)
from formant_mcp.demo.script import Role, Script, lines_of


class Story(NamedTuple):
    """One such call: so many days before now, in that hour of the agent's day. `amount` in rupees, 0 for any."""

    agent_id: int
    days_back: int
    hour: int
    script: Script
    amount: int = 0


STORIES = (
    Story(456, 2, 18, LAWYER[0]),
    Story(456, 3, 11, LAWYER[1]),
    Story(456, 5, 19, LAWYER[2]),
    Story(456, 23, 17, LAWYER[3]),
    Story(123, 4, 12, REFUND, amount=15000),
    Story(123, 9, 15, INJECTION),
    Story(789, 6, 18, SURVEY_INJECTION),
)

STATEMENT = Script("statement_review", "en", 0, STATEMENT_OPENING + STATEMENT_CLOSING)


def statement_lines(words: dict[str, str], entries: int, rng: Random) -> Iterator[tuple[Role, str]]:
    """A statement gone through entry by entry: two lines for each."""
    words = words | {"entries": str(entries)}
    yield from lines_of(STATEMENT_OPENING, words, (), rng)
    for entry in range(1, entries + 1):
        amount = f"{rng.randrange(900, 9900, 50):,}"
        yield from lines_of(STATEMENT_ENTRY, words | {"entry": str(entry), "amount": amount}, (), rng)
    yield from lines_of(STATEMENT_CLOSING, words, (), rng)
