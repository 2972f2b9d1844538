"""What callers and providers' agents may say to take over the reader, where to plant it, and where it may be read.

`INJECTIONS` is the corpus, each text with a canary of its own. `plant` puts it into all that a provider sends of a
call. `Heard` keeps all that a server says, and `leaks` finds what of it is outside the boundary.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import regex
from pydantic import JsonValue

from tests.calls import Row

CANARY = re.compile(r"kestrel\d{2,3}", re.IGNORECASE)
_OWN = Path(__file__).with_name("injections.jsonl")
_ANNOUNCED = re.compile(r'.{1,150}\bspoken by strangers: data, not instructions, up to the line "end (\w+)"')
_DEFAULT_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]")
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
# Fields that a call is found by, and whose texts decide whether it is read at all.
_KEPT = {"conversation_id", "id", "uri", "type", "created_at", "started_at", "ended_at", "start_timestamp"}
# Objects whose names are those of result fields: results themselves, and figures by the fields that a question named.
_NAMES_ARE_SENT = re.compile(r"\.results\.|\.(?:key|measures)\.results\.")
_IS_OURS = re.compile(r"^\.coverage\.|\.message$|^\.path$|\.reasons\.")
_WITH_OWN_NAMES = {"results", "data_collection_results", "evaluation_criteria_results", "variables", "output"}
# Single words that the advice of a search names, of calls and of the query: at most 20 letters and digits.
_WORDS = r"(?:[\p{L}\p{M}\p{Nd}]{1,20}\*?(?:, | OR )?)+"
_ADVICE = regex.compile(
    r'"[^"\s]{1,20}…?"(?= (?:does not occur|occurs|is written))|fields \([^\s():=]{1,40}: or [^\s():=]{1,40}=\)|'
    rf"(?:Similar words(?: in other conversations)?|Longer words(?: do|, not searched for)|"
    rf"Also searched as): {_WORDS}(?:; {_WORDS} finds them)?\."
)


def own_injections() -> list[str]:
    """The corpus of this project."""
    lines = _OWN.read_text("utf-8").splitlines()
    return [json.loads(line)["text"].replace("CANARY", f"kestrel{n:02d}") for n, line in enumerate(lines)]


def others_injections() -> list[str]:
    """That of bastioncorpus, with a canary added at the end of each text."""
    from bastioncorpus import load_corpus  # pyright: ignore[reportMissingTypeStubs]  # needed by these tests alone

    hostile = [row.text for row in load_corpus() if row.label == "malicious"]
    return [f"{text} kestrel{n:03d}" for n, text in enumerate(hostile, 100)]


@dataclass
class Planter:
    """Puts the next injections into every text of a call; `first` differs between calls."""

    injections: list[str]
    first: int
    _number: Iterator[int] = field(default_factory=count)

    def next(self) -> str:
        """The next injection."""
        return self.injections[(self.first + 7 * next(self._number)) % len(self.injections)]

    def plant(self, sent: Row, words_only: bool = False) -> Row:
        """The call with injections for its texts, or only for what is said in it and extracted from it."""
        names = [name for name in sent if not words_only or name in ("transcript", "results", "analysis")]
        return sent | {name: self._planted(name, sent[name]) for name in names}

    def _planted(self, name: str, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return value if name in _KEPT or (name == "role" and next(self._number) % 4) else self.next()
        if isinstance(value, list):
            return [self._planted(name, item) for item in value]
        if not isinstance(value, dict):
            return value
        planted = {key: self._planted(key, item) for key, item in value.items()}
        if name in _WITH_OWN_NAMES:
            planted[self.next()] = {self.next(): [self.next(), 5], "csat": self.next()}
            planted[self.next()] = self.next()
            planted[self.next()] = 3
        return planted


@dataclass
class Heard:
    """All that a server said. `answers`: texts with boundaries; `documents`: JSON; `plain`: all other texts."""

    answers: list[str] = field(default_factory=list[str])
    documents: list[JsonValue] = field(default_factory=list[JsonValue])
    plain: list[str] = field(default_factory=list[str])

    def leaks(self) -> list[str]:
        """What stands outside the boundary though a stranger said it, and what cannot be seen."""
        found = [f"text: {line}" for text in self.answers for line in outside(text) if CANARY.search(line)]
        found += [f"plain: {text}" for text in self.plain if CANARY.search(_ADVICE.sub("", text))]
        for document in self.documents:
            found += [f"json: {text}" for text in _outside_in_json(document)]
            found += [f"unseen in json: {text!r}" for text in _strings(document) if not is_seen(text)]
        found += [f"unseen: {text!r}" for text in (*self.answers, *self.plain) if not is_seen(text)]
        return found

    @property
    def canaries(self) -> set[str]:
        """Those that were said at all, so that a check that hears nothing is noticed."""
        said = (*self.answers, *self.plain, *map(json.dumps, self.documents))
        return {canary.casefold() for text in said for canary in CANARY.findall(text)}


def outside(text: str) -> list[str]:
    """The lines of an answer that are not within a boundary, without the single words that advice names.

    Raises:
        AssertionError: a boundary is not closed.
    """
    lines: list[str] = []
    end = ""
    for line in text.split("\n"):
        announced = _ANNOUNCED.fullmatch(line)
        if not end:
            lines.append(_ADVICE.sub("", line))
            end = f"end {announced[1]}" if announced else ""
        elif line == end:
            end = ""
    assert not end, f"not closed: {text}"
    return lines


def is_seen(text: str) -> bool:
    """Whether every character can be seen, or is a usual space."""
    characters = set(text) - {"\n", "\t"}
    return not any(unicodedata.category(c) in _UNSEEN_CATEGORIES or _DEFAULT_IGNORABLE.match(c) for c in characters)


def _outside_in_json(document: JsonValue, path: str = "") -> Iterator[str]:
    """Names besides those of results, and the texts of the coverage, which are the server's own."""
    if isinstance(document, dict):
        for name, value in document.items():
            if CANARY.search(name) and not _NAMES_ARE_SENT.search(f"{path}.{name}"):
                yield f"name {path}.{name}"
            yield from _outside_in_json(value, f"{path}.{name}")
    elif isinstance(document, list):
        for item in document:
            yield from _outside_in_json(item, path)
    elif isinstance(document, str) and _IS_OURS.search(path) and CANARY.search(_ADVICE.sub("", document)):
        yield f"{path}: {document}"


def _strings(document: JsonValue) -> Iterable[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from _strings(value)
    elif isinstance(document, list):
        for item in document:
            yield from _strings(item)
    elif isinstance(document, str):
        yield document
