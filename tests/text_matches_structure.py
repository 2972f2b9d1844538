"""Whether an answer's text states what its structure states: every value must be in the text, in its printed form."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import cast

from pydantic import JsonValue


class Exact(str):
    """A form that is no pattern: the text holds it as it is. Most values are such, and patterns cost time."""

    __slots__ = ()


class Number(str):
    """Forms of a number with | between them: the text holds one, apart from other words and numbers. No pattern
    either, as most numbers differ, so that each would have to be compiled."""

    __slots__ = ()


_NOT_SHOWN_WHERE_ZERO = {"details_needed", "details_read", "others"}


def assert_same_facts(text: str, structure: JsonValue) -> None:
    """Every value of the structure is in the text, and none of them is null."""
    left_out = _left_out(text)
    text = _with_names(_with_addresses(_with_years(text)))
    missing = [
        f"{path}: {form}"
        for path, form in _forms("", structure)
        if not _holds(text, form) and not any(form == allowed and re.search(where, path) for where, allowed in left_out)
    ]
    assert not missing, f"not in the text: {missing}\n{text}"


def _holds(text: str, form: str) -> bool:
    match form:
        case Exact():
            return form in text
        case Number():
            return any(_holds_apart(text, number) for number in form.split("|"))
        case _:
            return bool(re.search(form, text))


def _holds_apart(text: str, number: str) -> bool:
    at = text.find(number)
    while at >= 0:
        end = at + len(number)
        before, after = text[at - 1 : at] if at else "", text[end : end + 1]
        if not re.match(r"[\w.,]", before) and not re.match(r"\w", after):
            return True
        at = text.find(number, at + 1)
    return False


def _with_years(text: str) -> str:
    """The text with the year that a table's header has in each of its rows."""
    header = re.search(r"^conversation_id\t(?:.*\t)?started \((\d{4})\b", text, re.MULTILINE)
    return re.sub(r"\t(?=\d\d-\d\d \d\d:\d\d)", f"\t{header[1]}-", text) if header else text


def _with_names(text: str) -> str:
    """The text with the name of each result field or signal that has a column of its own at each of its values."""
    lines, names = text.split("\n"), list[str]()
    for number, line in enumerate(lines):
        if line.startswith("conversation_id\t"):
            names = [
                re.sub(r"^(results|signals)\.", "", name) + "=" if "." in name else "" for name in line.split("\t")
            ]
        elif "\t" in line:
            cells = line.split("\t")
            if len(cells) == len(names):
                lines[number] = "\t".join(map("".join, zip(names, cells, strict=True)))
    return "\n".join(lines)


def _with_addresses(text: str) -> str:
    """The text with the address that its head has for all recordings at each conversation that has one."""
    (address,) = re.findall(r"^Recordings: (\S+)$", text, re.MULTILINE) or [""]
    each = address.replace("{conversation_id}", r"\1")
    pattern = r"^(\S+) · agent .*\n(?!.*\bno recording)(?!.*\brecording: )"
    return re.sub(pattern, rf"\g<0>{each} · ", text, flags=re.MULTILINE) if address else text


def _left_out(text: str) -> list[tuple[str, str]]:
    """Which values, at which paths, need not be shown: what a column that the text does not have would repeat."""
    columns = {name for line in text.split("\n") for name in line.split("\t")[1:]}
    whole, none = _number("share", 1.0), _number("share", 0.0)
    allowed: list[tuple[str, str]] = []
    if not {"share", "share of loaded"} & columns:  # one group of all calls, whose share does not change
        allowed += [(r"share(_within_first)?$", whole), (r"change\.share$", none)]
    if "success" not in columns and "success rate of all: " in text:  # the status says it
        allowed += [(r"^\.groups\..*success_rate$", whole), (r"^\.groups\..*success_rate$", none)]
    if "success" not in columns and "success rate " in text:  # the same everywhere
        allowed.append((r"change\.success_rate$", none))
    return allowed


