"""What a summary is, in plain Python: every figure from the conversations themselves."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from formant_mcp.models import Conversation
from formant_mcp.query.summary import Group, Measure
from tests.store.oracle import leaves, text_of

Names = tuple[str, ...]
GROUPINGS = ["status", "agent_id", "failure_reason", "contact_number", "hour", "weekday", "day", "week", "month"]


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
        found = {text_of(value) for at, value in leaves("", conversation.results or {}) if at == path}
        return {label or "(none)" for label in found} or {"(none)"}
    if grouping in ("status", "agent_id", "failure_reason", "contact_number"):
        return {getattr(conversation, grouping) or "(none)"}
    if conversation.started_at is None:
        return {"(none)"}
    local = conversation.started_at.astimezone(zone)
    forms = {"hour": "%H", "weekday": "%A", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
    return {local.strftime(forms[grouping])}


def numbers_of(conversation: Conversation, measure: str) -> list[float]:
    if measure == "duration_seconds":
        return [] if conversation.duration_seconds is None else [conversation.duration_seconds]
    path = measure.removeprefix("results.")
    return [
        float(value)
        for at, value in leaves("", conversation.results or {})
        if at == path and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    ]


def measure_of(values: list[float]) -> Measure:
    p90 = values[0] if len(values) == 1 else statistics.quantiles(values, n=10, method="inclusive")[8]
    total = math.fsum(values)
    return Measure(
        len(values), total, statistics.fmean(values), statistics.median(values), p90, min(values), max(values)
    )


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
    return {name: _group(calls, total, measures) for name, calls in members.items()}


def _group(calls: list[Conversation], total: int, measures: Sequence[str]) -> Group:
    values = {measure: [n for call in calls for n in numbers_of(call, measure)] for measure in measures}
    return Group(
        count=len(calls),
        share=len(calls) / total,
        success_rate=sum(call.outcome == "success" for call in calls) / len(calls),
        measures={measure: measure_of(found) for measure, found in values.items() if found},
    )
