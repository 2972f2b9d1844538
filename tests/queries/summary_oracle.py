"""What a summary is, in plain Python: every figure computed from the conversations themselves."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import SIGNALS, Value
from formant_mcp.analysis.signals import measure as measure_call
from formant_mcp.models import Conversation
from formant_mcp.queries.summary import Group, Statistics
from tests.store.oracle import leaves, number_of, text_of

Names = tuple[str, ...]
GROUPINGS = ["status", "agent_id", "failure_reason", "contact_number", "hour", "weekday", "day", "week", "month"]
LISTED = PhraseLists.load()


def names_of(conversation: Conversation, groupings: Sequence[str], zone: ZoneInfo) -> set[Names]:
    """The groups that a conversation belongs to: several where a field is a list."""
    names: set[Names] = {()}
    for grouping in groupings:
        labels = labels_of(conversation, grouping, zone)
        names = {(*name, label) for name in names for label in labels}
    return names


def labels_of(conversation: Conversation, grouping: str, zone: ZoneInfo) -> set[str]:
    if grouping.startswith("results."):
        path = grouping.removeprefix("results.")
        labels = {text_of(value) for at, value in leaves("", conversation.results or {}) if at == path}
        return {label or "(none)" for label in labels} or {"(none)"}
    if grouping.startswith("signals."):
        return {signal_label(measured_of(conversation), grouping.removeprefix("signals."))}
    if grouping in ("status", "agent_id", "failure_reason", "contact_number"):
        return {getattr(conversation, grouping) or "(none)"}
    if conversation.started_at is None:
        return {"(none)"}
    local = conversation.started_at.astimezone(zone)
    forms = {"hour": "%H", "weekday": "%A", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
    return {local.strftime(forms[grouping])}


def signal_label(measured: Mapping[str, Value], name: str) -> str:
    value = measured.get(name)
    if SIGNALS[name].kind == "turn":
        return "said" if value is not None else "not said" if "agent_turns" in measured else "(none)"
    return "(none)" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def numbers_of(conversation: Conversation, measure: str) -> list[float]:
    if measure == "duration_seconds":
        return [] if conversation.duration_seconds is None else [conversation.duration_seconds]
    if measure.startswith("signals."):
        value = measured_of(conversation).get(measure.removeprefix("signals."))
        return [] if value is None else [float(value)]
    path = measure.removeprefix("results.")
    values = [number_of(value) for value in values_of(conversation, path)]
    return [value for value in values if value is not None]


def measured_of(conversation: Conversation) -> dict[str, Value]:
    return _measured(conversation._replace(results=None))  # which say nothing of it, and have no hash


@lru_cache(10_000)
def _measured(conversation: Conversation) -> dict[str, Value]:
    return measure_call(conversation, LISTED)


def values_of(conversation: Conversation, path: str) -> list[JsonValue]:
    """Every value of a field."""
    return [value for at, value in leaves("", conversation.results or {}) if at == path]


def left_out_of(conversation: Conversation, measure: str) -> int:
    """How many values of a field are no numbers."""
    values = [] if not measure.startswith("results.") else values_of(conversation, measure.removeprefix("results."))
    return sum(number_of(value) is None for value in values)


def measure_of(values: list[float], left_out: int) -> Statistics:
    if not values:
        return Statistics(0, 0.0, left_out=left_out)
    p90 = values[0] if len(values) == 1 else statistics.quantiles(values, n=10, method="inclusive")[8]
    total, middle = math.fsum(values), statistics.median(values)
    return Statistics(len(values), total, statistics.fmean(values), middle, p90, min(values), max(values), left_out)


def summary_of(
    conversations: Iterable[Conversation], groupings: Sequence[str], measures: Sequence[str], zone: ZoneInfo
) -> dict[Names, Group]:
    """The groups of these conversations; the example is left to the caller."""
    members: dict[Names, list[Conversation]] = defaultdict(list)
    total = 0
    for conversation in conversations:
        total += 1
        for name in names_of(conversation, groupings, zone):
            members[name].append(conversation)
    first: dict[str, set[str]] = defaultdict(set)
    for name, calls in members.items():
        first[name[0]] |= {call.conversation_id for call in calls}
    return {
        name: replace(
            _group(calls, total, measures),
            share_within_first=len(calls) / len(first[name[0]]) if len(groupings) > 1 else None,
        )
        for name, calls in members.items()
    }


def _group(calls: list[Conversation], total: int, measures: Sequence[str]) -> Group:
    values = {measure: [n for call in calls for n in numbers_of(call, measure)] for measure in measures}
    left_out = {measure: sum(left_out_of(call, measure) for call in calls) for measure in measures}
    return Group(
        count=len(calls),
        share=len(calls) / total,
        success_rate=sum(call.outcome == "success" for call in calls) / len(calls),
        measures={m: measure_of(numbers, left_out[m]) for m, numbers in values.items() if numbers or left_out[m]},
    )
