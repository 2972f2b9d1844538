"""What differs between two periods, counted in plain Python from the conversations themselves."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from zoneinfo import ZoneInfo

from formant_mcp.analysis.changes import CountedField, NumericField, PeriodCounts
from formant_mcp.analysis.signals import SIGNALS
from formant_mcp.models import Conversation
from tests.queries.summary_oracle import labels_of, measured_of
from tests.store.oracle import kind_of, leaves, number_of, text_of

OWN = ("status", "failure_reason", "agent_id", "direction", "hour", "weekday")
LONGEST = 100

Labels = Callable[[Conversation], set[str] | None]
"""The values of a call's field; None: it could not be measured, or there is none."""


def fields_of(
    before: Sequence[Conversation], after: Sequence[Conversation], zone: ZoneInfo
) -> tuple[list[CountedField], list[NumericField]]:
    """Everything that is compared of calls whose details are all loaded."""
    pair = [[call for call in period if call.ended and call.started_at] for period in (before, after)]
    counted: list[CountedField] = []
    numeric: list[NumericField] = []
    for name in OWN:
        counted.append(CountedField(name, *(_counts(period, _own(name, zone)) for period in pair)))
    _add_numbers(counted, numeric, "duration_seconds", [[_seconds(call) for call in period] for period in pair])
    for name, signal in SIGNALS.items():
        if signal.kind in ("count", "number"):
            numbers = [[_number(measured_of(call).get(name)) for call in period] for period in pair]
            _add_numbers(counted, numeric, f"signals.{name}", numbers)
        else:
            counted.append(CountedField(f"signals.{name}", *(_counts(period, _signal(name)) for period in pair)))
    for path in sorted({path for period in pair for call in period for path, _ in leaves("", call.results or {})}):
        name = f"results.{path}"
        counted.append(CountedField(name, *(_counts(period, _texts(path)) for period in pair)))
        counted.append(CountedField(name, *(_existence(period, path) for period in pair)))
        _add_numbers(counted, numeric, name, [[_first_number(call, path) for call in period] for period in pair])
    return counted, numeric


def _counts(calls: Iterable[Conversation], labels: Labels) -> PeriodCounts:
    values = [found for call in calls if (found := labels(call)) is not None]
    return PeriodCounts(len(values), Counter(value for found in values for value in found))


def _own(name: str, zone: ZoneInfo) -> Labels:
    return lambda call: {getattr(call, name) or "(none)"} if name == "direction" else labels_of(call, name, zone)


def _signal(name: str) -> Labels:
    def labels(call: Conversation) -> set[str] | None:
        measured = measured_of(call)
        value = measured.get(name)
        if SIGNALS[name].kind == "turn":
            return {"said"} if value is not None else set() if "agent_turns" in measured else None
        return None if value is None else {str(value).lower() if isinstance(value, bool) else str(value)}

    return labels


def _texts(path: str) -> Labels:
    def labels(call: Conversation) -> set[str] | None:
        values = [value for at, value in leaves("", call.results or {}) if at == path]
        texts = {text_of(value) for value in values if kind_of(value) in ("text", "boolean")}
        return {text for text in texts if len(text) <= LONGEST} if values else None

    return labels


def _existence(calls: Iterable[Conversation], path: str) -> PeriodCounts:
    results = [call.results for call in calls if call.results is not None]
    having = sum(any(at == path for at, _ in leaves("", result)) for result in results)
    return PeriodCounts(len(results), {"exists": having})


def _seconds(call: Conversation) -> float | None:
    return call.duration_seconds


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _first_number(call: Conversation, path: str) -> float | None:
    values = [value for at, value in leaves("", call.results or {}) if at == path]
    return number_of(values[0]) if values else None


def _add_numbers(
    counted: list[CountedField], numeric: list[NumericField], name: str, values: Sequence[Sequence[float | None]]
) -> None:
    """Those that are 0 in most calls by whether they are, others by their ranks."""
    pair = [Counter(value for value in period if value is not None) for period in values]
    if sum(numbers[0] for numbers in pair) * 2 > sum(numbers.total() for numbers in pair):
        periods = (PeriodCounts(numbers.total(), {"!=0": numbers.total() - numbers[0]}) for numbers in pair)
        counted.append(CountedField(name, *periods))
    else:
        numeric.append(NumericField(name, *pair))
