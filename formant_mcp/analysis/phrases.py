"""What is said most: turns that say the same but for names, numbers and small wording.

When a turn is saved, `phrase_key` gives the key of its form: its words without small ones, each number as `#`, each of
the contact's names as `@`. So one GROUP BY counts the turns and conversations of each form. At a question, `group`
takes the commonest forms as `FormCount`s and joins those that are nearly equal; `ranked` and `distinctive` order the
result. Nothing depends on the order of turns or rows.

Forms are nearly equal if at least 60 % of their words and pairs of neighbouring words are the same, and if they agree
in what turns a meaning around: negations, question words, `will` or `can`. English words are compared by their stem,
others without doubled letters (`dunga`, `doonga`). Every pair that qualifies is found, unlike with MinHash:
an index of rare shingles is fast enough for the 20,000 forms of a question.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby, islice, pairwise
from operator import eq, itemgetter
from typing import NamedTuple

from formant_mcp.analysis.small_words import DECISIVE, NEGATIONS, SMALL, SPELLED_OUT
from formant_mcp.analysis.statistics import adjusted_p_values, two_share_p_value
from formant_mcp.text_search.tokenizer import divided, indexable, is_unspaced, stem

KEY_VERSION = 1
NAME, NUMBER = "@", "#"

_SHORTEST_NAME = 3  # letters; shorter ones are also words
_DIGITS = re.compile("[0-9]+")
_SAME_SOUND = re.compile("ee|ii|oo|uu|([a-z])\\1")
_SOUNDS = {"ee": "i", "ii": "i", "oo": "u", "uu": "u"}
_NEAR = 0.6  # Jaccard similarity of shingles
_LONGER_FOR_EACH_SHORT = 3
_PRIOR = 1_000  # conversations that are added to each side, with phrases as in both together
_CHANCE = 0.05  # that a list of distinctive phrases has anything at all where there is no difference, at most

# What is kept of a word, if that is not the word itself: nothing of small ones.
_KEPT: dict[str, str] = {
    **{word: " ".join(part for part in parts if part not in SMALL) for word, parts in SPELLED_OUT.items()},
    **dict.fromkeys(SMALL, ""),
}


class FormCount(NamedTuple):
    """How often one form was said, with the text of one of its turns.

    `elsewhere`: conversations of the other side of a comparison in which it was said.
    """

    key: int
    turns: int
    conversations: int
    text: str
    elsewhere: int = 0


@dataclass(slots=True)
class Phrase:
    """Forms that are nearly equal, the commonest first, with its text.

    `turns` is exact. `conversations` and `elsewhere` are the sums of the forms: a conversation with two of them counts
    twice.
    """

    text: str
    is_short: bool
    keys: list[int] = field(default_factory=list[int])
    turns: int = 0
    conversations: int = 0
    elsewhere: int = 0

    def add(self, row: FormCount) -> None:
        """Counts one more form."""
        self.keys.append(row.key)
        self.turns += row.turns
        self.conversations += row.conversations
        self.elsewhere += row.elsewhere


@dataclass(frozen=True, slots=True)
class Names:
    """Names of contacts: words, and whole names of scripts without spaces by their first character."""

    words: frozenset[str] = frozenset()
    unspaced: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


NO_NAMES = Names()


def names_of(names: Iterable[str]) -> Names:
    """The words by which contacts with these names are called, without those that are small or decisive words."""
    words: set[str] = set()
    unspaced: dict[str, list[str]] = defaultdict(list)
    for name in set(map(indexable, names)):
        parts = divided(name)
        if not all(map(is_unspaced, parts)):
            words |= {part for part in parts if len(part) >= _SHORTEST_NAME}
        elif len(parts) > 1:
            unspaced[parts[0]].append(name)
    return Names(frozenset(words - SMALL - DECISIVE - SPELLED_OUT.keys()), unspaced)


def form_of(indexed: str, names: Names = NO_NAMES) -> str:
    """The form of a turn, of its text as indexed; '' if it has no words. Only small words are kept if there are no
    others. A word said several times in a row counts once."""
    if not indexed:
        return ""
    # Every turn is taken apart when it is saved, so this uses what runs without a loop in Python.
    words: Sequence[str] = _DIGITS.sub(NUMBER, indexed).replace("'", " ").replace("-", " ").split(" ")
    if not names.words.isdisjoint(words):
        words = [NAME if word in names.words else word for word in words]
    if names.unspaced and not names.unspaced.keys().isdisjoint(words):
        words = _without_unspaced(words, names)
    form = " ".join(filter(None, map(_KEPT.get, words, words))) or " ".join(words)
    kept = form.split(" ")
    if any(map(eq, kept, islice(kept, 1, None))):
        return " ".join([word for word, _ in groupby(kept)])
    return form


def phrase_key(indexed: str, names: Names = NO_NAMES) -> int | None:
    """The key of a turn's form, a signed 64-bit number; None for a turn without words."""
    form = form_of(indexed, names)
    return int.from_bytes(blake2b(form.encode(), digest_size=8).digest(), signed=True) if form else None


def group(rows: Iterable[FormCount], names: Names = NO_NAMES) -> list[Phrase]:
    """Joins nearly equal forms; the phrase of most conversations comes first, as one call may say a thing 50 times.

    From the commonest form on, each joins the phrase whose first form is most like it, so that a chain of small
    differences does not join what differs much.
    """
    forms = sorted((_order(row), form_of(indexable(row.text), names), row) for row in rows)
    shapes = [_shape(form) for _, form, _ in forms]
    frequency = Counter(shingle for shape in shapes for shingle in shape.shingles)
    rarest_first = sorted(frequency, key=lambda shingle: (frequency[shingle], shingle))
    numbers = {shingle: number for number, shingle in enumerate(rarest_first)}
    leaders, phrases = _Leaders(), list[Phrase]()
    for (_, form, row), shape in zip(forms, shapes, strict=True):
        shingles = sorted(numbers[shingle] for shingle in shape.shingles)
        place = leaders.place_of(shape.decisive, shingles)
        if place == len(phrases):
            phrases.append(Phrase(row.text, _is_short(form)))
        phrases[place].add(row)
    return sorted(phrases, key=_order)


