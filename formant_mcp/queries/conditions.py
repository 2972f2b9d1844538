"""Parses conditions on result fields and contact numbers, as people, clients and models write them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from formant_mcp.contacts import EXAMPLE_NUMBER, are_several, parse_contact, spellings
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NONE, NOT_READ_YET, Condition, Operator
from formant_mcp.queries.forms import QUOTES, json_in, json_text, unbracketed
from formant_mcp.queries.signals import signal_condition, signal_in
from formant_mcp.values import plain_number, read_value

ACCEPTED = (
    "intent=dispute, intent!=dispute, csat<=2, language.primary=hi, promised_amount exists, promised_amount missing,"
    " signals.agent_repeats>=3"
)
_OPERATOR = r"(?:<=|>=|!=|<>|==|[=<>≤≥≠])"
_PRESENCE = re.compile(r"(?P<path>[^=<>!]*[^=<>!\s])\s+(?P<operator>exists|missing)", re.IGNORECASE)
# Two operators in a row (`=>`) are a mistake, not a value.
_COMPARISON = re.compile(rf"(?P<path>[^=<>!≤≥≠]+)(?P<operator>{_OPERATOR})(?!\s*[=<>!])(?P<value>.+)", re.DOTALL)
_COMPARED = re.compile(rf"\s*({_OPERATOR})\s*(.+)", re.DOTALL)
# More than the name of one field.
_NO_PATH = re.compile(r"[,;\n]|\s(?:exists|missing)\s", re.IGNORECASE)
# A number followed by letters, a slash or the like: `2.5 lakh`, `20 Nov 2026`, `20/11/2026`, `12,5`, `5_000`, `(5)`.
_NUMBER_AND_MORE = re.compile(r"[^\w\s]{0,2}\s?\d[^,/_)]{0,60}?(?:[^\W\d_]|[,/_)])")
_JSON_TEXT = r'"(?:[^"\\]|\\.)*"'
_QUOTED = re.compile(
    rf"[=<>≤≥≠]\s*({_JSON_TEXT}|{'|'.join(f'{begin}[^{end}]*{end}' for begin, end in QUOTES.items())})"
    r"(?=\s*(?:$|[,;\n&|]|and\s|or\s))",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[,;\n]|&&|\|\||(?<=\s)(?:and|&|or|\|)(?=\s)", re.IGNORECASE)
_OR = ("or", "|", "||")
_BEGINS = re.compile(
    rf"""\s{{0,20}}(?:["'`“‘]?[^\W\d][^\s=<>!≤≥≠,;|&]{{0,80}}|["`“][^\s"`”\n][^"`”\n]{{0,80}}["`”])\s{{0,20}}"""
    rf"""(?:{_OPERATOR}|(?<=\s)(?:exists|missing)["'`”’]?\s{{0,20}}(?=$|[,;\n&|]|and\s|or\s))""",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[=<>≤≥≠]|\s(?:exists|missing)\W{0,20}$", re.IGNORECASE)
_PATHS = ("path", "field", "name", "key", "column")
_OPERATOR_NAMES = ("operator", "op", "comparison", "comparator")
_VALUES = ("value", "val")
_TYPES = ("type",)  # of a value, as some write it beside one
_ALL = ("and", "all")
_NO_FIELDS = {"or", "any", "nor", "not", "none"}
_NO_OPERATORS = {
    word
    for name in ("contains", "like", "ilike", "between", "regex", "matches", "match", "startswith", "endswith")
    for word in (name, f"not{name}")
}
_MAX_DEPTH = 8
_OPERATORS: dict[str, Operator] = {
    word: operator
    for operator, words in cast(
        dict[Operator, str],
        {
            "=": "= == eq equals equal is in",
            "!=": "!= <> ≠ ne neq not notequals notequal isnot notin nin",
            "<": "< lt lessthan",
            "<=": "<= ≤ lte le max lessthanorequal lessthanorequalto",
            ">": "> gt greaterthan",
            ">=": ">= ≥ gte ge min greaterthanorequal greaterthanorequalto",
            "exists": "exists isnotnull",
            "missing": "missing isnull notexists",
        },
    ).items()
    for word in words.split()
}


def parse_conditions(sent: object) -> list[Condition]:
    """The conditions in a text, an object, or a list of both.

    A text is split at commas, semicolons, lines, `and` and `&&`, but only before a condition: one word that may be a
    field (or several in quotes), and an operator. So `amount=15,000` is one, and so is `note=a and one part was
    missing`. In a list, an item like `intent=dispute` is one condition, whatever its value contains.

    An object is `{"intent": "dispute"}`, `{"csat": "<=2"}`, `{"csat": {"<=": 2}}`, or
    `{"field": "csat", "operator": "<=", "value": 2}`. null means that the field is missing.

    Raises:
        InvalidRequestError: one is invalid; says what is accepted.
    """
    return list(_conditions(sent, _MAX_DEPTH))


def parse_condition(text: str) -> Condition:
    """One condition, such as `csat<=2`; a path may begin with `results.`.

    Raises:
        InvalidRequestError: it is invalid; says what is accepted.
    """
    text = text.strip()
    match = _PRESENCE.fullmatch(text) or _COMPARISON.fullmatch(text)
    if not match or _NO_PATH.search(_without_quotes(match["path"].strip())):
        raise _invalid()
    operator = _OPERATORS[match["operator"].lower()]
    if operator in ("exists", "missing"):
        return _condition(match["path"], operator, "")
    written = match["value"].strip()
    value = _without_quotes(written)
    if operator == "!=" and value == written and set(value) & set("<>="):
        raise _invalid()  # more likely another condition than a value
    return _condition(match["path"], operator, value)


def _conditions(sent: object, levels: int) -> Iterator[Condition]:
    if isinstance(sent, str):
        parsed = json_in(sent)
        if not isinstance(parsed, str):
            yield from _conditions(parsed, levels - 1)
        else:
            inside = unbracketed(sent)
            for part in _parts(sent if inside is None else inside):
                yield from _from_text(part)
    elif isinstance(sent, list) and levels > 0:
        for item in cast(list[object], sent):
            if isinstance(item, str) and _is_equality(item):
                yield from _from_text(item)
            elif item is not None:
                yield from _conditions(item, levels - 1)
    elif isinstance(sent, dict):
        yield from _from_object(cast(dict[str, object], sent), levels)
    else:
        raise _invalid()


def _is_equality(text: str) -> bool:
    """Whether it is like `intent=dispute`."""
    match = _COMPARISON.fullmatch(_without_quotes(text.strip()))
    return bool(match) and match["operator"] in ("=", "==") and not _NO_PATH.search(match["path"])


def _parts(text: str) -> Iterator[str]:
    """The text split between conditions, but not inside quotes."""
    masked = _QUOTED.sub(lambda quoted: quoted[0][0] + "x" * (len(quoted[0]) - 1), text)
    start = 0
    for between in _BETWEEN.finditer(masked):
        if between.start() < start or not _BEGINS.match(masked, between.end()):
            continue
        before = masked[start : between.start()]
        if before.strip() and not _ENDS.search(before):
            continue
        if between[0].lower() in _OR:
            raise InvalidRequestError(
                "results takes conditions that all hold: there is no OR.",
                "Ask once for each of them, or count them with group_by, e.g. group_by=results.intent. Put a value that"
                ' holds such a word in quotes: note="x or y=1".',
            )
        yield text[start : between.start()]
        start = between.end()
    yield text[start:]


def _from_text(text: str) -> Iterator[Condition]:
    """The condition in a text, none if it is empty; its value may be an object or a list, as answers print them."""
    text = _without_quotes(text.strip().strip(",;"))
    if not text:
        return
    condition = parse_condition(text)
    value = json_in(condition.value)
    if condition.operator != "=" or isinstance(value, str):
        yield condition
    else:
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield from _from_pair(condition.path, item, _MAX_DEPTH)


def _from_object(sent: Mapping[str, object], levels: int) -> Iterator[Condition]:
    path = next((sent[name] for name in _PATHS if isinstance(sent.get(name), str)), None)
    is_one = not sent.keys() - {*_PATHS, *_OPERATOR_NAMES, *_VALUES, *_TYPES} and (
        _is_comparison(sent) or not sent.keys() - {*_PATHS[:2]}
    )
    if isinstance(path, str) and is_one:
        yield from _from_comparison(path, sent, levels)
        return
    for name, value in sent.items():
        word = _word(name)
        if word in _ALL and isinstance(value, list):
            yield from _conditions(cast(list[object], value), levels - 1)
        elif word in _NO_FIELDS and isinstance(value, list | dict):
            raise InvalidRequestError(
                f"results takes conditions that all hold: there is no {word.upper()}.",
                "Ask once for each of them, and write intent!=dispute for what a value must not be.",
            )
        else:
            yield from _from_pair(name, value, levels)


def _is_comparison(sent: Mapping[str, object]) -> bool:
    """Whether an object has a key for a value or an operator."""
    return any(name in sent for name in (*_VALUES, *_OPERATOR_NAMES))


def _from_comparison(path: str, sent: Mapping[str, object], levels: int) -> Iterator[Condition]:
    word = str(next((sent[name] for name in _OPERATOR_NAMES if name in sent), "="))
    if _operator(word) not in ("exists", "missing", None) and not any(name in sent for name in _VALUES):
        raise _without_value()
    yield from _from_operator(path, word, next((sent[name] for name in _VALUES if name in sent), True), levels)


def _from_pair(path: str, value: object, levels: int) -> Iterator[Condition]:
    """The conditions on a field whose value is a value, a comparison, or an object of either."""
    inner = cast(dict[str, object], value) if isinstance(value, dict) else {}
    if inner and levels > 0:
        if _is_comparison(inner) and not inner.keys() - {*_OPERATOR_NAMES, *_VALUES, *_TYPES}:
            yield from _from_comparison(path, inner, levels - 1)
            return
        are_operators = all(map(_operator, inner))
        for name, item in inner.items():
            if are_operators or name.startswith("$") or _word(name) in _NO_OPERATORS:
                yield from _from_operator(path, name, item, levels - 1)
            else:
                yield from _from_pair(f"{path}.{name}", item, levels - 1)
        return
    compared = _COMPARED.fullmatch(value) if isinstance(value, str) else None
    if compared:
        yield _condition(path, _OPERATORS[compared[1]], _without_quotes(compared[2].strip()))
    elif value in ("exists", "missing"):
        yield _condition(path, "exists" if value == "exists" else "missing", "")
    else:
        yield from _from_operator(path, "=", cast(object, value), levels)


def _from_operator(path: str, word: str, value: object, levels: int) -> Iterator[Condition]:
    operator = _operator(word)
    if operator is None:
        raise InvalidRequestError(
            "results has a condition with an unknown operator.",
            f"There are =, !=, <, <=, >, >=, exists and missing, e.g. {ACCEPTED}.",
        )
    if value is None and operator in ("=", "!="):
        yield _condition(path, "missing" if operator == "=" else "exists", "")
    elif operator in ("exists", "missing"):
        is_so = value not in (False, "false")
        yield _condition(path, "exists" if (operator == "exists") == is_so else "missing", "")
    elif isinstance(value, list):
        yield from _from_single(path, word, cast(list[object], value), levels)
    elif isinstance(value, str):
        yield _condition(path, operator, value.strip())
    elif isinstance(value, bool | int | float):
        yield _condition(path, operator, json.dumps(value))
    else:
        raise _without_value()


def _from_single(path: str, word: str, values: Sequence[object], levels: int) -> Iterator[Condition]:
    if len(values) != 1 or levels <= 0:
        raise InvalidRequestError(
            "results takes one value for each condition, and all conditions hold.",
            "Ask once for each value, e.g. intent=dispute, or count them all with group_by=results.intent.",
        )
    yield from _from_operator(path, word, values[0], levels - 1)


def _word(name: str) -> str:
    """An operator's name, normalized."""
    return re.sub(r"[\s_-]+", "", name.lower().removeprefix("$"))


