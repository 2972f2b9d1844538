"""The text of changes: both periods, and one line per change."""

from collections.abc import Iterable, Mapping

from formant_mcp.queries.changes import EXISTS, NOT_ZERO
from formant_mcp.server.tools.changes_schema import ChangesAnswer, ComparedPeriod, DatedChangeAnswer, FigureAnswer
from formant_mcp.server.tools.text import fenced, format_offset, format_table, outside_forms
from formant_mcp.sizes import counted

_COLUMNS = ("changed", "before", "after", "difference (95 % interval)", "since", "same counts", "example")
_EXTRACTED = ("results.", "failure_reason")
_FEW = 50  # calls: 5 against 15 of so many are not yet beyond chance among 20 values that are compared
_SHARES = (
    "Shares are of all ended calls; of those that have the field for a result field (exists: of those with results),"
    " of those measured for a signal"
)


def change_lines(answer: ChangesAnswer, boundary: str, short_ids: Mapping[str, str]) -> list[str]:
    """The periods, the table, and what was compared; extracted values are inside the boundary."""
    lines = [_period("before", answer.before), _period("after", answer.after)]
    if answer.changes:
        outside = _outside_forms(answer, short_ids.values())
        table = format_table(_COLUMNS[:-1], [change_cells(change, outside or {}) for change in answer.changes])
        # The last column, so that a short id does not seem truncated.
        ids = (change.example_conversation_id for change in answer.changes)
        shown = [short_ids[name] if name else "-" for name in ids]
        examples = [_COLUMNS[-1], *((outside or {}).get(short_id, short_id) for short_id in shown)]
        table = [f"{line}\t{example}" for line, example in zip(table, examples, strict=True)]
        if outside is None:
            table = fenced("Values", table, boundary)
        lines += [*table, _shares_line(answer)]
    if answer.others:
        shown = len(answer.changes)
        lines.append(
            f"{shown:,} of {shown + answer.others:,} changes shown, the least likely by chance; limit shows more"
        )
    return [*lines, _compared_line(answer)]


def _period(name: str, period: ComparedPeriod) -> str:
    since, until = (f"{moment:%Y-%m-%d %H:%M} {format_offset(moment)}" for moment in (period.since, period.until))
    return f"{name}: {since} to {until}, {counted(period.calls, 'ended call')}"


def _outside_forms(answer: ChangesAnswer, ids: Iterable[str]) -> dict[str, str] | None:
    """Each value, agent's name and id in the form in which it may be outside the boundary; None if one may not."""
    named = [(change.field, change.value) for change in answer.changes]
    named += [(same.field, same.value) for change in answer.changes for same in change.same or ()]
    if any(field.startswith(_EXTRACTED) for field, _ in named):
        return None
    values = [value for field, value in named if value and not field.startswith("signals.")]
    values += [*(change.agent_name or "" for change in answer.changes), *ids]
    forms = outside_forms(values)
    return None if forms is None else dict(zip(values, forms, strict=True))


def change_cells(change: DatedChangeAnswer, forms: Mapping[str, str]) -> list[str]:
    """What changed, before, after, the difference, the day it began, and values with the same counts."""
    name = change.agent_name and forms.get(change.agent_name, change.agent_name)
    return [
        _named(change.field, change.value, forms) + (f" ({name})" if name else ""),
        _figure(change.before),
        _figure(change.after),
        _difference(change),
        f"{change.since_day}" if change.since_day else "",
        ", ".join(_named(same.field, same.value, forms) for same in change.same or ()),
    ]


def _named(field: str, value: str | None, forms: Mapping[str, str]) -> str:
    """What changed, as a condition if it is one: `results.intent=dispute`, `signals.agent_repeats!=0`."""
    if value is None:
        return f"{field} (median)"
    if value == EXISTS and field.startswith("results."):
        return f"{field} {value}"
    return f"{field}{'' if value == NOT_ZERO else '='}{forms.get(value, value)}"


def _figure(figure: FigureAnswer) -> str:
    if figure.share is not None:
        return f"{figure.count:,} ({figure.share:.1%})"
    return f"{_number(figure.median or 0)} (n {figure.count:,})"


def _difference(change: DatedChangeAnswer) -> str:
    low, high = change.interval
    if change.value is not None:
        return f"{100 * change.difference:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    text = f"{_number(change.difference, '+')} ({_number(low, '+')} to {_number(high, '+')})"
    if change.chance_higher is None:
        return text
    return f"{text}; later ones are higher in {change.chance_higher:.1%} of pairs"


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:{sign}g}"


def _shares_line(answer: ChangesAnswer) -> str:
    shares = any(change.value is not None for change in answer.changes)
    return f"{_SHARES if shares else 'n: calls'}; since: the first day of the change, where one day shows."


def _compared_line(answer: ChangesAnswer) -> str:
    compared = f"compared {counted(answer.compared, 'value')} in {counted(answer.fields, 'field')}"
    if not answer.compared:
        return f"Nothing was compared: a value needs 10 calls, and 10 without it. {compared}"
    fewest = min(answer.before.calls, answer.after.calls)
    few = f"; where a period has only {counted(fewest, 'call')}, small changes do not show" if fewest < _FEW else ""
    if not answer.changes:
        return f"Nothing changed beyond chance: {compared}{few}"
    return f"{compared}; the others did not change beyond chance{few}"
