"""Parses a transcript sent as one text: `BOT: Hello`, `[00:01] Agent: Hello`, `**Agent:** Hello`, subtitles (SRT, VTT).

A line starts a turn if it starts with a word for one of the sides (`Agent:`), a numbered speaker (`Speaker 1:`), a name
after a time in brackets, or a name that starts several lines. Any other line continues the turn before it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from formant_mcp.models import clean
from formant_mcp.providers.speakers import LABELS, as_role, side, side_in

_CLOCK = r"\d{1,4}:\d{2}(?::\d{2})?(?:[.,]\d{1,6})?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_DATED = rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?"
_TIME = rf"(?:{_DATED}|{_CLOCK}|\d{{1,6}}(?:\.\d{{1,3}})?\s?(?:s|secs?|ms)|\d{{1,6}}\.\d{{1,3}})"
_IN_BRACKETS = rf"[\[(<{{]\s*(?P<time>{_TIME})(?:\s*(?:-+>|[-–]|to)\s*{_TIME})?\s*[\])>}}]"
_LEADING = re.compile(_IN_BRACKETS)
_LEADING_BARE = re.compile(rf"(?P<time>{_DATED}|{_CLOCK}|\d{{1,6}}(?:\.\d{{1,3}})?\s?s)(?=\s|-|–|\|)")
_AFTER_NAME = re.compile(rf"(?:{_IN_BRACKETS}|\s(?P<bare>{_CLOCK}))\s*\Z")
_CUE = re.compile(rf"\s*(?P<time>{_CLOCK})\s*--+>\s*{_CLOCK}.*")
_NUMBER = re.compile(r"\s*\d{1,6}\s*")
_BULLET = re.compile(r"\A(?:[>#•]|[-*–]\s|\d{1,4}[.)]\s)[>#•\s]*")
_BRACKETED = re.compile(r"[\[(<{]\s*(?P<name>[^\[\](){}<>]{1,40})\s*[\])>}]\s*(?P<words>[^:：\s].*)")
_NAME = re.compile(
    rf"(?P<name>(?:{_IN_BRACKETS}|[^:：|\t<>]){{1,60}}?(?:\s{_CLOCK})?[*_\s]*)(?:[:：|\t]|>(?=\s))(?P<words>.*)"
)
_QUALIFIED = re.compile(r"[\[(]|\s-\s")
_NOTE = re.compile(r"\s*[\[(][^\])]*[\])]\Z")
NUMBERED = re.compile(
    rf"(?:{'|'.join(LABELS)}|speaker|spk|participant|channel|voice)[\s_#-]*(?:\d{{1,3}}|[a-z])", re.IGNORECASE
)
_LIKE_A_NAME = re.compile(r"[^\W\d_][\w.'’ -]{0,29}")
_MARKUP = (
    (re.compile(rf"(?i)<({'|'.join(LABELS)})>"), r"\n\1: "),
    (re.compile(rf"(?i)</(?:{'|'.join(LABELS)})>"), ""),
    (re.compile(r"(?i)<br\s*/?>|</(?:p|div|li|tr)>"), "\n"),
    (re.compile(r"(?i)<v(?:\.[\w.]+)?\s+([^<>]{1,40})>"), r"\1: "),
    (re.compile(r"(?i)</?(?:v|b|i|p|em|strong|span|div|li|ul|ol|tr|td)(?:\s[^<>]{0,80})?>"), ""),
)
_SHOUTED = "|".join((*map(str.title, LABELS), *map(str.upper, LABELS)))
_INLINE = re.compile(rf"(?:{_IN_BRACKETS}\s*)?[*_]{{0,3}}(?<!\w)(?:{_SHOUTED})[*_]{{0,3}}\s?:")


class Said(NamedTuple):
    """One turn of a text: who said what, and the time as written."""

    role: str
    words: str
    time: str = ""


class _Line(NamedTuple):
    """A parsed line; `is_timed`: a time in brackets, or a subtitle's, comes before the name."""

    name: str
    words: str
    whole: str
    time: str = ""
    is_timed: bool = False


