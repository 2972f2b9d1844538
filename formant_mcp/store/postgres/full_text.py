"""The words of turns in PostgreSQL's full-text search, split by our own tokenizer.

A lexeme is the account and a word, so that each account has an index of its own within the one of the table. Its weight
is the speaker: A the agent, B the contact, C anybody else
(https://www.postgresql.org/docs/current/datatype-textsearch.html).
"""

from collections.abc import Iterable
from functools import lru_cache

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.tokenizer import divided

_WEIGHTS = {"agent": "A", "contact": "B"}
_LAST_POSITION = 16_383  # PostgreSQL counts no further; words after it are found, but not as phrases
_LONGEST_WORD = 500  # characters; a lexeme has at most 2,046 bytes
_MOST_BYTES = 1_000_000  # of one turn's words: a tsvector has at most 1 MB
_SURELY_FITS = 20_000  # characters of a turn
_ENTRY_BYTES = 12  # of a word or a position, at most


def to_tsvector(account: int, role: str, indexed: str) -> str:
    """The words of an indexed text, as a tsvector's text; of one that is too long, the first words."""
    weight, words = _WEIGHTS.get(role, "C"), dict[str, str]()
    is_long, left = len(indexed) > _SURELY_FITS, _MOST_BYTES
    for position, word in enumerate(divided(indexed), 1):
        if not word:
            continue
        if is_long:
            left -= _ENTRY_BYTES if word in words else len(_lexeme(account, word).encode()) + 2 * _ENTRY_BYTES
            if left < 0:
                break
        place = f"{position if position < _LAST_POSITION else _LAST_POSITION}{weight}"
        words[word] = f"{words[word]},{place}" if word in words else f"{_lexeme(account, word)}:{place}"
    return " ".join(words.values())


def to_tsquery(account: int, expression: Expression, role: Role, forms: Forms) -> str:
    """The expression as a tsquery's text."""
    weight = _WEIGHTS.get(role, "")
    wanted = [_any_of(account, terms, forms, weight) for terms in expression.all_of]
    if expression.none_of:
        wanted.append(f"!{_any_of(account, expression.none_of, forms, weight)}")
    return " & ".join(wanted)


def _any_of(account: int, terms: Iterable[Term], forms: Forms, weight: str) -> str:
    return f"({' | '.join(_phrase(account, form, term, weight) for term in terms for form in sorted(forms(term)))})"


def _phrase(account: int, form: str, term: Term, weight: str) -> str:
    *first, last = (_lexeme(account, word) for word in divided(form))
    mark = ("*" if term.kind == "prefix" else "") + weight
    words = [f"{word}:{weight}" if weight else word for word in first] + [f"{last}:{mark}" if mark else last]
    return f"({' <-> '.join(words)})"


@lru_cache(100_000)
def _lexeme(account: int, word: str) -> str:
    escaped = word[:_LONGEST_WORD].replace("\\", "\\\\").replace("'", "''")
    return f"'{account}/{escaped}'"
