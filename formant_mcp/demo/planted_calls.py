"""Calls planted in the sample account, for reviews to find; all others are random.

In addition, agent 456's disputes rise with its new prompt (see `scripts/late_fee_disputes.txt`), agent 101 is slow to
reply (see `agents`), and two failure reasons begin on a certain day (see `calls`).
"""

from collections.abc import Iterator, Mapping
from itertools import cycle
from random import Random
from typing import NamedTuple

from formant_mcp.demo.script import Role, Script, lines_of, read_scripts


class PlantedCall(NamedTuple):
    """One planted call: `days_back` days ago, in that hour of the agent's day. `amount` in rupees, 0 for any."""

    agent_id: int
    days_back: int
    hour: int
    script: Script
    amount: int = 0


# The calls of each file of scripts, which are used in turn: agent, days back, hour.
_STORIES: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "loops": ((452, 3, 10), (452, 6, 14), (452, 11, 9), (452, 17, 11), (452, 26, 15), (452, 38, 10)),
    "ignored_requests": ((123, 8, 16), (456, 10, 17), (123, 20, 13)),
    "contradictions": ((123, 11, 18), (456, 12, 19), (456, 16, 12)),
    "abuse": ((789, 13, 17), (456, 19, 18), (456, 9, 12)),
}


def read_planted_calls() -> tuple[PlantedCall, ...]:
    """Calls that a search finds: about a lawyer, about a refund, and with instructions for whoever reads them."""
    lawyer = read_scripts("lawyer")
    (refund,), (injection,), (survey_injection,) = map(read_scripts, ("refund", "injection", "survey_injection"))
    return (
        PlantedCall(456, 2, 18, lawyer[0]),
        PlantedCall(456, 3, 11, lawyer[1]),
        PlantedCall(456, 5, 19, lawyer[2]),
        PlantedCall(456, 23, 17, lawyer[3]),
        PlantedCall(123, 4, 12, refund, amount=15000),
        PlantedCall(123, 9, 15, injection),
        PlantedCall(789, 6, 18, survey_injection),
    )


def read_stories() -> tuple[PlantedCall, ...]:
    """Calls that signals find, or that contradict their results."""
    return tuple(
        PlantedCall(agent_id, days_back, hour, script)
        for name, moments in _STORIES.items()
        for (agent_id, days_back, hour), script in zip(moments, cycle(read_scripts(name)), strict=False)
    )


class Statement(NamedTuple):
    """A call that goes through a loan statement, two lines for each entry."""

    opening: str
    entry: str
    closing: str

    @classmethod
    def read(cls) -> "Statement":
        """The script in `scripts/statement.txt`."""
        return cls(*(script.lines for script in read_scripts("statement")))

    @property
    def script(self) -> Script:
        """The call's outcome, and what is said apart from the entries."""
        return Script("statement_review", "en", 0, f"{self.opening}\n{self.closing}")

    def lines(self, words: dict[str, str], entries: int, rng: Random) -> Iterator[tuple[Role, str]]:
        """The lines of a call with this many entries."""
        words = words | {"entries": str(entries)}
        yield from lines_of(self.opening, words, (), rng)
        for entry in range(1, entries + 1):
            amount = f"{rng.randrange(900, 9900, 50):,}"
            yield from lines_of(self.entry, words | {"entry": str(entry), "amount": amount}, (), rng)
        yield from lines_of(self.closing, words, (), rng)
