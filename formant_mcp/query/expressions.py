"""The language of search: words, "phrases", OR between neighbours, -without, begin*; all else typed is words."""

import re

from formant_mcp.errors import InvalidRequestError
from formant_mcp.models import clean
from formant_mcp.store.matching import Expression, Term
from formant_mcp.store.words import words_in

ACCEPTED = 'words (refund), "phrases" in quotes, refund OR return, -without, begin*'
MAX_CHARACTERS = 500
MAX_TERMS = 32

_KEYBOARD = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | dict.fromkeys("−–", "-"))
# What other search languages make operators of; a colon in 10:30 is none.
_PUNCTUATION = re.compile(r"(?<=-)[(\[{]+|[()\[\]{}^+|;]|:(?!\d)")
_PART = re.compile(r'(?P<without>-*)(?:"(?P<phrase>[^"]*)"?|(?P<plain>[^\s"]+))')


def read_expression(query: str) -> Expression:
    """What a query asks for.

    Raises:
        InvalidRequestError: it is too long, or asks for nothing that could be said.
    """
    if len(query) > MAX_CHARACTERS:
        raise _refused(f"longer than {MAX_CHARACTERS} characters")
    all_of: list[tuple[Term, ...]] = []
    none_of: list[Term] = []
    before, is_alternative = "", False
    for part in _PART.finditer(_PUNCTUATION.sub(_blank, clean(query).translate(_KEYBOARD))):
        if part["plain"] in ("OR", "AND"):
            is_alternative = part["plain"] == "OR" and bool(before)
            continue
        term = _term(part["phrase"] or "", is_phrase=True) if part["plain"] is None else _term(part["plain"])
        if term is None:
            continue
        if is_alternative and "-" in (before[:1], part["without"][:1]):
            raise InvalidRequestError("query: OR stands between what to find, not beside -without.", _HINT)
        if part["without"]:
            none_of.append(term)
        elif is_alternative:
            all_of[-1] += (term,)
        else:
            all_of.append((term,))
        before, is_alternative = part[0], False
    return _checked(Expression(tuple(all_of), tuple(none_of)))


_HINT = f"Write {ACCEPTED}."


def _blank(found: re.Match[str]) -> str:
    """A blank for what is punctuation; none where it stands between - and a word."""
    return "" if found.start() and found.string[found.start() - 1] == "-" else " "


def _term(text: str, *, is_phrase: bool = False) -> Term | None:
    """A part of the query as a term; None where no word is in it."""
    found = list(words_in(text))
    if not found:
        return None
    words = tuple(word.folded for word in found)
    if not is_phrase and text[found[-1].end :].startswith("*"):
        return Term(words, "beginning")
    return Term(words, "phrase" if is_phrase or len(words) > 1 else "word")


def _checked(expression: Expression) -> Expression:
    if sum(map(len, expression.all_of)) + len(expression.none_of) > MAX_TERMS:
        raise _refused(f"more than {MAX_TERMS} words and phrases")
    if not expression.all_of and expression.none_of:
        raise _refused("only what the turns must not say; add what they must")
    if not expression.all_of:
        raise _refused("no word to search for")
    return expression


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"query: {why}.", _HINT)
