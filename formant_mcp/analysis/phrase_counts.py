"""Counts what is said over many conversations, from the keys of their turns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import eq

from formant_mcp.analysis.phrases import Phrase


@dataclass(slots=True)
class FormCounts:
    """How many conversations have each form.

    `spoken`: in how many conversations anything is said; `turns`: how many turns that are. Apart from these, the turns
    are counted in which a conversation says a form again.
    """

    conversations: Counter[int] = field(default_factory=Counter[int])
    _again: Counter[int] = field(default_factory=Counter[int])
    spoken: int = 0
    turns: int = 0

    @classmethod
    def of(cls, calls: Iterable[Sequence[int]]) -> "FormCounts":
        """The counts over conversations, each the keys of its turns."""
        counts = cls()
        for keys in calls:
            distinct = set(keys)
            counts.conversations.update(distinct)
            if len(distinct) < len(keys):
                ordered = sorted(keys)
                counts._again.update(compress(ordered, map(eq, ordered, ordered[1:])))
            counts.spoken += bool(distinct)
            counts.turns += len(keys)
        return counts

    def commonest(self, limit: int) -> list[int]:
        """The forms of most conversations. If there are more than `limit`, none that only one conversation has."""
        counted = self.conversations.items()
        if len(counted) > limit:
            counted = [(key, count) for key, count in counted if count > 1]
        ordered = sorted((-count, -self.turns_of(key), key) for key, count in counted)
        return [key for _, _, key in ordered[:limit]]

    def turns_of(self, key: int) -> int:
        """How many turns have this form."""
        return self.conversations[key] + self._again.get(key, 0)


def first_with(calls: Iterable[Sequence[int]], keys: Iterable[int]) -> dict[int, int]:
    """For each of the keys, the place of the first conversation that has it."""
    wanted, places = set(keys), dict[int, int]()
    for place, said in enumerate(calls):
        if new := wanted.intersection(said):
            places.update(dict.fromkeys(new, place))
            wanted -= new
            if not wanted:
                break
    return places


def count_exactly(phrases: Sequence[Phrase], calls: Iterable[Sequence[int]], others: Iterable[Sequence[int]]) -> None:
    """Sets the conversations of each phrase, here and elsewhere: one with several of its forms counts once."""
    place_of = {key: place for place, phrase in enumerate(phrases) for key in phrase.keys}
    here, there = (_conversations(place_of, said) for said in (calls, others))
    for place, phrase in enumerate(phrases):
        phrase.conversations, phrase.elsewhere = here[place], there[place]


def _conversations(place_of: Mapping[int, int], calls: Iterable[Sequence[int]]) -> Counter[int]:
    counts, keys = Counter[int](), frozenset(place_of)
    for said in calls:
        if some := keys.intersection(said):
            counts.update({place_of[key] for key in some})
    return counts