def compact(value: JsonValue) -> str:
    """JSON without blanks, as it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _forms(path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    """Each value's path and, as a pattern or exactly, the form in which the text has to hold it."""
    name = path.rpartition(".")[2]
    assert value is not None, f"{path} is null instead of absent"
    match value:
        case dict():
            yield from _forms_of_object(path, name, value)
        case [str(text), int(count)]:  # a value and how many calls have it
            yield path, rf"{_perhaps_quoted(text)}(?: \(|, ){count:,}(?: calls?)?\)"
        case list():
            for number, item in enumerate(value):
                yield from _forms(f"{path}.{number}", item)
        case bool() if name == "spelling":
            yield path, Exact("\nBy another spelling:\n")
        case bool():
            yield path, r"; complete\b" if value else r"; incomplete\b"
        case int() | float():
            if path != ".others" and (value or name not in _NOT_SHOWN_WHERE_ZERO):
                yield path, _number(name, value)
        case str():
            yield from ((path, form) for form in _words(name, value))


def _forms_of_object(path: str, name: str, value: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        is_of_success = key == "interval" and "difference" not in value
        if "difference" in value and key in ("interval", "difference"):
            continue
        if name in ("results", "signals"):
            yield f"{path}.{key}", _result_form(key, item)
        elif is_of_success and isinstance(item, list):
            yield f"{path}.{key}", "–".join(f"{bound:.1%}" for bound in item if isinstance(bound, int | float))
        else:
            yield from _forms(f"{path}.{key}", item)
    if "difference" in value and "interval" in value:  # of a change: in points where it is of shares
        unit = 1 if "value" not in value else 100
        figures = [value["difference"], *cast(list[float], value["interval"])]
        yield from ((f"{path}.interval", _signed(unit, cast(float, figure))) for figure in figures)
    groups, others = value.get("groups"), value.get("others")
    if isinstance(groups, list) and isinstance(others, int) and others:
        yield f"{path}.others", rf"\b{len(groups):,} of {len(groups) + others:,} groups shown"


def _words(name: str, value: str) -> list[str]:
    if name in ("started_at", "ended_at", "as_of", "started_from", "started_to", "since", "until"):
        moment = datetime.fromisoformat(value)
        assert moment.tzinfo is not None
        return [Exact(f"{moment:%Y-%m-%d %H:%M}"), Exact(moment.isoformat()[-6:])]
    if name == "example_conversation_id":  # a beginning that no other id has
        return [rf"(?<![\w-]){re.escape(value[:8])}"]
    if name == "next_cursor":
        return [Exact(f'cursor="{value}"')]
    return [_perhaps_quoted(line) if set(line) & {'"', "\\"} else Exact(line) for line in value.split("\n")]


def _signed(unit: int, value: float) -> str:
    return re.escape(f"{unit * value:+.1f}" if unit > 1 else f"{value:+.4f}".rstrip("0").rstrip("."))


def _result_form(key: str, value: JsonValue) -> str:
    text = value if isinstance(value, str) else compact(value)
    if re.fullmatch(r"[\w.-]+", key) and (text is not value or not re.search(r"[\"',·;=]", text)):
        return Exact(f"{key}={text}")
    return rf"{_perhaps_quoted(key)}={_perhaps_quoted(text)}"


def _perhaps_quoted(text: str) -> str:
    """The pattern of a text as it is or, where it could be read as more than one, in quotes."""
    return rf"(?:{re.escape(text)}|\"?{re.escape(json.dumps(text, ensure_ascii=False)[1:-1])}\"?)"


def _decimals(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _number(name: str, value: float) -> str:
    match name:
        case "silence_share":
            return rf"silence {100 * value:.1f} %"
        case "share" | "share_within_first" | "success_rate" | "chance_higher":  # of a change in points, signed
            return rf"(?<![\w.,])(?:{value:.1%}|{re.escape(f'{100 * value:+.1f}')} points)"
        case "next_turn":
            return rf"from_turn={value}\b"
        case "seconds":  # of a recording as they are, of a turn by the clock
            return rf"(?<![\w.,])(?:{value:g}|{int(value) // 60}:{int(value) % 60:02d})(?!\w)"
        case "turn_count":
            return rf"turns \d+–\d+ of {value}, |transcript has {value},|no transcript"
        case _:
            return Number(f"{value:g}|{value:,}|{_decimals(value)}")