def _operator(word: str) -> Operator | None:
    return _OPERATORS.get(_word(word))


def _condition(path: str, operator: Operator, value: str) -> Condition:
    if value == NONE and operator not in ("=", "!="):
        raise _invalid()
    if value == NOT_READ_YET:
        raise not_read_yet_error("results")
    if signal := signal_in(_without_quotes(path.strip())):
        return signal_condition(signal, operator, value)
    if operator in ("<", "<=", ">", ">="):
        _check_size(value)
    return Condition(_path(path), operator, value)


def _check_size(value: str) -> None:
    """Refuses values without a size: texts that begin with a number do not sort by it."""
    is_text = read_value(plain_number(value)).kind == "text"
    if is_text and (_NUMBER_AND_MORE.match(value) or set(value) & set("<>=")):
        raise InvalidRequestError(
            "results: <, <=, > and >= compare plain numbers, ISO dates or words; one value is none of these.",
            "Write it in full: amount>=250000 for 2.5 lakh, due_date<=2026-11-20 for 20 Nov 2026.",
        )


def _path(text: str) -> str:
    path = re.sub(r"^results\.", "", _without_quotes(text.strip()), flags=re.IGNORECASE)
    if not path or set(path) & set("=<>!"):
        raise _invalid()
    return path


def _without_quotes(text: str) -> str:
    if (inside := json_text(text)) is not None:
        return inside
    is_quoted = len(text) > 1 and text[0] in QUOTES and text.find(QUOTES[text[0]], 1) == len(text) - 1
    return text[1:-1] if is_quoted else text


