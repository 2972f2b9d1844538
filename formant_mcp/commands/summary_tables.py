"""The answer of summarize_results as people read it: counts with bars, shares, rates and figures."""

from collections.abc import Sequence

from rich.console import Console

from formant_mcp.commands.screen import Cell, bar, percent, print_table, text
from formant_mcp.server.tools.summary_schema import (
    FieldAnswer,
    GroupAnswer,
    MeasureAnswer,
    ProfileAnswer,
    SummaryAnswer,
)

_FIGURES = ("mean", "median", "p90", "min", "max")
_BEFORE = ("calls before", "share before", "change", "points")
_NUMBERS = ("calls", "share", "success", *_BEFORE, "at least", "at most", "count", *_FIGURES)


def print_summary(console: Console, answer: SummaryAnswer) -> None:
    """Groups, or the profile, with what it is of all calls."""
    if answer.profile:
        _print_profile(console, answer.profile, answer.overall)
        return
    if answer.groups:
        _print_groups(console, answer.groups)
    console.print()
    console.print(text(_overall(answer.overall)))
    for name, measure in (answer.overall.measures or {}).items():
        console.print(text(f"{name}: {_figures(measure)}"))
    if answer.others:
        console.print(text(f"{answer.others:,} more groups: a larger --top shows them."))


def _print_groups(console: Console, groups: Sequence[GroupAnswer]) -> None:
    most = max(group.count for group in groups)
    columns: dict[str, Sequence[Cell]] = {name: [group.key.get(name, "") for group in groups] for name in groups[0].key}
    columns["name"] = [group.agent_name or "" for group in groups]
    columns["calls"] = [f"{group.count:,}" for group in groups]
    columns[""] = [bar(group.count, most) for group in groups]
    columns["share"] = [percent(group.share) for group in groups]
    columns["success"] = [percent(group.success_rate) for group in groups]
    columns["at least"] = [percent(group.interval[0]) if group.interval else "" for group in groups]
    columns["at most"] = [percent(group.interval[1]) if group.interval else "" for group in groups]
    columns |= zip(_BEFORE, zip(*map(_compared, groups), strict=True), strict=True)
    right = [*_NUMBERS]
    for name in dict.fromkeys(name for group in groups for name in group.measures or {}):
        cells = [(group.measures or {}).get(name) for group in groups]
        for figure in ("mean", "median"):
            title = f"{figure} {name}".replace("_", " ")  # where a header may be wrapped
            columns[title] = [_number(getattr(cell, figure)) if cell else "" for cell in cells]
            right.append(title)
    print_table(console, columns, right)


def _compared(group: GroupAnswer) -> tuple[str, str, str, str]:
    """The other period's calls and share, and the changes to this one: in calls, and in points of the share."""
    before, change = group.previous, group.change
    return (
        f"{before.count:,}" if before else "",
        percent(before.share) if before else "",
        f"{change.count:+,}" if change else "",
        f"{change.share * 100:+.1f}" if change and change.share is not None else "",
    )


def _overall(group: GroupAnswer) -> str:
    parts = [f"All: {group.count:,} calls"]
    if group.success_rate is not None:
        parts.append(f"{percent(group.success_rate)} successful")
    if group.previous:
        parts.append(f"before {group.previous.count:,}")
    return ", ".join(parts) + "."


def _print_profile(console: Console, profile: ProfileAnswer, overall: GroupAnswer) -> None:
    names = profile.agent_names or {}
    console.print(text(_overall(overall)))
    for title, values in (("agent", profile.agents), ("status", profile.statuses)):
        _print_counts(console, title, values, overall.count, names if title == "agent" else {})
    if profile.results:
        columns = {
            "result field": [field.path for field in profile.results],
            "kind": [field.kind for field in profile.results],
            "calls": [f"{field.count:,}" for field in profile.results],
            "": [bar(field.count, max(field.count for field in profile.results)) for field in profile.results],
            "values": [_values(field) for field in profile.results],
        }
        print_table(console, columns, _NUMBERS)
    if profile.signals:
        columns = {
            "signal": [signal.name for signal in profile.signals],
            "calls": [f"{signal.calls:,}" if signal.calls is not None else "" for signal in profile.signals],
            "mean": [_number(signal.mean) for signal in profile.signals],
            "max": [_number(signal.max) for signal in profile.signals],
            "values": [_counted(signal.top or []) for signal in profile.signals],
        }
        print_table(console, columns, _NUMBERS)


def _print_counts(
    console: Console, title: str, values: Sequence[list[str | int]], total: int, names: dict[str, str]
) -> None:
    counts = [int(count) for _, count in values]
    columns: dict[str, Sequence[Cell]] = {
        title: [str(value) for value, _ in values],
        "name": [names.get(str(value), "") for value, _ in values],
        "calls": [f"{count:,}" for count in counts],
        "": [bar(count, max(counts, default=0)) for count in counts],
        "share": [percent(count / total if total else None) for count in counts],
    }
    print_table(console, columns, _NUMBERS)


def _values(field: FieldAnswer) -> str:
    if field.top is None:
        return ", ".join(f"{name} {_number(value)}" for name in _FIGURES if (value := getattr(field, name)) is not None)
    return _counted(field.top) + (f" and {field.others:,} more" if field.others else "")


def _counted(values: Sequence[list[str | int]]) -> str:
    return ", ".join(f"{value} ({count:,})" for value, count in values)


def _figures(measure: MeasureAnswer) -> str:
    parts = [f"count {measure.count:,}", f"sum {_number(measure.sum)}"]
    parts += [f"{name} {_number(getattr(measure, name))}" for name in _FIGURES if getattr(measure, name) is not None]
    return ", ".join(parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 9_999.5 else f"{value:,.0f}"
