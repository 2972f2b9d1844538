"""The text of summaries: one line per group or field, without columns that say nothing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from formant_mcp.models import outside_form
from formant_mcp.queries.summary import Summary, SummaryQuery, max_groups
from formant_mcp.queries.time_buckets import UNREAD
from formant_mcp.server.tools.summary_schema import (
    Counted,
    FieldAnswer,
    GroupAnswer,
    MeasureAnswer,
    PeriodAnswer,
    SignalAnswer,
    SummaryAnswer,
)
from formant_mcp.server.tools.text import (
    NEXT_COUNTED,
    compact_json,
    fenced,
    format_offset,
    format_table,
    one_value,
    outside_forms,
)
from formant_mcp.sizes import counted

_FIGURES = ("sum", "mean", "median", "p90", "min", "max")

ShortIds = Mapping[str, str]
"""Conversations' ids, each with the shortest unique prefix of it."""


def summary_lines(answer: SummaryAnswer, boundary: str, short_ids: ShortIds) -> list[str]:
    """The table of the groups, with the total as its last line; extracted values are inside the boundary."""
    groups, overall = answer.groups or [], answer.overall
    keys = list(groups[0].key) if groups else []
    repeats = len(groups) == 1 and not answer.others and groups[0].count == overall.count
    is_same = repeats and groups[0].change == overall.change
    if is_same and groups[0].example_conversation_id == overall.example_conversation_id:
        rows = groups  # the total would say the same again
    else:
        rows = [*groups, overall]
    of_loaded = " of loaded" if _is_partly_loaded(rows, overall) else ""
    is_said = any(key.startswith("results.") or key == "failure_reason" for key in keys)
    # The last column, so that a short id does not seem truncated.
    examples = [short_ids[row.example_conversation_id] if row.example_conversation_id else "-" for row in rows]
    is_outside = not is_said and _may_be_outside(rows, examples)
    columns = _columns(rows, keys, of_loaded, _outside if is_outside else str)
    lines = format_table([name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows])
    if any(row.example_conversation_id for row in rows):
        shown = map(_outside, examples) if is_outside else examples
        lines = [f"{line}\t{example}" for line, example in zip(lines, ["example", *shown], strict=True)]
    if not is_outside:
        lines = fenced("Values", lines, boundary)
    return [*lines, *_success_line(rows, keys)]


def _may_be_outside(rows: Sequence[GroupAnswer], examples: Sequence[str]) -> bool:
    """Whether all values, agents' names, names of measures and ids may be outside the boundary."""
    measures = (name for row in rows for name in (*(row.measures or {}), *_before(row)))
    values = (value for row in rows for value in (*row.key.values(), row.agent_name or ""))
    return outside_forms([*values, *measures, *examples]) is not None


def _outside(value: str) -> str:
    (form,) = outside_forms([value]) or [""]
    return form


def left_out_line(summary: Summary, query: SummaryQuery) -> list[str]:
    """How many groups are not shown, and which arguments show more of them; no line if there are none."""
    if not summary.others:
        return []
    shown = len(summary.groups)
    total = shown + summary.others
    if not shown:
        return [
            f"0 of {total:,} groups shown: none has {query.min_count:,} calls or more; a lower min_count shows more"
        ]
    more = "a lower min_count shows more"
    if summary.others > summary.small:
        more = "top shows more"
    elif sum(not group.is_unread for group in summary.groups) >= max_groups(query):
        more = "a lower min_count with a higher top shows more"
    of_size = f" of at least {query.min_count:,} calls" if query.min_count > 1 else ""
    return [f"{shown:,} of {total:,} groups shown, the largest{of_size}; {more}"]


