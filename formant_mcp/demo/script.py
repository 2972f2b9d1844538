"""How a scripted call becomes spoken turns.

A script's lines begin with `A:` (agent) or `C:` (contact); ` | ` (also at the
beginning of an indented line) separates ways to say the same. Lines that begin with
`~` are said or left out together, `*` is where something may get in the way (an aside of `phrases.ASIDES`), and
`{braces}` name facts of the call.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Role = Literal["agent", "contact"]

_CHARACTERS_PER_SECOND = (9, 15)


class Script(NamedTuple):
    """What is said in a call that ends in `outcome`; `weight` is how common that is at its agent."""

    outcome: str
    language: str
    weight: int
    lines: str


@dataclass(frozen=True, slots=True)
class SampleTurn:
    """One utterance; `seconds` and `end_seconds` count from the start of the call."""

    role: Role
    seconds: float
    end_seconds: float
    text: str


def lines_of(script: str, words: dict[str, str], asides: Sequence[str], rng: Random) -> Iterator[tuple[Role, str]]:
    """The script played once: every choice made, every fact filled in."""
    optional = said = False
    for line in script.strip().replace("\n  | ", " | ").splitlines():
        if line == "*":
            if asides and rng.random() < 0.4:
                yield from lines_of(rng.choice(asides), words, (), rng)
            continue
        if line.startswith("~") and not optional:
            said = rng.random() < 0.5
        optional = line.startswith("~")
        if optional and not said:
            continue
        letter, _, ways = line.lstrip("~").partition(": ")
        text = rng.choice(ways.split(" | ")).format_map(words)
        yield ("agent" if letter == "A" else "contact"), text[:1].upper() + text[1:]


def timed(lines: Iterable[tuple[Role, str]], rng: Random, longest_pause: float = 2) -> tuple[SampleTurn, ...]:
    """The lines at the pace of speech, seconds to a tenth, with one long silence before one of them."""
    said = list(lines)
    held = rng.randrange(1, len(said)) if len(said) > 1 else 0
    pace, clock = rng.uniform(*_CHARACTERS_PER_SECOND), rng.uniform(0.2, 1.5)
    turns: list[SampleTurn] = []
    for index, (role, text) in enumerate(said):
        clock += rng.uniform(4, 20) if index == held else 0
        end = clock + max(0.8, len(text) / pace)
        turns.append(SampleTurn(role, round(clock, 1), round(end, 1), text))
        clock = end + rng.uniform(0.3, longest_pause)
    return tuple(turns)
