"""Lists of phrases that a signal is measured by, in several languages, and finding them in what is said.

`phrases/*.txt` have the lists; a team may add a file of its own, written the same way. A line is one of these:

    # a comment
    [opt_out]                the list that the next phrases belong to
    hi-Latn call mat karo    a language (BCP 47) and a phrase, in which `*` is any one word, and `a|b` is a or b
    - en don't stop calling  an exception

A phrase does not count where it shares a word with an exception of its list, unless the exception is only a part of it:
of "don't call me after" and "don't call me after this", the longer one decides.

Phrases are compared word by word without case, accents and punctuation (see `text_search.tokenizer`); long ones in any
spelling (see `text_search.spelling`).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property, lru_cache
from itertools import pairwise, product
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from formant_mcp.errors import ConfigurationError
from formant_mcp.text_search.spelling import phonetic_key, spellings
from formant_mcp.text_search.tokenizer import folded_words

QUESTION_STARTS, FILLERS = "question_starts", "fillers"
LISTS = (
    "asked_for_human", "asked_if_robot", "voicemail", "wrong_person", "abusive_words", "opt_out", "refusal",
    QUESTION_STARTS, FILLERS,
)  # fmt: skip

_ANY = "*"
_OR = "|"
_EXCEPTION = "-"
_MOST_WORDS = 12
_MOST_PAIRS = 1_000  # of words in two places; where there are more, those of one place are enough
_LEAST_IN_ANY_SPELLING = 3  # words
_SECTION = re.compile(r"\[([a-z_]+)\]")
_PHRASE = re.compile(r"(?:(-)\s*)?([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\s+(\S.*)")
_ACCEPTED = (
    f"A line is a comment (# ...), the name of a list ({', '.join(f'[{name}]' for name in LISTS)}) or, below it, a"
    f" language and a phrase of at most {_MOST_WORDS} words (en talk|speak to a human), or an exception"
    f" ({_EXCEPTION} en no need to talk)."
)


class Phrase(NamedTuple):
    """The words of a phrase as they are compared (`*` is any one word, `a|b` a or b), its list and its language.

    `list_name`: of an exception, it begins with `-`.
    """

    list_name: str
    language: str
    words: tuple[str, ...]


_Anchor = str | tuple[str, str]
_IsSame = Callable[[str, str], bool]


class _Said(NamedTuple):
    """A phrase that is said: its list, the index of its first word, and that after its last."""

    list_name: str
    first: int
    end: int

    def is_excepted_by(self, other: "_Said") -> bool:
        """Whether the other is an exception of this list that shares a word with it, and is more than a part of it."""
        is_exception = other.list_name == _EXCEPTION + self.list_name
        shares_a_word = self.first < other.end and other.first < self.end
        return is_exception and shares_a_word and not self._is_more_than(other)

    def _is_more_than(self, other: "_Said") -> bool:
        return self.first <= other.first and other.end <= self.end and self[1:] != other[1:]


class _Candidate(NamedTuple):
    """A phrase, and the place of its anchor in it."""

    list_name: str
    words: tuple[str, ...]
    place: int


class _Finder:
    """Finds phrases among words, each by its anchor, so that nearly no turn is compared with nearly all phrases.

    The anchor is the longest two words in a row or, in phrases that have none, the longest word. `key`: what words have
    in common that may be the same, None: themselves; `is_same`: whether a word of a phrase and one that is said are.
    """

    def __init__(self, phrases: Iterable[Phrase], key: Callable[[str], str] | None, is_same: _IsSame) -> None:
        self._key, self._is_same = key, is_same
        self._candidates: defaultdict[_Anchor, list[_Candidate]] = defaultdict(list)
        for list_name, _, words in phrases:
            anchors, place = _anchors([[key(word) if key else word for word in either.split(_OR)] for either in words])
            for anchor in anchors:
                self._candidates[anchor].append(_Candidate(list_name, words, place))
        self._anchors = frozenset(self._candidates)

    def find(self, words: Sequence[str]) -> list[_Said]:
        """The phrases and exceptions in these words, in no order."""
        keys = tuple(map(self._key, words) if self._key else words)
        anchors = self._anchors.intersection(keys) | self._anchors.intersection(pairwise(keys))
        said: list[_Said] = []
        for anchor in anchors:
            head, after = (anchor, None) if isinstance(anchor, str) else anchor
            for at, key in enumerate(keys):
                if key != head or (after and keys[at + 1 : at + 2] != (after,)):
                    continue
                for list_name, phrase, place in self._candidates[anchor]:
                    first, end = at - place, at - place + len(phrase)
                    if first < 0 or end > len(words) or not self._is_same(phrase[0], words[first]):
                        continue  # nearly always; the rest is slower
                    if all(map(self._is_same, phrase, words[first:end])):
                        said.append(_Said(list_name, first, end))
        return said


class PhraseLists:
    """All phrases. Those of three words or more are found in any spelling of these, also in the other script; shorter
    ones as they are written, as too much else sounds like one or two words."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self.phrases = tuple(phrases)
        self.fillers = frozenset(
            filler
            for phrase in self.phrases
            if phrase.list_name == FILLERS
            for word in phrase.words
            for filler in word.split(_OR)
        )
        listed = [phrase for phrase in self.phrases if phrase.list_name != FILLERS]
        short = [phrase for phrase in listed if len(phrase.words) < _LEAST_IN_ANY_SPELLING]
        self._exact = _Finder(short, None, _is_written)
        long = [phrase for phrase in listed if len(phrase.words) >= _LEAST_IN_ANY_SPELLING]
        self._spelled = _Finder(long, _key, _is_spelling)

    @classmethod
    def load(cls, extra: Path | None = None) -> "PhraseLists":
        """The package's lists, and those of a team's own file.

        Raises:
            ConfigurationError: the file is no regular one, cannot be read, is not UTF-8, or a line of it is malformed.
        """
        if extra is None:
            return _packaged()
        return cls((*_packaged().phrases, *parse(_read(extra))))

    @cached_property
    def digest(self) -> str:
        """The same for the same phrases, in any order."""
        return hashlib.sha256(repr(sorted(self.phrases)).encode()).hexdigest()[:16]

    def find(self, words: Sequence[str]) -> list[tuple[str, int]]:
        """The list of each phrase in these folded words, and the index of its first word; in no order."""
        said = self._exact.find(words) + self._spelled.find(words)
        exceptions = [phrase for phrase in said if phrase.list_name.startswith(_EXCEPTION)]
        return [
            (phrase.list_name, phrase.first)
            for phrase in said
            if phrase not in exceptions and not any(map(phrase.is_excepted_by, exceptions))
        ]