def profile_lines(answer: SummaryAnswer, loaded: int, boundary: str, short_ids: ShortIds) -> list[str]:
    """The profile, one line per field. Values are from calls, so they are inside the boundary.

    `loaded`: how many calls the result fields are from.
    """
    profile, overall = answer.profile, answer.overall
    if profile is None:
        return []
    facts = [f"success rate {overall.success_rate:.1%}"] if overall.success_rate is not None else []
    newest = short_ids[overall.example_conversation_id] if overall.example_conversation_id else ""
    shown = outside_form(newest)
    facts += [f"newest: {shown}"] if shown else []
    lines = ["; ".join(facts)] if facts else []
    if profile.started_from and profile.started_to:
        first, last = profile.started_from, profile.started_to
        lines.append(
            f"started {first:%Y-%m-%d %H:%M} {format_offset(first)} to {last:%Y-%m-%d %H:%M} {format_offset(last)}"
        )
    names = profile.agent_names or {}
    within = [f"newest: {newest}"] if shown is None else []
    for what, values, named in (("agents", profile.agents, names), ("statuses", profile.statuses, {})):
        outside = outside_forms([*(str(value) for value, _ in values), *named.values()]) is not None
        form = _outside if outside else _one_of_counted
        shown = ", ".join(_with_calls(value, named, form) for value in values)
        (lines if outside else within).extend([f"{what}: {shown}"] if values else [])
    missing = overall.count - loaded
    so_far = "" if answer.coverage.complete else f" in the {loaded:,} calls loaded so far"
    so_far += f" ({missing:,} not loaded yet)" if missing > 0 else ""  # calls may come while figures are computed
    lines += _signal_lines(profile.signals or [])
    if not profile.results:
        return [*lines, *(fenced("Names", within, boundary) if within else []), f"no result fields{so_far}"]
    of = f" of {loaded:,} calls loaded" if missing else ""
    within += [_field_line(field, of) for field in profile.results]
    return [*lines, *fenced(f"Result fields{so_far}, their values", within, boundary)]


def _signal_lines(signals: Sequence[SignalAnswer]) -> list[str]:
    """A line for the signals that are measured in as many calls."""
    by_measured: dict[int, list[str]] = {}
    for signal in signals:
        by_measured.setdefault(signal.measured, []).append(_signal_figures(signal))
    return [
        f"signals, measured in {counted(measured, 'call')}: {' · '.join(figures)}"
        for measured, figures in by_measured.items()
    ]


def _signal_figures(signal: SignalAnswer) -> str:
    calls = "" if signal.calls is None else f"in {signal.calls:,}"
    figures = [f"{name} {value:g}" for name in ("mean", "max") if (value := getattr(signal, name)) is not None]
    parties = [f"{party} ({count:,})" for party, count in signal.top or []]
    return f"{signal.name} {', '.join(part for part in (calls, *figures, *parties) if part)}"


Column = tuple[str, Callable[[GroupAnswer], str]]


def _is_partly_loaded(rows: Sequence[GroupAnswer], overall: GroupAnswer) -> bool:
    """Whether some groups are of loaded calls only, in this period or the other: the total then has no share."""
    has_loaded = any(row.key and UNREAD not in row.key.values() for row in rows)
    return has_loaded and any(period.count and period.share is None for period in _periods([overall]))


def _columns(rows: Sequence[GroupAnswer], keys: list[str], of: str, form: Callable[[str], str]) -> list[Column]:
    """The columns that say something, each with its format for a group.

    `of`: what their counts and shares are of; `form`: how values and names are written.
    """
    all_calls = f"all{of and ', loaded or not'}"
    columns: list[Column] = [(key, partial(_key, key=key, whole=all_calls, form=form)) for key in keys]
    columns.append((f"count{of}", lambda row: f"{row.count:,}"))
    has_shares, has_success = _has_shares(rows), len(_success_rates(rows)) > 1 and not _repeats_status(rows, keys)
    if has_shares:
        columns.append((f"share{of}", lambda row: _percent(row.share)))
        if len(keys) > 1:
            columns.append((f"share in {keys[0]}{of}", lambda row: _percent(row.share_within_first)))
    if has_success:
        columns.append(("success", lambda row: _percent(row.success_rate)))
    if any(row.interval for row in rows):
        columns.append(("95% interval of success", lambda row: _interval(row.interval)))
    if any(row.previous for row in rows):
        columns.append((f"count before{of}", lambda row: f"{row.previous.count:,}" if row.previous else ""))
        if has_shares:
            columns.append((f"share before{of}", lambda row: _percent(row.previous and row.previous.share)))
        if has_success:
            columns.append(("success before", lambda row: _percent(row.previous and row.previous.success_rate)))
        if any(row.previous and row.previous.interval for row in rows):
            columns.append(("95% interval before", lambda row: _interval(row.previous and row.previous.interval)))
        columns.append(("change", lambda row: _change(row, has_shares=has_shares, has_success=has_success)))
    names = dict.fromkeys(name for row in rows for name in [*(row.measures or {}), *_before(row)])
    columns += [(form(name), partial(_measure_now, name=name)) for name in names]
    if any(row.previous for row in rows):
        columns += [(f"{form(name)} before", partial(_measure_before, name=name)) for name in names]
    return columns