def read_texts(texts: Sequence[str]) -> list[list[Said]]:
    """The turns of each of these texts. A name that starts several of their lines is a speaker in all of them."""
    lines_of_texts = [list(_lines(text)) for text in texts]
    lines = [line for lines_of_text in lines_of_texts for line in lines_of_text]
    names = Counter(line.name for line in lines if _LIKE_A_NAME.fullmatch(line.name) and not line.name[0].islower())
    is_regular = len(lines) > 1 and names.total() == len(lines)
    speakers = {name for name, count in names.items() if is_regular or count > 1}
    return [list(_join_turns(lines_of_text, speakers)) for lines_of_text in lines_of_texts]


def _join_turns(lines: list[_Line], speakers: set[str]) -> Iterator[Said]:
    turns: list[tuple[str, str, list[str]]] = []
    for line in lines:
        if who := _role(line, speakers):
            turns.append((who, line.time, [line.words]))
        elif line.is_timed or not turns:
            turns.append(("unknown", line.time if line.is_timed else "", [line.whole]))
        else:
            turns[-1][2].append(line.whole)
    return (Said(who, clean(" ".join(words)), time) for who, time, words in turns)


def _role(line: _Line, speakers: set[str]) -> str | None:
    """Who starts to speak on this line; None if it does not start a turn."""
    if spoken_by := side(line.name) or (side_in(line.name) if _QUALIFIED.search(line.name) else None):
        return spoken_by
    name = _NOTE.sub("", line.name).strip() or line.name
    is_timed_name = line.is_timed and _LIKE_A_NAME.fullmatch(name)
    if not (NUMBERED.fullmatch(name) or is_timed_name or line.name in speakers):
        return None
    return side_in(name) or as_role(name)


def _lines(text: str) -> Iterator[_Line]:
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text) if "<" in text else text
    text = text.replace("\\n", "\n") if "\n" not in text else text
    if "\n" not in text.strip() and len(_INLINE.findall(text)) > 1:
        text = _INLINE.sub(r"\n\g<0>", text)
    lines = [line for line in text.splitlines() if clean(line)]
    if lines and clean(lines[0]) == "WEBVTT":
        lines = lines[1:]
    cue = ""
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if match := _CUE.fullmatch(line):
            cue = match["time"]
        elif not (_NUMBER.fullmatch(line) and _CUE.fullmatch(following)):
            yield _parse_line(line, cue, goes_on=bool(following))
            cue = ""


def _parse_line(line: str, cue: str, *, goes_on: bool) -> _Line:
    rest = _BULLET.sub("", line.strip())
    in_brackets = _LEADING.match(rest)
    leading = in_brackets or _LEADING_BARE.match(rest)
    is_timed = bool(cue or in_brackets)
    time = leading["time"] if leading else cue
    whole = line
    if leading:
        rest = rest[leading.end() :].lstrip(" \t-–—|,:")
        whole = rest if is_timed else line  # a time without a speaker is text
    if (after := _AFTER_NAME.search(rest)) and side(rest[: after.start()]):  # the words follow below
        return _Line(rest[: after.start()].strip(), "", whole, after["time"] or after["bare"], is_timed)
    if (match := _BRACKETED.fullmatch(rest)) and side(match["name"]):
        return _Line(match["name"], match["words"], whole, time, is_timed)
    match = _NAME.match(rest)
    if not match:
        dashed, dash, words = rest.partition(" - ")
        is_name = (dash or goes_on) and side(dashed)  # a speaker's name alone cannot be the last line
        return _Line(dashed, words, whole, time, is_timed) if is_name else _Line("", "", whole, time, is_timed)
    name, words = match["name"].strip(), match["words"]
    if name.startswith(("*", "_")):
        name, words = name.strip("*_ "), words.lstrip("*_ ")
    if after := _AFTER_NAME.search(name):
        name, time = name[: after.start()].rstrip(" *_"), after["time"] or after["bare"]
    return _Line(name, words, whole, time, is_timed)
