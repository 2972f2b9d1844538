"""Conditions on result fields and spellings of numbers, as people write them."""

import re

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Condition, Operator

ACCEPTED = (
    "intent=dispute, intent!=dispute, csat<=2, language.primary=hi, promised_amount exists, promised_amount missing"
)
_PRESENCE = re.compile(r"(?P<path>[^=<>!]*[^=<>!\s])\s+(?P<operator>exists|missing)", re.IGNORECASE)
# Two operators in a row (`<>`, `=>`) are a slip, not a value.
_COMPARISON = re.compile(r"(?P<path>[^=<>!]+)(?P<operator><=|>=|!=|==|=|<|>)(?!\s*[=<>!])(?P<value>.+)", re.DOTALL)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{2,3})+(?:\.\d+)?")
_ANOTHER = re.compile(r"\s(?:and|or)\s.+?(?:[=<>]|\sexists$|\smissing$)", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]+")
_BESIDE_NUMBERS = {"tel", "x", "ext"}
_SHORTEST_NUMBER = 8  # fewer digits are taken for a number's last ones, zeros and all


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
    return Condition(path, operators[word], value.replace(",", "") if _GROUPED.fullmatch(value) else value)


def read_contact(text: str) -> tuple[str, ...]:
    """The digits that a contact's number may end with: as written, and as the international form has them.

    Raises:
        InvalidRequestError: there is no digit in it.
    """
    text = text.strip()
    if not text:
        return ()
    digits = "".join(str(int(character)) for character in text if character.isdecimal())
    if is_whole := len(digits) >= _SHORTEST_NUMBER:
        digits = digits.lstrip("0")  # what stands before a number within a country, or before its country
    if not digits or any(word.lower() not in _BESIDE_NUMBERS for word in _LETTERS.findall(text)):
        why = "there are words in it" if digits else "there is no digit in it"
        raise InvalidRequestError(
            f"contact_number: {why}.", "Give the number or its last digits: +91 98765 43210, 43210."
        )
    import phonenumbers  # here, for its tables take longer to load than the server to start

    spellings = {digits}
    try:
        parsed = phonenumbers.parse("+" + text[2:] if is_whole and text.startswith("00") else text, None)
        spellings.add(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).lstrip("+"))
    except phonenumbers.NumberParseException:
        pass  # no country code: its digits are all there is to go by
    return tuple(sorted(spellings))
