"""What a value means, however it is spelled. Stored values and the values of a question are read here, by one function.

A text is read as the first of these that it is:

- **number**: `15000`, `12500.50`, `.5`, `-2.5` (also with `−`), with grouped thousands as in `15,000`, `1,50,000`,
  `1 500`, `15'000`, or with a decimal comma after them (`12.500,50`). One currency sign, code or word, or a percent
  sign, may be before or after it (`₹15,000`, `Rs. 500/-`, `INR 500`, `500 EUR`, `80%`); it is left out, and nothing is
  converted. Digits of any script count. `12.500` is 12.5, as is `KWD 12.500`.
  Not numbers, because they may be codes or other numbers: `007`, `+5`, `1e5`, `1_000`, `12,5`, `1.234.567`, `€12.500`,
  `4111 1111 1111 1111`, and amounts with a word that multiplies (`2.5 lakh`, `5k`).
- **date**: `2026-11`, `2026-11-20`, `2026-11-20T10:00`, `2026-11-20 10:00:00.5+05:30`. Two times that both have a zone
  compare as instants; else what is written compares. A date in a question means all of its month, day, minute or
  second. Other forms (`20/11/2026`) are texts.
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
"""Numbers from here on are ids more often than amounts, and soon share a float: they are equal only as digits."""


class Meaning(NamedTuple):
    """What a text is, its normal form, and its size where it is a number."""

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
_FIGURE = re.compile(
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
_JOINT = re.compile(r"[\s_-]+(?=[^\s_-])")


def read_value(text: str) -> Meaning:
    """What a text means."""
    return Meaning("text", label(text)) if len(text) > _LONGEST else _read_short(text)


@lru_cache(maxsize=65_536)
def _read_short(text: str) -> Meaning:
    return _figure_or_date(text) or Meaning("text", label(text))


def plain_number(text: str) -> str:
    """`5` for `+5`, `10000` for `1e4`: in a question they are numbers, if perhaps codes too. Another text as it is."""
    rest = text.removeprefix("+").lstrip()
    if _POWER.fullmatch(rest):
        return f"{Decimal(rest):f}"
    return rest if rest[:1] not in ("+", "-") and read_value(rest).kind == "number" else text


def instants(normal: str) -> tuple[float, float] | None:
    """When the time of a date's normal form begins and is over, in seconds since 1970; None without time or zone."""
    found = _TIME.fullmatch(normal)
    try:
        begin = datetime.fromisoformat(normal) if found else None
    except ValueError:  # a zone beyond 24 hours
        return None
    if not found or not begin:
        return None
    second, part = found.groups()
    return begin.timestamp(), begin.timestamp() + (10.0 ** -len(part or "") if second else 60)


def label(text: str) -> str:
    """A text as labels compare: without case, width, and differences of what joins its words."""
    if text.isascii() and text.isprintable():
        return _joined(" ".join(text.lower().split()))
    folded = _folded(text)
    if _figure_or_date(folded):  # it became one only now: a raised or circled digit is not that digit
        folded = unicodedata.normalize("NFC", clean(text))
    return _joined(folded)


def _joined(text: str) -> str:
    return text[:1] + _JOINT.sub(_joint, text[1:])


def _joint(found: re.Match[str]) -> str:
    """What joins two words, as `_`; a hyphen between a blank and a word may be a minus and stays."""
    joint = found[0]
    if joint[-1] == "-":
        return joint if joint.strip("-") else "_"
    return joint[: len(joint) - len(joint.lstrip("-"))] + "_"


def _folded(text: str) -> str:
    while (folded := clean(unicodedata.normalize("NFKC", clean(text).casefold()))) != text:
        text = folded
    return folded


def _figure_or_date(text: str) -> Meaning | None:
    if len(text) > _LONGEST or not _DIGIT.search(text):
        return None
    if not text.isascii():
        text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text.translate(_PUNCTUATION))
    text = text.strip()
    figure = _figure(text)
    if figure is not None:
        return Meaning("number", figure, float(figure))
    date = _date(text)
    return Meaning("date", date) if date else None


def _figure(text: str) -> str | None:
    """The digits of a number, with a point before the decimals, without what makes no difference."""
    found = _FIGURE.fullmatch(text)
    if not found or (found["sign"] and found["inner_sign"]) or (found["currency"] and found["percent"]):
        return None
    whole = re.sub(r"\D", "", found["whole"] or found["dotted"] or "")
    part = found["part"] or found["decimals"] or ""
    currency = (found["currency"] or found["currency_after"] or "").upper()
    may_be_thousands = len(found["part"] or "") == 3 and 1 <= len(found["whole"] or "") <= 3 and whole != "0"
    if not whole + part or (currency and currency not in _IN_THOUSANDTHS and may_be_thousands):
        return None
    part = part.rstrip("0")
    digits = f"{whole or '0'}.{part}" if part else whole or "0"
    return f"-{digits}" if (found["sign"] or found["inner_sign"]) and digits != "0" else digits


def _date(text: str) -> str | None:
    """A date with as much of the time as is written; seconds that are zero are left out."""
    found = _DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, part, zone = found.groups()
    try:
        datetime(int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001
    except ValueError:
        return None
    written = "-".join(each for each in (year, month, day) if each)
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
