"""The words of turns in PostgreSQL's full-text search, split by our own tokenizer.

A lexeme is the account and a word, so that each account has an index of its own within the one of the table. Its weight
is the speaker: A the agent, B the contact, C anybody else
(https://www.postgresql.org/docs/current/datatype-textsearch.html).
"""

from collections.abc import Iterable

from formant_mcp.filters import Role
from formant_mcp.store.engine import Forms
from formant_mcp.text_search.query import Expression, Term
from formant_mcp.text_search.tokenizer import divided, indexable

_WEIGHTS = {"agent": "A", "contact": "B"}
_LAST_POSITION = 16_383  # PostgreSQL counts no further; words after it are found, but not as phrases
_LONGEST_WORD = 500  # characters; a lexeme has at most 2,046 bytes
_MOST_BYTES = 1_000_000  # of one turn's words: a tsvector has at most 1 MB
_ENTRY_BYTES = 12  # of a word or a position, at most


def to_tsvector(account: int, role: str, text: str) -> str:
    """The words of a turn, as a tsvector's text; of a turn that is too long, the first ones."""
    weight, positions, left = _WEIGHTS.get(role, "C"), dict[str, list[str]](), _MOST_BYTES
    for position, word in enumerate(divided(indexable(text)), 1):
        if word:
            left -= _ENTRY_BYTES if word in positions else len(_lexeme(account, word).encode()) + 2 * _ENTRY_BYTES
            if left < 0:
                break
            positions.setdefault(word, []).append(f"{min(position, _LAST_POSITION)}{weight}")
    return " ".join(f"{_lexeme(account, word)}:{','.join(places)}" for word, places in positions.items())


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


def _lexeme(account: int, word: str) -> str:
    escaped = word[:_LONGEST_WORD].replace("\\", "\\\\").replace("'", "''")
    return f"'{account}/{escaped}'"
