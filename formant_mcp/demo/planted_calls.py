"""What there is to be found in the sample account: calls that do not happen by chance.

Besides these, agent 456's disputes rise with its new prompt (see `scripts/late_fee_disputes.txt`).
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from formant_mcp.demo.script import Role, Script, lines_of, read_scripts


class Story(NamedTuple):
    """One such call: so many days before now, in that hour of the agent's day. `amount` in rupees, 0 for any."""

    agent_id: int
    days_back: int
    hour: int
    script: Script
    amount: int = 0


def read_stories() -> tuple[Story, ...]:
    """Those calls but for the statements."""
    lawyer = read_scripts("lawyer")
    (refund,), (injection,), (survey_injection,) = map(read_scripts, ("refund", "injection", "survey_injection"))
    return (
        Story(456, 2, 18, lawyer[0]),
        Story(456, 3, 11, lawyer[1]),
        Story(456, 5, 19, lawyer[2]),
        Story(456, 23, 17, lawyer[3]),
        Story(123, 4, 12, refund, amount=15000),
        Story(123, 9, 15, injection),
        Story(789, 6, 18, survey_injection),
    )


class Statement(NamedTuple):
    """A loan statement gone through entry by entry: two lines for each."""

    opening: str
    entry: str
    closing: str

    @classmethod
    def read(cls) -> "Statement":
        """The one of `scripts/statement.txt`."""
        return cls(*(script.lines for script in read_scripts("statement")))

    @property
    def script(self) -> Script:
        """How such a call ends, and what is said besides the entries."""
        return Script("statement_review", "en", 0, f"{self.opening}\n{self.closing}")

    def lines(self, words: dict[str, str], entries: int, rng: Random) -> Iterator[tuple[Role, str]]:
        """The call with so many entries."""
        words = words | {"entries": str(entries)}
        yield from lines_of(self.opening, words, (), rng)
        for entry in range(1, entries + 1):
            amount = f"{rng.randrange(900, 9900, 50):,}"
            yield from lines_of(self.entry, words | {"entry": str(entry), "amount": amount}, (), rng)
        yield from lines_of(self.closing, words, (), rng)