def _without_value() -> InvalidRequestError:
    return InvalidRequestError(
        "results has a condition without a value.",
        "For calls without the field write missing after its name, e.g. promised_amount missing.",
    )


def _invalid() -> InvalidRequestError:
    return InvalidRequestError("results has an invalid condition.", f"Write conditions like {ACCEPTED}.")


def not_read_yet_error(argument: str) -> InvalidRequestError:
    """The error for a filter by what answers print in place of a value that is not loaded."""
    return InvalidRequestError(
        f"{argument}: {NOT_READ_YET} means that the details of these calls are not loaded, so it is no value.",
        "Ask the same question again without it: more is loaded each time.",
    )


def parse_contact_filter(text: str) -> tuple[str, ...]:
    """The forms in which a contact may be stored, from its number, its last digits or its address.

    Raises:
        InvalidRequestError: it is none of these.
    """
    if not text.strip():
        return ()
    if are_several(text):
        raise InvalidRequestError("contact_number takes one number.", "Ask once for each.")
    contact = parse_contact(text)
    is_address = contact is not None and not contact.digits
    if contact is None or (contact.digits == contact.normal and re.fullmatch("0{8,}", contact.normal)):
        why = "there is no number in it"
    elif is_address and len(text.split()) > 1:
        why = "there are words in it"
    else:
        return spellings(contact)
    raise InvalidRequestError(
        f"contact_number: {why}.",
        f"Give the number or its last digits: {EXAMPLE_NUMBER}, {EXAMPLE_NUMBER[-5:]}; or an address as shown.",
    )
