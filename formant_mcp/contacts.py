"""Normal forms of contact numbers, however they are spelled: of stored ones and of those in a question.

A number's normal form is its digits, starting with the country code if it has one. Dropped are `+`, `00` and `011`,
trunk zeros (`098765 43210`, `+44 (0)20…`), the 1 of Mexico's mobiles (`+52 1…`; Argentina's 15 becomes its 9), an
address around it (`sip:+91…@host`, `tel:…;ext=5`, `whatsapp:+52…`), and an extension or digits dialled after it (`x5`,
`,,5#`). Numbers of fewer than 8 digits keep their zeros. A contact with letters (`sip:alice@example.com`, `anonymous`)
is an address and compared as a label.

A question may have a whole number or its last digits. With a country code marked by `+` or `00` it finds exactly that
number, also if stored without the code, and for Brazil and Argentina with and without the mobile's 9; numbers with only
the same last digits are not found. Without the mark it also finds every number that ends with these digits.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from formant_mcp.models import clean
from formant_mcp.values import label

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

EXAMPLE_NUMBER = "+91 98765 43210"
"""The number in our own examples."""

WHOLE = "="
"""Starts a spelling that is a whole number and not only its last digits."""

_SHORTEST_NUMBER = 8  # fewer digits are an extension or a number's last ones, zeros and all
_COUNTED = 7  # this many digits are a number that an extension may follow
_LONG = 12  # this many digits start with a country code
_MOST_DIGITS = 15
_LONGEST_TEXT = 200
_PLAIN = re.compile(r"\+?[1-9]\d{7,14}", re.ASCII)
_INSIDE = re.compile(r"<([^<>]+)>")
_SCHEME = re.compile(r"^\s*[a-z][a-z0-9.+-]*:(?://)?\s*(?=\S)", re.IGNORECASE)
_EXTENSION = re.compile(r"[;,#]|(?<![^\W\d_])(?:ext(?:n|ension)?|x|p|w|ramal|anexo)[\s.:=#-]*(?=\d)", re.IGNORECASE)
# What separates two numbers: not what comes before an extension, or before digits dialled later (`,,12345678#`).
_ANOTHER = re.compile(
    r"[,;/|&\s](?=\+\d)|(?<!,)[,;/|&]\s*(?=\(?\d(?:[\s().-]{0,3}\d){7,}(?!\d|\s?#))|(?<=\d{8})\s+(?=\d{8})"
)
_SEVERAL_ENDINGS = re.compile(r"\d{3,7}(?:\s*[,;]\s*\d{3,7})+")
_MASK = re.compile(r"[x*•×]{2,}|^x(?=\W*\d)", re.IGNORECASE)
_NOT_DIGITS = re.compile(r"[^0-9]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_BESIDE_NUMBERS = {"tel", "telephone", "phone", "ph", "mob", "mobile", "cell", "fax", "whatsapp"}
_MEXICO = re.compile(r"52(?:1|01|04[45])(\d{10})")
_BRAZIL = re.compile(r"(\d\d)9?([6-9]\d{7})")
# What may have a trunk prefix after its country code: 0, 1 in North America, 8 in Russia, Argentina's 15.
_WITH_TRUNK = re.compile(
    r"(?>[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})0\d{6,}|11\d{10}|78\d{10}|549?\d{12}"
)
_OWN_WAYS = ("AR", "BR", "RU")  # a number as dialled there does not always end the international one


class Contact(NamedTuple):
    """The normal form; for a number also its digits as written, and whether `+` or `00` marks its country code."""

    normal: str
    digits: str = ""
    is_marked: bool = False


def parse_contact(text: str | None) -> Contact | None:
    """Parses a contact; None if it has neither a digit nor a letter."""
    if not text:
        return None
    if _PLAIN.fullmatch(text):
        return _parse_number(text)
    address = _address(text)
    before_parameters = re.split(r"[;?]", address)[0]
    user = unquote(before_parameters.partition("@")[0]).partition(":")[0]
    number = _number(user if "@" in before_parameters else address)
    if number:
        return _parse_number(number)
    return Contact(label(before_parameters)) if any(character.isalpha() for character in before_parameters) else None


def are_several(text: str) -> bool:
    """Whether it is more than one number, or the last digits of more than one."""
    text = _address(text).partition("@")[0]
    return bool(_SEVERAL_ENDINGS.fullmatch(text)) or any(
        len(_digits(text[: separator.start()])) >= _SHORTEST_NUMBER for separator in _ANOTHER.finditer(text)
    )


def spellings(contact: Contact) -> tuple[str, ...]:
    """Possible endings of the stored normal form of this contact; those after WHOLE are whole normal forms."""
    normal, digits, is_marked = contact
    if not digits:
        return (WHOLE + normal,)
    if len(digits) < _SHORTEST_NUMBER:
        return (WHOLE + normal,) if is_marked else (normal,)
    abroad = set(_from_abroad(contact))
    if is_marked:
        return tuple(sorted({WHOLE + normal, *abroad}))
    others = abroad or {spelled for region in _OWN_WAYS for spelled in _as_dialled_in(region, digits)}
    return tuple(sorted({normal, *(spelling for spelling in others if not spelling.endswith(normal))}))


def _from_abroad(contact: Contact) -> Iterator[str]:
    """Spellings of a number with a country code, with and without the code."""
    import phonenumbers  # here, because its tables take longer to load than the server to start

    normal, digits, is_marked = contact
    if digits.startswith("0") and not is_marked:
        return
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(f"+{normal}")
        if is_marked or len(normal) >= _LONG:
            is_whole = phonenumbers.is_possible_number(number)
        else:  # it may as well be a number within some country
            is_whole = len(normal) == _LONG - 1 and phonenumbers.is_valid_number(number)
        if is_whole:
            yield from _with_country(number)
            yield from _without_country(number)


def _as_dialled_in(region: str, digits: str) -> Iterator[str]:
    import phonenumbers

    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(digits, region)
        if phonenumbers.is_possible_number(number):
            yield from _with_country(number)


def _with_country(number: "PhoneNumber") -> Iterator[str]:
    yield from (f"{WHOLE}{number.country_code}{national}" for national in _national(number))


def _without_country(number: "PhoneNumber") -> Iterator[str]:
    """Spellings without the country code."""
    import phonenumbers

    for national in _national(number):
        if len(national) >= _COUNTED:
            yield WHOLE + national.lstrip("0")
            same = phonenumbers.parse(f"+{number.country_code}{national}")
            yield WHOLE + _digits(phonenumbers.format_number(same, phonenumbers.PhoneNumberFormat.NATIONAL)).lstrip("0")


def _national(number: "PhoneNumber") -> list[str]:
    """The national number: Brazil's and Argentina's mobiles with and without their 9."""
    import phonenumbers

    digits = phonenumbers.national_significant_number(number)
    brazilian = _BRAZIL.fullmatch(digits)
    if number.country_code == 55 and brazilian:
        area, rest = brazilian.groups()
        return [f"{area}9{rest}", f"{area}{rest}"]
    if number.country_code == 54 and len(digits.removeprefix("9")) == 10:
        return [digits.removeprefix("9"), f"9{digits.removeprefix('9')}"]
    return [digits]


def _address(text: str) -> str:
    text = clean(text)[:_LONGEST_TEXT].replace("＋", "+")
    inside = _INSIDE.search(text)
    return _SCHEME.sub("", inside[1] if inside else text, count=1).strip()


def _number(text: str) -> str:
    """The part of a text that is the number, as written; '' if there are other words or no digits."""
    for end in _EXTENSION.finditer(text):
        if len(_digits(text[: end.start()])) >= _COUNTED:
            text = text[: end.start()]
            break
    if "+" in text and len(_digits(text.partition("+")[0])) < _COUNTED:
        text = text[text.index("+") :]
    text = _MASK.split(text)[-1].lstrip(" (")
    if any(word.lower() not in _BESIDE_NUMBERS for word in _LETTERS.findall(text)):
        return ""
    return text if _digits(text) else ""


def _parse_number(text: str) -> Contact:
    digits = _digits(text)
    rest = digits.lstrip("0")
    is_marked = text[0] == "+" or (digits.startswith("00") and len(digits) > _SHORTEST_NUMBER + 1)
    if digits.startswith("011") and len(digits) >= _LONG + 1 and _parsed(digits[3:]):
        rest, is_marked = digits[3:], True
    if not rest or len(digits) < _SHORTEST_NUMBER:
        return Contact(digits, digits, is_marked)
    if is_marked or (rest == digits and _LONG <= len(digits) <= _MOST_DIGITS):
        rest = _without_trunk(rest)
    return Contact(rest, digits, is_marked)


def _without_trunk(digits: str) -> str:
    """An international number without the prefixes dialled only within its country."""
    mexican = _MEXICO.fullmatch(digits)
    if mexican:
        return f"52{mexican[1]}"
    return (_WITH_TRUNK.fullmatch(digits) and _parsed(digits)) or digits


def _parsed(digits: str) -> str:
    """An international number in its country's numbering plan; '' if there is no such number."""
    import phonenumbers

    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _digits(text: str) -> str:
    """Digits of any script."""
    if text.isascii():
        number = text.removeprefix("+")
        return number if number.isdigit() else _NOT_DIGITS.sub("", text)
    return "".join(str(unicodedata.decimal(character)) for character in text if character.isdecimal())
