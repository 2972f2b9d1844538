"""What a value means, however it is spelled. One function parses stored values and the values of a question.

A text is parsed as the first of these that fits:

- **number**: `15000`, `12500.50`, `.5`, `-2.5` (also with `−`), with grouped thousands as in `15,000`, `1,50,000`,
  `1 500`, `15'000`, or with a decimal comma after them (`12.500,50`). One currency sign, code or word, or a percent
  sign, may be before or after it (`₹15,000`, `Rs. 500/-`, `INR 500`, `500 EUR`, `80%`); it is left out, and nothing is
  converted. Digits of any script count. `12.500` is 12.5, as is `KWD 12.500`.
  Not numbers, because they may be codes or ambiguous: `007`, `+5`, `1e5`, `1_000`, `12,5`, `1.234.567`, `€12.500`,
  `4111 1111 1111 1111`, and amounts with a multiplying word (`2.5 lakh`, `5k`).
- **date**: `2026-11`, `2026-11-20`, `2026-11-20T10:00`, `2026-11-20 10:00:00.5+05:30`. Two times that both have a zone
  compare as instants, others as written. A date in a question means all of its month, day, minute or second. Other
  forms (`20/11/2026`) are texts.
- **text**, compared by its label: case, width, blanks, and `_` or `-` between words make no difference, so
  `Payment-Confirmed` is `payment_confirmed`. Groups and counts show values as they were sent, each spelling by itself.

Two values are equal if their normal forms are, or if both are numbers of the same size below EXACT.
"""

import re
import unicodedata
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from formant_mcp.models import clean

EXACT = 10**15
"""Numbers from this size are more often ids than amounts, and lose precision as floats; they are compared as digits."""


class Meaning(NamedTuple):
    """The kind of a text, its normal form, and its size if it is a number."""

    kind: Literal["number", "date", "text"]
    normal: str
    number: float | None = None


_LONGEST = 64  # longer texts are neither numbers nor dates
_DIGIT = re.compile(r"\d")
_PUNCTUATION = str.maketrans("−－﹣，٬．٫’％٪＄￥￡\u00a0\u2007\u2009\u202f", "---,,..'%%$¥£    ")
_CODES = (
    "INR|USD|EUR|GBP|AED|SAR|QAR|KWD|OMR|BHD|SGD|AUD|NZD|CAD|CHF|JPY|CNY|HKD|TWD|KRW|THB|VND|IDR|MYR|PHP|PKR|BDT|LKR|NPR"
    "|MXN|BRL|ARS|COP|CLP|PEN|ZAR|NGN|KES|GHS|EGP|ILS|RUB|UAH|PLN|CZK|HUF|RON|SEK|NOK|DKK"
)
_CURRENCY = (
    rf"(?:(?:{_CODES})|Rs\.?|(?:rupee|dollar|euro|peso)s?|रुपये|रुपए|रुपया|रु\.?"
    r"|(?:US|AU?|CA?|SG?|HK|NZ|MX|R)?\$|[£¤¥৳฿\u20a0-\u20cf])"
)
_IN_THOUSANDTHS = frozenset({"KWD", "BHD", "OMR"})  # elsewhere, three digits after a point may be thousands
_NUMBER = re.compile(
    rf"(?P<sign>-)?(?:\s?(?P<currency>{_CURRENCY})\s?(?P<inner_sign>-)?)?"
    r"(?:(?P<whole>0|[1-9]\d{0,2}(?P<gap>[,' ])\d{3}(?:(?P=gap)\d{3})*|[1-9]\d?(?:,\d\d)+,\d{3}|[1-9]\d*)?"
    r"(?:\.(?P<part>\d+))?"
    r"|(?P<dotted>[1-9]\d{0,2}(?:\.\d{3})+),(?P<decimals>\d+))"
    rf"\s?(?:(?P<currency_after>{_CURRENCY})|(?P<percent>%))?\s?(?:/-)?",
    re.IGNORECASE | re.ASCII,
)
_DATE = re.compile(
    r"([12]\d{3})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?)?)?",
    re.IGNORECASE | re.ASCII,
)
_TIME = re.compile(r"[\d-]{10}T\d\d:\d\d(?::(\d\d)(?:\.(\d+))?)?[+-]\d\d:\d\d", re.ASCII)
_POWER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?e[+-]?\d{1,2}", re.IGNORECASE | re.ASCII)
_JOINT = re.compile(r"(?<![\s_-])[\s_-]++(?=[^\s_-])")  # at once from its first character, else long runs take long


