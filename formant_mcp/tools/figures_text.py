"""How figures read: a line a group with a bar, a line a field."""

from collections.abc import Sequence

from formant_mcp.query.comparison import Comparison
from formant_mcp.tools.figures import Counted, FieldAnswer, GroupAnswer, MeasureAnswer, SummaryAnswer
from formant_mcp.tools.text import WARNING, table

_BAR = 10
_FIGURES = ("sum", "mean", "median", "p90", "min", "max")


def summary_lines(answer: SummaryAnswer, comparison: Comparison | None, boundary: str) -> list[str]:
    """The table of the groups, the whole as its last line; what was extracted from calls inside the boundary."""
    groups, overall = answer.groups or [], answer.overall
    keys = list(groups[0].key) if groups else []
    lines: list[str] = []
    header = [*keys, "count", "share", "bar", "success"]
    if comparison:
        header += ["count before", "share before", "success before", "change"]
    rows = [_cells(group, keys, has_comparison=bool(comparison)) for group in groups]
    measures = list(dict.fromkeys(name for group in [*groups, overall] for name in group.measures or {}))
    header += [f"{name}{when}" for when in ("", " before")[: 2 if comparison else 1] for name in measures]
    header.append("example")
    last = _cells(overall, keys, has_comparison=bool(comparison))
    if keys:
        last[0] = "all"
    body = [
        [*row, *_measure_cells(group, measures, has_comparison=bool(comparison)), group.example_conversation_id or ""]
        for row, group in zip([*rows, last], [*groups, overall], strict=True)
    ]
    lines += table(header, body)
    if any(key.startswith("results.") or key == "failure_reason" for key in keys):
        lines = [f'Values {WARNING}, up to the line "end {boundary}"', *lines, f"end {boundary}"]
    return [*lines, f"{answer.others:,} more groups, smaller ones, left out"] if answer.others else lines


def profile_lines(answer: SummaryAnswer, boundary: str) -> list[str]:
    """The profile: what there is, a line a field. Values come from calls: they stand inside the boundary."""
    found, overall = answer.profile, answer.overall
    if found is None:
        return []
    lines = [f"success rate {overall.success_rate:.1%}"]
    if overall.example_conversation_id:
        lines[0] += f"; newest: {overall.example_conversation_id}"
    if found.started_from and found.started_to:
        lines.append(f"started {found.started_from:%Y-%m-%d %H:%M} to {found.started_to:%Y-%m-%d %H:%M}")
    lines += [f"agents: {_counts(found.agents)}", f"statuses: {_counts(found.statuses)}"]
    if not found.results:
        return [*lines, "no result fields read so far"]
    return [
        *lines,
        f'Result fields, their values {WARNING}, up to the line "end {boundary}"',
        *(_field_line(field) for field in found.results),
        f"end {boundary}",
    ]


def bar(share: float) -> str:
    """A share as a bar of ten."""
    return "█" * round(share * _BAR) or ("▏" if share else "")


def _cells(group: GroupAnswer, keys: list[str], *, has_comparison: bool) -> list[str]:
    cells = [group.key.get(key, "") for key in keys]
    cells += [f"{group.count:,}", f"{group.share:.1%}", bar(group.share), f"{group.success_rate:.1%}"]
    if has_comparison:
        before, change = group.previous, group.change
        cells += (
            [
                f"{before.count:,}",
                f"{before.share:.1%}",
                f"{before.success_rate:.1%}",
                f"{change.count:+,} ({100 * change.share:+.1f} points)",
            ]
            if before and change
            else [""] * 4
        )
    return cells


def _measure_cells(group: GroupAnswer, measures: Sequence[str], *, has_comparison: bool) -> list[str]:
    cells = [_measure((group.measures or {}).get(name)) for name in measures]
    if has_comparison:
        before = (group.previous.measures if group.previous else None) or {}
        cells += [_measure(before.get(name)) for name in measures]
    return cells


def _measure(measure: MeasureAnswer | None) -> str:
    return "" if measure is None else _figures(measure, measure.count)


def _figures(measure: MeasureAnswer | FieldAnswer, count: int | None) -> str:
    """How many numbers, how many other values, and what the numbers are."""
    words = [] if count is None else [f"n {count:,}"]
    if measure.left_out:
        words.append(f"({measure.left_out:,} not {'a number' if measure.left_out == 1 else 'numbers'})")
    values = {name: getattr(measure, name) for name in _FIGURES}
    return " ".join([*words, *(f"{name} {_figure(value)}" for name, value in values.items() if value is not None)])


def _figure(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"


def _field_line(field: FieldAnswer) -> str:
    line = f"results.{field.path} ({field.kind}, {field.count:,}): "
    if field.top is None:
        return line + _figures(field, field.numbers)
    others = f", {field.others:,} others" if field.others else ""
    return line + _counts(field.top) + others


def _counts(counted: list[Counted]) -> str:
    return ", ".join(f"{value} {count:,}" if isinstance(count, int) else f"{value} {count}" for value, count in counted)
