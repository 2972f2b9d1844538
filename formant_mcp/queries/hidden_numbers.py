"""Refuses questions by which a reader could find a hidden number digit by digit.

Whole numbers are accepted, and the last four digits of a contact's, which are no secret. So a reader can still try
numbers one after another; this only makes it take thousands of questions where it took fifty.
"""

import unicodedata
from collections.abc import Set

from formant_mcp.contacts import EXAMPLE_NUMBER, WHOLE
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import CUT, NAMED, NONE, Condition, Filters, is_whole
from formant_mcp.text_search.query import Expression
from formant_mcp.values import plain_number, read_value

_OF_DIGITS = frozenset({"numbers", "ids"})
_LAST_DIGITS = 4
_FEWEST_DIGITS = 8  # of a whole number
_LARGE = 10 ** (_FEWEST_DIGITS - 1)  # shorter numbers are amounts


def refuse_parts(kinds: Set[str], filters: Filters) -> None:
    """Refuses filters by a part of what is hidden, if that is digits. `kinds`: what is hidden from the reader.

    Raises:
        InvalidRequestError: there is such a filter.
    """
    if "numbers" in kinds and not all(map(_may_be_contact, filters.contact_number)):
        raise InvalidRequestError(
            "contact_number: numbers are hidden here, so it takes a whole number or its last four digits.",
            f"For example {EXAMPLE_NUMBER}, {EXAMPLE_NUMBER[-_LAST_DIGITS:]}.",
        )
    if _OF_DIGITS.isdisjoint(kinds):
        return
    partial = [name for name in NAMED if any(map(_is_beginning, filters.named(name)))]
    partial += ["results"] if any(map(_is_partial, filters.on_results)) else []
    if partial:
        raise InvalidRequestError(
            f"{partial[0]}: identifiers are hidden here, so beginnings of digits and comparisons with long numbers are"
            " refused.",
            "Give the whole value (of results, with =), or leave this filter out.",
        )


def refuse_beginnings(kinds: Set[str], expression: Expression) -> None:
    """Refuses to search for what begins with some digits, if identifiers of digits are hidden.

    Raises:
        InvalidRequestError: the query has such a term.
    """
    if _OF_DIGITS.isdisjoint(kinds):
        return
    terms = [term for terms in (*expression.all_of, expression.none_of) for term in terms]
    if any(term.kind == "prefix" and _has_digits(term.words[-1]) for term in terms):
        raise InvalidRequestError(
            "query: identifiers are hidden here, so digits with * after them are refused.",
            "Search for the whole number, or for words.",
        )


def _may_be_contact(spelling: str) -> bool:
    is_ending = not spelling.startswith(WHOLE) and spelling != NONE
    return not is_ending or len(spelling) == _LAST_DIGITS or len(spelling) >= _FEWEST_DIGITS


def _is_partial(condition: Condition) -> bool:
    """Whether a condition is on a part of a number, or on a range of numbers that may be identifiers."""
    if condition.operator in ("=", "!="):
        return _is_beginning(condition.value)
    kind, _, number = read_value(plain_number(condition.value))
    return abs(number) >= _LARGE if number is not None else kind == "text" and _has_digits(condition.value)


def _is_beginning(value: str) -> bool:
    """Whether every value that begins so matches, and that ends in a digit, whatever separates digits after it."""
    letters = [character for character in value.removesuffix(CUT) if character.isalnum()]
    return not is_whole(value) and bool(letters) and _has_digits(letters[-1])


def _has_digits(text: str) -> bool:
    """Whether it has digits in any form: values are compared as their labels, in which ⑳ is 20."""
    return any(character.isdigit() for character in unicodedata.normalize("NFKC", text))
