"""The words of turns in PostgreSQL's full-text search, split by our own tokenizer.

A lexeme is the account and a word, so that each account has an index of its own within the one of the table. Its weight
is the speaker: A the agent, B the contact, C anybody else
(https://www.postgresql.org/docs/current/datatype-textsearch.html).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, chain, repeat, takewhile

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.tokenizer import divided

_WEIGHTS = {"agent": "A", "contact": "B"}
_LONGEST_WORD = 500  # characters; a lexeme has at most 2,046 bytes
_MOST_BYTES = 1_000_000  # of one turn's words: a tsvector has at most 1 MB
_SURELY_FITS = 20_000  # characters of a turn
_LAST_POSITION = 16_383
_MOST_LEXEMES = 100_000  # in memory
_ENTRY_BYTES = 24  # of a word and its position, at most


def words_of(account: int, indexed: str) -> Sequence[str]:
    """The words of an indexed text; of one that is too long, the first words."""
    words = divided(indexed) if indexed else ()
    if len(indexed) <= _SURELY_FITS:
        return words
    sizes = accumulate(len(_lexeme(account, word).encode()) + _ENTRY_BYTES for word in words)
    return words[: sum(1 for _ in takewhile(lambda size: size <= _MOST_BYTES, sizes))]


def to_tsvector(account: int, role: str, words: Sequence[str]) -> str:
    """Words as a tsvector's text. PostgreSQL counts to _LAST_POSITION: words after it are found, but not as phrases."""
    positions = _positions(_WEIGHTS.get(role, "C"))
    if len(words) > _LAST_POSITION:
        positions = chain(positions, repeat(positions[-1]))
    lexemes = map(_lexemes(account).__getitem__, words)
    return "".join(chain.from_iterable(zip(lexemes, positions, strict=False)))


def to_tsquery(account: int, expression: Expression, role: Role, forms: Forms) -> str:
    """The expression as a tsquery's text."""
    weight = _WEIGHTS.get(role, "")
    wanted = [_any_of(account, terms, forms, weight) for terms in expression.all_of]
    if expression.none_of:
        wanted.append(f"!{_any_of(account, expression.none_of, forms, weight)}")
    return " & ".join(wanted)


def _any_of(account: int, terms: Iterable[Term], forms: Forms, weight: str) -> str:
    return f"({' | '.join(_phrase(account, form, weight) for term in terms for form in sorted(forms(term)))})"


def _phrase(account: int, form: str, weight: str) -> str:
    *first, last = (_lexeme(account, word) for word in divided(form.removesuffix("*")))
    mark = ("*" if form.endswith("*") else "") + weight
    words = [f"{word}:{weight}" if weight else word for word in first] + [f"{last}:{mark}" if mark else last]
    return f"({' <-> '.join(words)})"


@lru_cache
def _positions(weight: str) -> Sequence[str]:
    return [f":{position}{weight} " for position in range(1, _LAST_POSITION + 1)]


def _lexeme(account: int, word: str) -> str:
    escaped = word[:_LONGEST_WORD].replace("\\", "\\\\").replace("'", "''")
    return f"'{account}/{escaped}'"


class _Lexemes(dict[str, str]):
    """The lexemes of words, in half the time of a call for each."""

    def __init__(self, account: int) -> None:
        super().__init__()
        self._account = account

    def __missing__(self, word: str) -> str:
        if len(self) > _MOST_LEXEMES:
            self.clear()
        self[word] = lexeme = _lexeme(self._account, word)
        return lexeme


@lru_cache(8)
def _lexemes(account: int) -> _Lexemes:
    return _Lexemes(account)
