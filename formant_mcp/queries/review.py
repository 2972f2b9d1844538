"""What to listen to first: calls with the most reasons, by weight, and a random share of the others."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from formant_mcp.analysis.review import (
    COMPARED,
    CONTRADICTION,
    FAILED,
    FEWEST_CALLS,
    LOW_RATING,
    MACHINE,
    PHRASES,
    REASONS,
    UsualValues,
    contradiction_detail,
    draw_key,
    may_be_rating,
    rating_detail,
    rating_scale,
    says_promise,
)
from formant_mcp.analysis.signals import REFUSAL, SIGNALS, Need
from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import SIGNALS as PREFIX
from formant_mcp.filters import Filters
from formant_mcp.models import Conversation, quoted
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import RESULTS, SPEAKERS, WORDS, Answer, Coverage
from formant_mcp.queries.cursors import query_fingerprint
from formant_mcp.queries.guesses import did_you_mean, nearest
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.store import Store
from formant_mcp.store.review import ShortValue, SignalRow
from formant_mcp.sync.list_sync import ListRequest
from formant_mcp.values import label

PickedBy = Literal["score", "random"]

_USED = WORDS | SPEAKERS | RESULTS | {"status", "duration_seconds"}
_ALWAYS_MEASURED: frozenset[Need] = frozenset({"transcript", "speakers"})  # wherever a transcript was
_USUAL_DAYS = (7, 28, 91)  # the next only where these have too few calls
_MEASURED_BY_WORDS = "agent_turns"


class Finding(NamedTuple):
    """Why a call has a reason, in our words, and the turn where there is one."""

    detail: str
    turn: int | None = None


Findings = dict[str, dict[int, Finding]]
"""By reason and by row of the call."""


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """What to choose from, and how many: `random_share` of them at random. `reasons`: those that count.

    `as_sent`: the filters as sent, from which, with the day, the random order follows.
    """

    filters: Filters
    as_sent: str
    limit: int = 10
    random_share: float = 0.2
    reasons: tuple[str, ...] = tuple(REASONS)


@dataclass(frozen=True, slots=True)
class ReviewedCall:
    """A call to listen to, with its reasons by name, largest weight first."""

    conversation: Conversation
    score: int
    reasons: dict[str, Finding]
    picked_by: PickedBy


@dataclass(frozen=True, slots=True)
class ReviewResult(Answer):
    """Calls to listen to. Of all that match: how many have each reason, any reason, and a transcript."""

    calls: tuple[ReviewedCall, ...]
    reasons_total: dict[str, int]
    with_reasons: int
    with_transcript: int
    existing: dict[str, Existing]

    def first(self, count: int) -> "ReviewResult":
        """The result with its first `count` calls."""
        return replace(self, calls=self.calls[:count])


def parse_reasons(names: Sequence[str]) -> tuple[str, ...]:
    """The reasons with these names, all if there are none, or if `all` is among them.

    Raises:
        InvalidRequestError: there is no such reason; names the nearest.
    """
    wanted = [label(name).removeprefix(PREFIX) for name in names]
    for name, sent in zip(wanted, names, strict=True):
        if name not in REASONS and name != "all":
            raise InvalidRequestError(
                f"There is no reason {quoted(sent)}.{did_you_mean(nearest(name, REASONS))}",
                f"The reasons are {', '.join(REASONS)}.",
            )
    return tuple(name for name in REASONS if name in wanted or "all" in wanted or not wanted)


async def find_calls_to_review(
    loader: Loader, context: RequestContext, query: ReviewQuery, zone: ZoneInfo
) -> ReviewResult:
    """The calls with the highest scores, and a random share of the rest.

    Places that no call with a reason fills are drawn too, unless nothing is to be drawn.

    Raises:
        FormantError: nothing can be answered at all.
    """
    filters, store = query.filters, loader.store
    signals, missing = _named(query, loader.sync.unmeasured)
    request = DataRequest(filters, ListRequest(filters), True, _USED, signals, with_signals=True)
    compared = [name for name in COMPARED if name in query.reasons]
    is_compared = bool(compared) or LOW_RATING in query.reasons
    coverage, usual_of = await _loaded(loader, context, request, is_compared=is_compared)
    values = await store.review.distributions(usual_of, compared) if compared else {}
    usual = await asyncio.to_thread(UsualValues, values)
    not_compared = [name for name in compared if name not in usual.lowest_limits() and name not in missing]
    since = usual_of.since.astimezone(zone) if usual_of.since and usual_of != filters else None
    findings = await _Search(store, filters, usual_of, query.reasons).findings(usual)
    scores = await asyncio.to_thread(_scores, findings)
    drawn = round(query.limit * query.random_share + 1e-9)
    best = await _best(store, scores, query.limit - drawn)
    places = query.limit - len(best) if query.random_share else 0
    seed = query_fingerprint(query.as_sent, context.requested_at.astimezone(zone).date().isoformat())
    draw = await store.review.draw(filters, draw_key(seed), places, set(best))
    rows = best | dict(draw.calls)
    coverage = coverage.at_least(max(draw.drawn_from, len(scores), len(rows)))
    notes = [coverage.note, *_notes(coverage, missing, not_compared, since)]
    stored = await store.read.get(list(rows.values()))
    turns = await store.signals.turns_to_hear([row_id for row_id in rows if row_id in scores])
    return ReviewResult(
        coverage=replace(coverage, note=" ".join(filter(None, notes))),
        calls=tuple(
            ReviewedCall(
                stored[name],
                scores.get(row_id, 0),
                _reasons(row_id, findings, turns.get(row_id, {})),
                "score" if row_id in best else "random",
            )
            for row_id, name in rows.items()
            if name in stored
        ),
        reasons_total={name: len(by_row) for name, by_row in findings.items() if by_row},
        with_reasons=len(scores),
        with_transcript=draw.drawn_from,
        existing=await available_values(store, filters, coverage.matched),
    )


async def _loaded(
    loader: Loader, context: RequestContext, request: DataRequest, *, is_compared: bool
) -> tuple[Coverage, Filters]:
    """Loads what is to be reviewed, and the calls that usual values and the scales of ratings are taken from, if it
    is compared with these; says which they are."""
    filters, usual_of = request.filters, request.filters
    coverage = await loader.ensure_loaded(context, request)
    for usual_of in dict.fromkeys(
        _usual_of(filters, context.requested_at, days) for days in _USUAL_DAYS if is_compared
    ):
        if not coverage.matched or not coverage.is_loaded:
            break  # then what is stored of these calls must do
        if usual_of != filters:
            more = replace(request, list_request=ListRequest(usual_of), usual=usual_of)
            coverage = await loader.ensure_loaded(context, more)
        measured = await loader.store.signals.count_measured(usual_of, [_MEASURED_BY_WORDS])
        if measured[_MEASURED_BY_WORDS] >= FEWEST_CALLS or not coverage.is_loaded:
            break
    return coverage, usual_of


def _usual_of(filters: Filters, now: datetime, days: int) -> Filters:
    """The calls whose values are the usual ones: all of the agent, of the period and of so many days at least."""
    since = filters.since and min(filters.since, (filters.until or now) - timedelta(days=days))
    return replace(filters.without(frozenset(filters.given()) - {"agent_id", "until"}), since=since)


def _notes(
    coverage: Coverage, missing: Sequence[str], not_compared: Sequence[str], since: datetime | None
) -> Iterator[str]:
    """What was not measured, and what was compared, as sentences; `since`: if usual values are of a longer period."""
    if missing:
        yield f"This provider's calls lack what these are measured from: {', '.join(missing)}."
    if since and coverage.matched:
        yield f"Usual values are from calls since {since:%Y-%m-%d %H:%M}."
    if not_compared and coverage.matched and coverage.is_loaded:
        names = ", ".join(not_compared)
        yield f"Fewer than {FEWEST_CALLS} calls to say what is usual, so not compared: {names}."


def _named(query: ReviewQuery, unmeasured: Set[Need]) -> tuple[frozenset[str], list[str]]:
    """The signals of which the answer says for how many calls they are measured, and the reasons that no call can have.

    Of all reasons these are the signals that need more than a transcript: few calls have what they need.
    """
    if len(query.reasons) < len(REASONS):
        return frozenset(SIGNALS.keys() & query.reasons), []
    missing = [name for name in COMPARED if SIGNALS[name].needs in unmeasured]
    others = {name for name in COMPARED if SIGNALS[name].needs not in _ALWAYS_MEASURED}
    return frozenset(others.difference(missing)), missing


def _reasons(row_id: int, findings: Findings, turns: Mapping[str, int]) -> dict[str, Finding]:
    """The reasons of a call; `turns`: where to listen, by signal."""
    return {
        name: by_row[row_id]._replace(turn=turns.get(name, by_row[row_id].turn))
        for name, by_row in findings.items()
        if row_id in by_row
    }


def _scores(findings: Findings) -> Counter[int]:
    scores: Counter[int] = Counter()
    for name, by_row in findings.items():
        weight = REASONS[name].weight
        for row_id in by_row:
            scores[row_id] += weight
    return scores


async def _best(store: Store, scores: Mapping[int, int], count: int) -> dict[int, str]:
    """The rows and ids of the calls with the highest scores; of equal ones the newest."""
    if not (scores and count):
        return {}
    least = nlargest(count, scores.values())[-1]
    above = [row_id for row_id, score in scores.items() if score > least]
    equal = [row_id for row_id, score in scores.items() if score == least]
    best = sorted(await store.review.newest(above, len(above)), key=lambda call: -scores[call[0]])
    return dict(best + await store.review.newest(equal, count - len(above)))


class _Search:
    """Finds the calls that match and have some of these reasons."""

    def __init__(self, store: Store, filters: Filters, usual_of: Filters, reasons: Sequence[str]) -> None:
        self._store = store.review
        self._aggregates = store.aggregates
        self._filters = filters
        self._usual_of = usual_of
        self._reasons = reasons

    async def findings(self, usual: UsualValues) -> Findings:
        """All findings."""
        rows = await self._store.signals_at(self._filters, usual.lowest_limits(), [*PHRASES, REFUSAL])
        of_signals = await asyncio.to_thread(_findings_of_signals, rows, usual)
        refused, machines = of_signals.pop(REFUSAL), of_signals[MACHINE]
        findings = {name: of_signals.get(name, {}) for name in self._reasons}
        if LOW_RATING in findings:
            findings[LOW_RATING] = await self._low_ratings()
        if FAILED in findings:
            failed, finding = await self._store.failed_after_connection(self._filters), Finding(REASONS[FAILED].detail)
            findings[FAILED] = {row_id: finding for row_id in failed if row_id not in machines}
        if CONTRADICTION in findings:
            values = await self._store.short_values(list(refused))
            findings[CONTRADICTION] = await asyncio.to_thread(_contradictions, values, refused)
        return findings

    async def _low_ratings(self) -> dict[int, Finding]:
        paths = [path for path in await self._aggregates.paths() if may_be_rating(path)]
        findings: dict[int, Finding] = {}
        for path, numbers in sorted((await self._store.ranges(self._usual_of, paths)).items()):
            if scale := rating_scale(path, numbers):
                lows = await self._store.low_values(self._filters, path, scale.low)
                of_values = {value: Finding(rating_detail(path, value, scale)) for value in set(lows.values())}
                for row_id, value in lows.items():
                    finding, earlier = of_values[value], findings.get(row_id)
                    findings[row_id] = Finding(f"{earlier.detail}, {finding.detail}") if earlier else finding
        return findings


def _findings_of_signals(rows: Iterable[SignalRow], usual: UsualValues) -> Findings:
    """By signal, what phrases and values far above the usual say; REFUSAL's are no reasons by themselves."""
    findings: Findings = {name: {} for name in (*COMPARED, *PHRASES, REFUSAL)}
    for row_id, agent, signals in rows:
        has_machine = MACHINE in signals
        for name, value in signals.items():
            if name == REFUSAL or name in PHRASES:
                detail = REASONS[name].detail if name in REASONS else ""
                findings[name][row_id] = Finding(detail, int(value))
            elif not has_machine and (detail := usual.detail(agent, name, value)):
                findings[name][row_id] = Finding(detail)
    return findings


def _contradictions(values: Iterable[ShortValue], refused: Mapping[int, Finding]) -> dict[int, Finding]:
    findings: dict[int, Finding] = {}
    for row_id, path, kind, text, number in values:
        if row_id not in findings and says_promise(path, kind, text, number):
            findings[row_id] = Finding(contradiction_detail(path), refused[row_id].turn)
    return findings
