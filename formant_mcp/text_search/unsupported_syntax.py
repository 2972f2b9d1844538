"""Refuses syntax of other search languages by name, so that it is never searched as words."""

import re

import regex

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import FIELDS
from formant_mcp.models import named

ACCEPTED = 'words (refund), "phrases" in quotes, refund OR return, -without, begin*, (groups)'

# A name with a colon or an equals sign is a field in other languages; `10:30`, `https://…` and `Note: …` are text.
_FIELD = re.compile(r"[{@]?([A-Za-z_][\w.]*)\}?(?::|!?=|[<>]=?)(.*)")
_FILTERS = " ".join(" ".join((name, *field.filters)) for name, field in FIELDS.items())
_FIELDS = {
    name: hint
    for names, hint in (
        (
            "role speaker agent contact user customer caller human bot assistant from by said_by",
            'For who says it, use the argument role="agent" or role="contact"; for one agent\'s calls, agent_id.',
        ),
        (
            "text transcript transcripts turn message content body words said query",
            "Leave the prefix out: only what is said is searched.",
        ),
        (
            "agent_name outcome before after date time hour duration number phone to reason results intent sentiment"
            f" language id conversation_id {_FILTERS}",
            'Use the filter arguments, such as agent_id, status, since or results=["intent=refund"].',
        ),
    )
    for name in names.split()
}
_SPACED_FIELD = regex.compile(rf"(?i)(?<![^\s(])@?({'|'.join(_FIELDS)})\s+(?::|!?=|[<>]=?)(?!\w*:)")
_ANY_FIELD = 'Use the filter arguments, such as agent_id or results=["intent=refund"].'

_LETTER = r"[\p{L}\p{M}\p{N}]"
_REFUSED = [
    (regex.compile(pattern), what, hint)
    for pattern, what, hint in (
        (
            r"^(?:O?NEAR(?:/\d+)?|(?i:W|PRE|N)/\d+|ADJ\d*|AROUND|WITHIN|SAME|<(?:-|\d+)>)$",
            "NEAR and other operators of distance are not supported",
            'All words are found in one turn anyway; "a phrase" finds them next to each other.',
        ),
        ("^XOR$", "XOR is not supported", "Search twice: for a -b, and for b -a."),
        (
            rf"(?<!(?:{_LETTER}|\*))\*|\*(?=\**{_LETTER})|\.\+",
            "* is supported at the end of a word only",
            "Write refund* for all words that begin with it; * works only at the end of a word.",
        ),
        (rf"\?(?={_LETTER})", "? as a wildcard is not supported", "Write col* or (color OR colour)."),
        (
            "[~^]",
            "~ and ^ (similar words, distance, weight) are not supported",
            "Leave them out; where nothing is found, the answer names similar words.",
        ),
        (r"\\", "backslashes are not supported", 'Punctuation needs none; a phrase is "in quotes".'),
        (r"%(?=\p{L})|(?<=[\p{L}\p{M}])%", "% is not a wildcard", "Write refund* for all words that begin with it."),
        (
            rf"[\]}}](?=[\p{{L}}\p{{N}}*+?{{])|(?<={_LETTER})[\[{{]|\p{{L}}\$$",
            "regular expressions are not supported",
            "Write begin* or (refund OR return).",
        ),
    )
]
_QUOTED = re.compile(r'"[^"]*"')
_REGEX = re.compile(r"(?<!\S)/(?=\S)[^\"]*\S/[a-z]{0,5}(?!\S)")
_RANGE = re.compile(r"[\[{]\S+ TO \S+[\]}]")


def refuse_unsupported(query: str) -> None:
    """Refuses unsupported syntax that is longer than a word.

    Raises:
        InvalidRequestError: the query has a regular expression, a range or a field with a blank after it.
    """
    outside = _QUOTED.sub('""', query)
    if _REGEX.search(outside):
        raise refused("regular expressions (/…/) are not supported", "Write begin* or (refund OR return).")
    if field := _SPACED_FIELD.search(outside):
        raise _refused_field(field[1].lower())
    if _RANGE.search(outside):
        raise refused("ranges (TO) are not supported", "Use the filter arguments, such as since and until.")


def refuse_unsupported_word(plain: str, after: str) -> None:
    """Refuses unsupported syntax in a part of a query between blanks; `after` is the character after it.

    Raises:
        InvalidRequestError: it has an operator that is not supported.
    """
    if plain.startswith("@") and (name := plain[1:].rstrip(",.;").lower()) in _FIELDS:
        raise _refused_field(name)
    field = _FIELD.fullmatch(plain)
    if field and not field[2].startswith("//"):
        name = field[1].lower().partition(".")[0]
        if name in _FIELDS or field[2] or after in ('"', "("):
            raise _refused_field(name)
    for pattern, what, hint in _REFUSED:
        if pattern.search(plain):
            raise refused(what, hint)


def _refused_field(name: str) -> InvalidRequestError:
    shown = named(name)
    instead = f"{_FIELDS.get(name, _ANY_FIELD)} To search for the text itself, put it in quotes."
    return refused(f"fields ({shown}: or {shown}=) are not supported", instead)


def refused(why: str, instead: str = "") -> InvalidRequestError:
    """The error for a query: what is wrong, and what to write instead."""
    return InvalidRequestError(f"query: {why}.", f"{instead} Write {ACCEPTED}.".strip())
