"""The query language: words, "phrases", a OR b, -without (or NOT), prefix*, (groups).

What only other search languages have is refused by name, never searched as words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from formant_mcp.errors import InvalidRequestError
from formant_mcp.models import clean
from formant_mcp.text_search.tokenizer import joint, words_in
from formant_mcp.text_search.unsupported_syntax import refuse_unsupported, refuse_unsupported_word, refused

MAX_CHARACTERS = 500
MAX_TERMS = 32
_MAX_DEPTH = 10

_KEYBOARD = str.maketrans(dict(zip("“”„‟«»＂「」『』−–－（）｜＊＋：", '"' * 11 + "---()|*+:", strict=True)))
_MARKED = re.compile(r"\*\*(?=\S)([^*]*[^*\s])\*\*")  # how answers mark hits
_BACKQUOTED = re.compile(r"(?<!\w)`([^`]+)`(?!\w)")
_SPACELESS = re.compile(r'(?<![^\s()"])(OR|AND|NOT)(?![^\s()"])')
_TOKEN = re.compile(
    r"""(?P<signs>[-+!]*)(?:
        "(?P<phrase>[^"]*)"(?P<star>\*?)
        |(?<!\w)'(?=\S)(?P<single>(?:[^'"]|(?<=\w)'(?=\w))*[^'"\s])'(?!\w)
        |(?P<open>\()
        |(?P<plain>(?:(?!&&)[^\s"()|])+))
    |(?P<either>\|\|?)|(?P<both>&&)|(?P<close>\))|(?P<unclosed>")""",
    re.VERBOSE,
)
_Kind = Literal["term", "open", "close", "OR", "AND", "NOT"]
_OPERATORS: dict[str, _Kind] = {"OR": "OR", "AND": "AND", **dict.fromkeys(("NOT", "ANDNOT", "AND-NOT"), "NOT")}
_DEFAULT_KINDS: dict[str, _Kind] = {"either": "OR", "both": "AND", "close": "close"}

Kind = Literal["word", "phrase", "prefix"]


@dataclass(frozen=True, slots=True)
class Term:
    """Folded words, one right after the other.

    A `word` matches every form of the same stem; a joined one (follow-up) also matches when written as one word. A
    `phrase` matches as it is; the last word of a `prefix` may be longer.
    """

    words: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Expression:
    """A turn is a hit if it says at least one term of each of `all_of`, and none of `none_of`."""

    all_of: tuple[tuple[Term, ...], ...]
    none_of: tuple[Term, ...] = ()


class _Token(NamedTuple):
    kind: _Kind
    term: Term | None = None
    word: str = ""


class _Meaning(NamedTuple):
    """A part of a query as an AND of ORs, and what it excludes."""

    all_of: tuple[tuple[Term, ...], ...] = ()
    none_of: tuple[Term, ...] = ()


def parse_query(query: str) -> Expression:
    """What a query searches for.

    Raises:
        InvalidRequestError: it is too long, uses what is not supported, or has nothing to search for.
    """
    parser = _Parser(list(_tokens(query)))
    expression = Expression(*parser.sequence())
    if parser.next_kind():
        raise refused("there is a ) without its (", "Leave it out, or put the text in quotes.")
    if sum(map(len, expression.all_of)) + len(expression.none_of) > MAX_TERMS:
        raise refused(f"more than {MAX_TERMS} words and phrases, or combinations of them", "Split it into searches.")
    if not expression.all_of and expression.none_of:
        raise refused("it has only exclusions; add a word to find")
    if not expression.all_of:
        raise refused("no word to search for")
    return expression


def words_like_operators(query: str) -> list[str]:
    """`or`, `and` and `not` that are searched as words because they are in lower case."""
    return sorted({token.word for token in _tokens(query)} & {"or", "and", "not"})


class _Parser:
    """Reads tokens. OR binds tighter than a blank: `a b OR c` is a and (b or c)."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def next_kind(self) -> _Kind | None:
        """What comes next; None at the end."""
        return self._tokens[self._at].kind if self._at < len(self._tokens) else None

    def sequence(self, depth: int = 0) -> _Meaning:
        """Everything up to the end, or to the end of the group."""
        meaning = _Meaning()
        says_and = says_or = False
        while self.next_kind() not in (None, "close"):
            if self.next_kind() == "AND":
                self._at += 1
                says_and = True
                if meaning == _Meaning():
                    raise _incomplete()
            part = self._unary(depth)
            while self.next_kind() == "OR":
                self._at += 1
                says_or = True
                part = _either(part, self._unary(depth))
            meaning = _Meaning(meaning.all_of + part.all_of, meaning.none_of + part.none_of)
        if says_and and says_or:
            raise refused("AND and OR side by side can mean two things", "Write a (b OR c), or (a b) OR c.")
        return meaning

    def _unary(self, depth: int) -> _Meaning:
        if self.next_kind() != "NOT":
            return self._primary(depth)
        self._at += 1
        if self.next_kind() == "NOT":
            raise refused("a double negation", "Write the word without signs to find it.")
        excluded = self._primary(depth)
        if excluded.none_of or len(excluded.all_of) != 1:
            raise refused(
                "what is excluded has to be a word, a phrase or a group of alternatives",
                'Write -a -b to exclude either, -"a b" to exclude the phrase.',
            )
        return _Meaning(none_of=excluded.all_of[0])

    def _primary(self, depth: int) -> _Meaning:
        if self.next_kind() not in ("term", "open"):
            raise _incomplete()
        token = self._tokens[self._at]
        self._at += 1
        if token.term:
            return _Meaning(((token.term,),))
        if depth == _MAX_DEPTH:
            raise refused(f"groups more than {_MAX_DEPTH} deep")
        meaning = self.sequence(depth + 1)
        if self.next_kind() != "close":
            raise refused("there is a ( without its )", "Close it, leave it out, or put the text in quotes.")
        if meaning == _Meaning():
            raise refused("a group in parentheses has no word in it")
        self._at += 1
        return meaning


def _either(one: _Meaning, other: _Meaning) -> _Meaning:
    """An OR of two expressions: `(a b) OR c` is (a OR c) and (b OR c)."""
    if one.none_of or other.none_of:
        raise refused("OR cannot be combined with -exclusions", "Write (a OR b) -c, or search twice.")
    if len(one.all_of) * len(other.all_of) > MAX_TERMS:
        raise refused("too many combinations", "Search for each alternative by itself.")
    clauses = (tuple(dict.fromkeys(first + second)) for first in one.all_of for second in other.all_of)
    return _Meaning(tuple(dict.fromkeys(clauses)))


def _tokens(query: str) -> Iterator[_Token]:
    if len(query) > MAX_CHARACTERS:
        raise refused(f"longer than {MAX_CHARACTERS} characters")
    text = _MARKED.sub(r"\1", clean(query).translate(_KEYBOARD).replace('\\"', '"'))
    text = _BACKQUOTED.sub(r'"\1"', text)
    text = _SPACELESS.sub(r" \1 ", text)
    refuse_unsupported(text)
    for match in _TOKEN.finditer(text):
        yield from _tokens_of(match)


def _tokens_of(match: re.Match[str]) -> Iterator[_Token]:
    """The tokens of one part of the query: its sign, and the term or operator."""
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    plain, signs = match["plain"], match["signs"] or ""
    if match["unclosed"]:
        raise refused('a " is not closed', "Close it, or leave it out.")
    if (match["open"] and before not in ("", *' ()|&"')) or (match["close"] and after.isalnum()):
        raise refused("a parenthesis inside a word", "Write refund OR refunds, refund*, or leave it out.")
    bare = (plain or "").rstrip(",;.")
    if bare in _OPERATORS:
        yield from _sign(signs)
        yield _Token(_OPERATORS[bare])
        return
    if not match[0].strip("-+!") and (after.strip() or (after and len(match[0]) == 1)):
        raise refused("a -, + or ! by itself", "Write -word, without a blank, to exclude a word; else leave it out.")
    term = None
    if plain:
        refuse_unsupported_word(plain, after)
        term = _plain_term(plain)
    elif match["phrase"] or match["single"]:
        term = _phrase(match["phrase"] or match["single"], bool(match["star"]))
    if term or match["open"]:
        yield from _sign(signs)
        yield _Token("term", term, bare.lower()) if term else _Token("open")
    elif match.lastgroup in _DEFAULT_KINDS:
        yield _Token(_DEFAULT_KINDS[match.lastgroup])


def _sign(signs: str) -> Iterator[_Token]:
    if signs in ("", "+"):
        return
    if signs != "!" and signs.strip("-"):
        raise refused("several signs before one word", "Write -word to exclude it, the word alone to find it.")
    yield _Token("NOT")


def _plain_term(text: str) -> Term | None:
    """A word, or several that punctuation joins; None if there is no word."""
    words = list(words_in(text))
    if not words:
        return None
    folded = tuple(word.folded for word in words)
    if text[words[-1].end :].startswith("*"):
        return Term(folded, "prefix")
    is_one = all(joint(text, word, following) for word, following in pairwise(words))
    return Term(folded, "word" if is_one else "phrase")


def _phrase(text: str, is_prefix: bool) -> Term | None:
    words = list(words_in(text))
    if "*" in text[: words[-1].end if words else None]:
        raise refused("* inside quotes is supported at the end only", 'Write "late fee*", or search without quotes.')
    folded = tuple(word.folded for word in words)
    is_prefix = is_prefix or "*" in text
    return Term(folded, "prefix" if is_prefix else "phrase") if folded else None


def _incomplete() -> InvalidRequestError:
    return refused(
        "OR and AND need a word or group on both sides, NOT needs one after it",
        'To search for these words themselves, put them in quotes ("or").',
    )
