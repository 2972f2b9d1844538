"""Scripted calls: how they are written, read and spoken.

`scripts/*.txt` contain the calls. Lines that begin with `#` are comments. Each script begins with
`[outcome language weight]`: how the call ends; `en`, `hi` (Hindi in Devanagari) or `hi-Latn` (in Latin letters, mixed
with English); and how common the script is at its agent (0 where it is left out). Its lines begin with `A:` (agent) or
`C:` (contact). ` | ` separates ways to say the same, also at the beginning of an indented line. Lines that begin with
`~` are said or left out together, `*` is where an interruption may come (one of `asides.txt`), and `{braces}` name
facts of the call (`facts.Facts.words`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Literal, NamedTuple

Role = Literal["agent", "contact"]

_CHARACTERS_PER_SECOND = (9, 15)


class Script(NamedTuple):
    """The lines of a call that ends in `outcome`; `weight` is how common that is at its agent."""

    outcome: str
    language: str
    weight: int
    lines: str


@dataclass(frozen=True, slots=True)
class SharedLines:
    """Lines that all agents share, by language; `new_openings` are those since the last prompt change."""

    openings: Mapping[str, str]
    new_openings: Mapping[str, str]
    asides: Mapping[str, Sequence[str]]
    voicemail: Mapping[str, str]

    @classmethod
    def read(cls) -> "SharedLines":
        """The lines of `openings.txt`, `asides.txt` and `voicemail.txt`."""
        asides = defaultdict[str, list[str]](list)
        for script in read_scripts("asides"):
            asides[script.language].append(script.lines)
        return cls(
            openings={
                script.language: script.lines for script in read_scripts("openings") if script.outcome == "before"
            },
            new_openings={
                script.language: script.lines for script in read_scripts("openings") if script.outcome == "new"
            },
            asides=asides,
            voicemail={script.language: script.lines for script in read_scripts("voicemail")},
        )


@dataclass(frozen=True, slots=True)
class SampleTurn:
    """One utterance; `seconds` and `end_seconds` count from the start of the call."""

    role: Role
    seconds: float
    end_seconds: float
    text: str


def read_scripts(name: str) -> tuple[Script, ...]:
    """The scripts in `scripts/<name>.txt`, in order."""
    text = (files("formant_mcp.demo") / "scripts" / f"{name}.txt").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(_parsed(section) for section in lines.strip().removeprefix("[").split("\n["))


def _parsed(section: str) -> Script:
    header, _, lines = section.partition("]\n")
    outcome, language, *weight = header.split()
    return Script(outcome, language, int(weight[0]) if weight else 0, lines.strip("\n"))


def lines_of(script: str, words: dict[str, str], asides: Sequence[str], rng: Random) -> Iterator[tuple[Role, str]]:
    """The lines of one call: one variant of each line, with the facts filled in."""
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


def timed(
    lines: Iterable[tuple[Role, str]], rng: Random, *, longest_pause: float = 2, thinking_seconds: float = 0
) -> tuple[SampleTurn, ...]:
    """The lines at the pace of speech, seconds to a tenth, with one long silence before one of them.

    `thinking_seconds`: how much longer the agent waits before each reply.
    """
    said = list(lines)
    held = rng.randrange(1, len(said)) if len(said) > 1 else 0
    pace, clock = rng.uniform(*_CHARACTERS_PER_SECOND), rng.uniform(0.2, 1.5)
    turns: list[SampleTurn] = []
    for index, (role, text) in enumerate(said):
        clock += rng.uniform(4, 20) if index == held else 0
        clock += thinking_seconds if turns and (turns[-1].role, role) == ("contact", "agent") else 0
        end = clock + max(0.8, len(text) / pace)
        turns.append(SampleTurn(role, round(clock, 1), round(end, 1), text))
        clock = end + rng.uniform(0.3, longest_pause)
    return tuple(turns)