def _read(file: Path) -> bytes:
    """What is in a team's file. Any other than a regular one may never end, or never begin (a named pipe)."""
    try:
        if S_ISREG(file.stat().st_mode):
            return file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"FORMANT_PHRASES_FILE cannot be read: {reason}.", _ACCEPTED) from None
    raise ConfigurationError(
        "FORMANT_PHRASES_FILE is not a regular file.",
        f"Set it to a text file with phrases, not a folder, pipe or device. {_ACCEPTED}",
    )


@cache
def _packaged() -> PhraseLists:
    """The package's lists, which take longer to parse than a small store to open."""
    from importlib.resources import files  # not needed at the server's start

    folder = files("formant_mcp.analysis") / "phrases"
    return PhraseLists(phrase for name in LISTS for phrase in parse((folder / f"{name}.txt").read_bytes()))


@lru_cache(100_000)
def _key(word: str) -> str:
    """What words have in common that are one word in several spellings; `*` is any word."""
    return word if word == _ANY else phonetic_key(word) or word


@lru_cache(100_000)
def _is_written(wanted: str, word: str) -> bool:
    """Whether a word is one of a phrase."""
    return wanted == _ANY or word in wanted.split(_OR)


@lru_cache(100_000)
def _is_spelling(wanted: str, word: str) -> bool:
    """Whether a word is one of a phrase in any spelling: the same key is not enough, which tone and तीन have, too."""
    return _is_written(wanted, word) or any(spellings(either, (word,)) for either in wanted.split(_OR))


def _anchors(words: Sequence[Sequence[str]]) -> tuple[set[_Anchor], int]:
    """The two words in a row with the most letters, else the longest word; and the place of the first in the phrase.

    Of words in the same place, each is an anchor, and the shortest has the letters that count.
    """
    letters = [0 if _ANY in either else min(map(len, either)) for either in words]
    pairs = [
        (one + after, at)
        for at, (one, after) in enumerate(pairwise(letters))
        if one and after and len(words[at]) * len(words[at + 1]) <= _MOST_PAIRS
    ]
    if pairs:
        _, at = max(pairs)
        return set(product(words[at], words[at + 1])), at
    _, at = max((count, at) for at, count in enumerate(letters) if count)
    return set(words[at]), at


def parse(content: bytes) -> list[Phrase]:
    """The phrases of a file.

    Raises:
        ConfigurationError: it is not UTF-8, or a line is malformed; the message has the line's number, never its text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _malformed(content.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    phrases: list[Phrase] = []
    list_name = ""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if (section := _SECTION.fullmatch(stripped)) and section[1] in LISTS:
            list_name = section[1]
        elif list_name and (match := _PHRASE.fullmatch(stripped)) and (words := _words_of(match[3])):
            if list_name == FILLERS and len(words) > 1:
                raise _malformed(number, "has several words, and a filler is one")
            phrases.append(Phrase(f"{match[1] or ''}{list_name}", match[2], words))
        else:
            raise _malformed(number, "is neither a list nor a phrase")
    return phrases


def _words_of(phrase: str) -> tuple[str, ...]:
    """The words to compare; none if there are too many, none but `*`, or `a|b` of which one is not a word."""
    words: list[str] = []
    for part in phrase.split():
        folded = folded_words(part.replace(_OR, " "))
        if part == _ANY:
            words.append(_ANY)
        elif _OR not in part:
            words += folded
        elif len(folded) == part.count(_OR) + 1:
            words.append(_OR.join(folded))
        else:
            return ()
    return tuple(words) if len(words) <= _MOST_WORDS and set(words) - {_ANY} else ()


def _malformed(number: int, problem: str) -> ConfigurationError:
    return ConfigurationError(f"FORMANT_PHRASES_FILE: line {number} {problem}.", _ACCEPTED)