def _order(counted: FormCount | Phrase) -> tuple[int, int, int]:
    return -counted.conversations, -counted.turns, -counted.elsewhere


def ranked(phrases: Iterable[Phrase], limit: int) -> list[Phrase]:
    """The first phrases in the given order, but single words (`yes`), which otherwise fill the list, are at most every
    fourth: the second of them comes after three longer phrases, the third after six."""
    placed: list[tuple[int, bool, Phrase]] = []
    short = longer = 0
    for phrase in phrases:
        place = max(longer, short * _LONGER_FOR_EACH_SHORT) if phrase.is_short else longer
        placed.append((place, not phrase.is_short, phrase))
        short += phrase.is_short
        longer += not phrase.is_short
    return [phrase for _, _, phrase in sorted(placed, key=itemgetter(0, 1))[:limit]]


def distinctive(phrases: Iterable[Phrase], spoken: int, spoken_elsewhere: int, minimum: int = 5) -> list[Phrase]:
    """The phrases that a larger share of these conversations has than of those elsewhere, the most distinctive first.

    `spoken`, `spoken_elsewhere`: of how many conversations. Left out are phrases in fewer than `minimum` conversations,
    and those whose shares differ no more than chance explains, adjusted for all that were compared.
    """
    candidates = [phrase for phrase in phrases if phrase.conversations >= minimum]
    p_values = [two_share_p_value(p.elsewhere, spoken_elsewhere, p.conversations, spoken) for p in candidates]
    beyond_chance = (
        phrase
        for phrase, p_value in zip(candidates, adjusted_p_values(p_values), strict=True)
        if p_value <= _CHANCE and phrase.conversations * spoken_elsewhere > phrase.elsewhere * spoken
    )
    return sorted(beyond_chance, key=lambda phrase: -_log_odds(phrase, spoken, spoken_elsewhere))


def _log_odds(phrase: Phrase, spoken: int, spoken_elsewhere: int) -> float:
    """How much more these conversations have the phrase, as a z score: rare phrases count less.

    The log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, "Fightin' Words").
    """
    prior = _PRIOR * (phrase.conversations + phrase.elsewhere) / (spoken + spoken_elsewhere)
    here, there = phrase.conversations + prior, phrase.elsewhere + prior
    other_here = max(spoken + _PRIOR - here, 1)  # 0 if all have this phrase
    other_there = max(spoken_elsewhere + _PRIOR - there, 1)
    return (math.log(here / other_here) - math.log(there / other_there)) / math.sqrt(1 / here + 1 / there)


def _without_unspaced(words: Sequence[str], names: Names) -> Sequence[str]:
    text = f" {' '.join(words)} "
    within = (name for first in names.unspaced.keys() & set(words) for name in names.unspaced[first])
    for name in sorted(within, key=lambda name: (-len(name), name)):  # the longest first: one may be part of another
        text = text.replace(f" {name} ", f" {NAME} ")
    return text.split()


def _is_short(form: str) -> bool:
    """Whether it is a single word; two characters of a script without spaces are one."""
    words = form.split()
    return len(words) == 1 or (len(words) == 2 and all(map(is_unspaced, words)))


class _Shape(NamedTuple):
    """What is compared of a form."""

    decisive: frozenset[str]
    shingles: frozenset[str]


def _shape(form: str) -> _Shape:
    words = form.split()
    sounds = list(map(_sound, words))
    pairs = [f"{first} {second}" for first, second in pairwise(sounds)]
    decisive = {"not" if word in NEGATIONS else word for word in words if word in DECISIVE}
    return _Shape(frozenset(decisive), frozenset(sounds + pairs))


@lru_cache(maxsize=65_536)
def _sound(word: str) -> str:
    return _SAME_SOUND.sub(lambda match: _SOUNDS.get(match[0], match[1] or ""), stem(word))


class _Leaders:
    """The shingles of the first form of each phrase, and which of them have a certain rare shingle.

    Each set is entered and searched under so many of its rarest shingles that two similar sets share at least one.
    """

    def __init__(self) -> None:
        self._sets: list[frozenset[int]] = []
        self._places: dict[tuple[frozenset[str], int], list[int]] = defaultdict(list)

    def place_of(self, decisive: frozenset[str], shingles: Sequence[int]) -> int:
        """The leader most like these shingles, rarest first; if there is none, they become the next one."""
        members, size = frozenset(shingles), len(shingles)
        rare = [(decisive, shingle) for shingle in shingles[: size - math.ceil(_NEAR * size) + 1]]
        smallest, largest = math.ceil(_NEAR * size), int(size / _NEAR)
        best, nearest = _NEAR, len(self._sets)
        for place in {place for shingle in rare for place in self._places.get(shingle, ())}:
            leader = self._sets[place]
            if smallest <= len(leader) <= largest:
                common = len(leader & members)
                similarity = common / (len(leader) + size - common)
                if similarity > best or (similarity == best and place < nearest):
                    best, nearest = similarity, place
        if nearest == len(self._sets):
            self._sets.append(members)
            for shingle in rare:
                self._places[shingle].append(nearest)
        return nearest
