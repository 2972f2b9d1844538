"""What a search asks for, and how the index is asked for it (FTS5's language: https://sqlite.org/fts5.html, 3)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from formant_mcp.filters import Role

Kind = Literal["word", "phrase", "beginning"]


@dataclass(frozen=True, slots=True)
class Term:
    """Folded words, one right after the other.

    A `word` is found in every form of the same stem; one of several words (follow-up) also written as one word. A
    `phrase` is found as it is; of a `beginning` the last word may go on.
    """

    words: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Expression:
    """A turn is a hit that says at least one term of each of `all_of`, and none of `none_of`."""

    all_of: tuple[tuple[Term, ...], ...]
    none_of: tuple[Term, ...] = ()


Forms = Callable[[Term], Iterable[str]]
"""What a term is found as."""


def to_fts5(expression: Expression, role: Role, forms: Forms) -> str:
    """The expression for MATCH: nothing but quoted words, which hold no quote, and operators of ours."""
    wanted = " AND ".join(_any_of(terms, forms) for terms in expression.all_of)
    if expression.none_of:
        wanted = f"({wanted}) NOT {_any_of(expression.none_of, forms)}"
    return f"({wanted})" if role == "any" else f"{role} : ({wanted})"


def has_prefix_term(match: str) -> bool:
    """Whether the index has to gather all words that begin so, anew for every question."""
    return "*" in match


def _any_of(terms: Iterable[Term], forms: Forms) -> str:
    return f"({' OR '.join(each for term in terms for each in _asked(term, forms))})"


def _asked(term: Term, forms: Forms) -> list[str]:
    return [f'"{form}"' + (" *" if term.kind == "beginning" else "") for form in sorted(forms(term))]