def read_value(text: str) -> Meaning:
    """What a text means."""
    return Meaning("text", label(text)) if len(text) > _LONGEST else _read_short(text)


@lru_cache(maxsize=65_536)
def _read_short(text: str) -> Meaning:
    return _number_or_date(text) or Meaning("text", label(text))


def plain_number(text: str) -> str:
    """`5` for `+5`, `10000` for `1e4`: numbers in a question, even if they may be codes; other texts as they are."""
    rest = text.removeprefix("+").lstrip()
    if _POWER.fullmatch(rest):
        return f"{Decimal(rest):f}"
    return rest if rest[:1] not in ("+", "-") and read_value(rest).kind == "number" else text


def instants(normal: str) -> tuple[float, float] | None:
    """Start and end of the time in a date's normal form, in seconds since 1970; None without time or zone."""
    match = _TIME.fullmatch(normal)
    try:
        begin = datetime.fromisoformat(normal) if match else None
    except ValueError:  # a zone beyond 24 hours
        return None
    if not match or not begin:
        return None
    second, part = match.groups()
    return begin.timestamp(), begin.timestamp() + (10.0 ** -len(part or "") if second else 60)


def label(text: str) -> str:
    """A text as labels compare: case, width and what joins the words make no difference."""
    if text.isascii() and text.isprintable():
        return _joined(" ".join(text.lower().split()))
    folded = _folded(text)
    if _number_or_date(folded):  # only because of the folding: a superscript or circled digit is not that digit
        folded = unicodedata.normalize("NFC", clean(text))
    return _joined(folded)


def _joined(text: str) -> str:
    return text[:1] + _JOINT.sub(_joint, text[1:])


def _joint(match: re.Match[str]) -> str:
    """`_` for what joins two words; a hyphen between a blank and a word may be a minus and stays."""
    joint = match[0]
    if joint[-1] == "-":
        return joint if joint.strip("-") else "_"
    return joint[: len(joint) - len(joint.lstrip("-"))] + "_"


def _folded(text: str) -> str:
    while (folded := clean(unicodedata.normalize("NFKC", clean(text).casefold()))) != text:
        text = folded
    return folded


def _number_or_date(text: str) -> Meaning | None:
    if len(text) > _LONGEST or not _DIGIT.search(text):
        return None
    if not text.isascii():
        text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text.translate(_PUNCTUATION))
    text = text.strip()
    number = _parse_number(text)
    if number is not None:
        return Meaning("number", number, float(number))
    date = _parse_date(text)
    return Meaning("date", date) if date else None


def _parse_number(text: str) -> str | None:
    """The digits of a number with a decimal point, without grouping, currency and trailing zeros."""
    match = _NUMBER.fullmatch(text)
    if not match or (match["sign"] and match["inner_sign"]) or (match["currency"] and match["percent"]):
        return None
    whole = re.sub(r"\D", "", match["whole"] or match["dotted"] or "")
    part = match["part"] or match["decimals"] or ""
    currency = (match["currency"] or match["currency_after"] or "").upper()
    may_be_thousands = len(match["part"] or "") == 3 and 1 <= len(match["whole"] or "") <= 3 and whole != "0"
    if not whole + part or (currency and currency not in _IN_THOUSANDTHS and may_be_thousands):
        return None
    part = part.rstrip("0")
    digits = f"{whole or '0'}.{part}" if part else whole or "0"
    return f"-{digits}" if (match["sign"] or match["inner_sign"]) and digits != "0" else digits


def _parse_date(text: str) -> str | None:
    """A date with as much of the time as is written; zero seconds are left out."""
    match = _DATE.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, part, zone = match.groups()
    try:
        datetime(int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001
    except ValueError:
        return None
    written = "-".join(part for part in (year, month, day) if part)
    if not hour:
        return written
    part = (part or "").rstrip("0")
    seconds = f":{second or '00'}" + (f".{part}" if part else "")
    return f"{written}T{hour}:{minute}{'' if seconds == ':00' else seconds}{_zone(zone or '')}"


def _zone(zone: str) -> str:
    if not zone:
        return ""
    digits = "".join(re.findall(r"\d", zone)).ljust(4, "0")
    return f"{'-' if zone[0] == '-' and digits != '0000' else '+'}{digits[:2]}:{digits[2:]}"