def _key(row: GroupAnswer, key: str, whole: str, form: Callable[[str], str]) -> str:
    """A value of a group; the total, which has none, is named `whole`."""
    if not row.key:
        return whole
    value = form(row.key.get(key, ""))
    return f"{form(row.agent_name)} ({value})" if key == "agent_id" and row.agent_name else value


def _periods(rows: Sequence[GroupAnswer]) -> list[GroupAnswer | PeriodAnswer]:
    return [*rows, *(row.previous for row in rows if row.previous)]


def _has_shares(rows: Sequence[GroupAnswer]) -> bool:
    """Whether any share is other than 100 %."""
    return any(period.share not in (None, 1) for period in _periods(rows))


def _success_rates(rows: Sequence[GroupAnswer]) -> set[float]:
    return {period.success_rate for period in _periods(rows) if period.success_rate is not None}


def _repeats_status(rows: Sequence[GroupAnswer], keys: list[str]) -> bool:
    """Whether the success rates of the groups only repeat their status."""
    return "status" in keys and _success_rates([row for row in rows if row.key]) <= {0, 1}


def _success_line(rows: Sequence[GroupAnswer], keys: list[str]) -> list[str]:
    """The success rate, if the table has no column for it."""
    rates = _success_rates(rows)
    if len(rates) == 1:
        return [f"success rate {rates.pop():.1%}{' in each' if len(rows) > 1 else ''}"]
    if not _repeats_status(rows, keys):
        return []
    now, before = rows[-1].success_rate, rows[-1].previous and rows[-1].previous.success_rate
    lines = [f"success rate of all: {_percent(now)}"]
    if before is not None:
        lines[0] += f", before {_percent(before)}, change {100 * ((now or 0) - before):+.1f} points"
    return lines


def _change(row: GroupAnswer, *, has_shares: bool, has_success: bool) -> str:
    change = row.change
    if change is None:
        return ""
    points = [
        ("share", change.share if has_shares else None),
        ("success", change.success_rate if has_success else None),
    ]
    named = [f"{name} {100 * value:+.1f} points" for name, value in points if value is not None]
    return f"{change.count:+,}; {', '.join(named)}" if named else f"{change.count:+,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.1%}–{bounds[1]:.1%}"


def _before(row: GroupAnswer) -> dict[str, MeasureAnswer]:
    return (row.previous.measures if row.previous else None) or {}


def _measure_now(row: GroupAnswer, name: str) -> str:
    return _measure((row.measures or {}).get(name))


def _measure_before(row: GroupAnswer, name: str) -> str:
    return _measure(_before(row).get(name))


def _measure(measure: MeasureAnswer | None) -> str:
    return "" if measure is None else _figures(measure, measure.count)


def _figures(measure: MeasureAnswer | FieldAnswer, count: int | None) -> str:
    """How many numbers, how many other values, and the figures of the numbers."""
    words = [] if count is None else [f"n {count:,}"]
    if measure.left_out:
        words.append(f"({measure.left_out:,} not {'a number' if measure.left_out == 1 else 'numbers'})")
    values = {name: value for name in _FIGURES if (value := getattr(measure, name)) is not None}
    if not count and values.keys() <= {"sum"}:
        return " ".join(words)
    if values and not any(values.values()):
        return " ".join([*words, "all 0"])
    return " ".join([*words, *(f"{name} {_figure(value)}" for name, value in values.items())])


def _figure(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"


def _field_line(field: FieldAnswer, of: str) -> str:
    path = f"results.{field.path}"
    line = f"{path if outside_form(path) else compact_json(path)} ({field.kind}, {field.count:,}{of}): "
    if field.top is None:
        return line + _figures(field, field.numbers)
    others = f", {field.others:,} more" if field.others else ""
    return line + ", ".join(f"{_one_of_counted(str(value))} ({count:,})" for value, count in field.top) + others


def _one_of_counted(value: str) -> str:
    return one_value(value, NEXT_COUNTED)


def _with_calls(pair: Counted, names: dict[str, str], form: Callable[[str], str]) -> str:
    """`123 (180 calls)`, or with its name `Sales (123, 180 calls)`."""
    value, calls = str(pair[0]), counted(int(pair[1]), "call")
    return f"{form(names[value])} ({form(value)}, {calls})" if value in names else f"{form(value)} ({calls})"
