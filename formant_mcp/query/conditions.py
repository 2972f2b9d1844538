"""Conditions on result fields and spellings of numbers, as people write them."""

import re

from formant_mcp.contacts import parse_contact, spellings
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Condition, Operator
from formant_mcp.values import read_value

ACCEPTED = (
    "intent=dispute, intent!=dispute, csat<=2, language.primary=hi, promised_amount exists, promised_amount missing"
)
_PRESENCE = re.compile(r"(?P<path>[^=<>!]*[^=<>!\s])\s+(?P<operator>exists|missing)", re.IGNORECASE)
# Two operators in a row (`<>`, `=>`) are a slip, not a value.
_COMPARISON = re.compile(r"(?P<path>[^=<>!]+)(?P<operator><=|>=|!=|==|=|<|>)(?!\s*[=<>!])(?P<value>.+)", re.DOTALL)
_ANOTHER = re.compile(r"\s(?:and|or)\s.+?(?:[=<>]|\sexists$|\smissing$)", re.IGNORECASE)
# A figure, and then letters, a slash or a comma: `2.5 lakh`, `20 Nov 2026`, `20/11/2026`, `12,5`.
_FIGURE_AND_MORE = re.compile(r"[^\w\s]{0,2}\s?\d[^,/]{0,60}?(?:[^\W\d_]|[,/])")


def read_condition(text: str) -> Condition:
    """One condition, such as `csat<=2`; a path may begin with `results.`.

    Raises:
        InvalidRequestError: it cannot be read; says what is accepted.
    """
    text = text.strip()
    found = _PRESENCE.fullmatch(text) or _COMPARISON.fullmatch(text)
    path = found["path"].strip().removeprefix("results.") if found else ""
    if not found or not path:
        raise InvalidRequestError("results: a condition could not be read.", f"Write them like {ACCEPTED}.")
    operators: dict[str, Operator] = {"==": "=", "=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
    word = found["operator"].lower()
    if word in ("exists", "missing"):
        return Condition(path, "exists" if word == "exists" else "missing")
    value = found["value"].strip().strip("\"'")
    if _ANOTHER.search(value):
        raise InvalidRequestError("results: two conditions in one text.", "Give a list, one condition each.")
    if word in ("<", "<=", ">", ">="):
        _check_size(value)
    return Condition(path, operators[word], value)


def _check_size(value: str) -> None:
    """Refuses what has no size: texts that begin with a figure do not sort by it."""
    if _FIGURE_AND_MORE.match(value) and read_value(value).kind == "text":
        raise InvalidRequestError(
            "results: <, <=, > and >= compare plain numbers, ISO dates or words; a value in them is none of these.",
            "Write it in full: amount>=250000 for 2.5 lakh, due_date<=2026-11-20 for 20 Nov 2026.",
        )


def read_contact(text: str) -> tuple[str, ...]:
    """How a contact may be stored that is given by its number, its last digits or its address.

    Raises:
        InvalidRequestError: it is none of these.
    """
    if not text.strip():
        return ()
    contact = parse_contact(text)
    is_address = contact is not None and not contact.digits
    if contact is None or (contact.digits == contact.normal and re.fullmatch("0{8,}", contact.normal)):
        why = "there is no number in it"
    elif is_address and len(text.split()) > 1:
        why = "there are words in it"
    else:
        return spellings(contact)
    raise InvalidRequestError(
        f"contact_number: {why}.", "Give the number or its last digits: +91 98765 43210, 43210; or an address as shown."
    )
