"""All conversations that match, page by page, for a file: only one page is in memory at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Set
from dataclasses import dataclass, replace
from functools import partial

from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.errors import UnavailableError
from formant_mcp.filters import NEWEST, DetailRequest, Filters
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.conversations import Existing, available_values
from formant_mcp.queries.coverage import RESULTS, SPEAKERS, WORDS, Answer
from formant_mcp.queries.loader import DataRequest, Loader, RequestContext
from formant_mcp.store.result_values import flatten
from formant_mcp.sync.list_sync import ListRequest

_PAGE = 500
_PAGE_WITH_TURNS = 100


@dataclass(frozen=True, slots=True)
class ExportedCall:
    """A conversation with its results, signals and turns, where they are included.

    `values`: the results as texts, by dotted path; several of one path have `; ` between them.
    """

    conversation: Conversation
    values: dict[str, str]
    signals: dict[str, Measured]
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Export(Answer):
    """What there is to export: the coverage, values that exist where none matches, the paths of all result fields, and
    the pages, newest calls first. `note`: which columns lack values that are not loaded, if any. `count_due`: how many
    calls have details that are included and must be loaded first, now.
    """

    existing: dict[str, Existing]
    paths: tuple[str, ...]
    pages: AsyncIterator[list[ExportedCall]]
    count_due: Callable[[], Awaitable[int]]
    note: str = ""

    async def written(self, rows: int) -> "Export":
        """The same when so many calls are written: some may have been saved, or deleted, after they were counted."""
        existing = {} if rows and not self.coverage.matched else self.existing
        coverage, counted, why = self.coverage.at_least(rows), self.coverage.matched, ""
        if rows < counted:
            why = f"Of {counted:,} calls {counted - rows:,} were deleted meanwhile. Export again."
        elif rows > counted and (due := await self.count_due()):
            why = f"Calls were saved meanwhile, and {due:,} lack their details. Export again."
        coverage = coverage.incomplete(why) if why and coverage.complete else coverage
        return replace(self, coverage=coverage, existing=existing)


async def export(loader: Loader, context: RequestContext, filters: Filters, include: Set[str]) -> Export:
    """Loads all calls that match, with results and transcripts where they are included.

    Raises:
        FormantError: nothing can be answered at all.
    """
    used = {"results": RESULTS, "signals": WORDS | SPEAKERS, "transcript": WORDS}
    uses = frozenset[str]().union(*(used[name] for name in include))
    request = DataRequest(filters, ListRequest(filters), bool(include), uses, with_signals="signals" in include)
    coverage = await loader.ensure_loaded(context, request)
    paths = await loader.store.aggregates.paths(filters) if "results" in include else {}
    existing = await available_values(loader.store, filters, coverage.matched)
    note = "" if include else await _note(loader, context, filters)
    pages, count_due = _pages(loader, filters, include), partial(loader.count_due, context, request)
    return Export(coverage, existing, tuple(sorted(paths)), pages, count_due, note)


async def _note(loader: Loader, context: RequestContext, filters: Filters) -> str:
    """What calls may lack whose details are not loaded, because nothing that is included needs them."""
    request = DetailRequest(filters, detail_only_fields=loader.sync.detail_only_fields)
    count = await loader.store.read.count_details_to_fetch(request, context.requested_at)
    names = {"failure_reason", "trace_id", *loader.sync.detail_only_fields} - loader.sync.unsupported_filters
    missing = f"{', '.join(sorted(names))} may be empty; include=results loads them."
    return f"The details of {count:,} calls are not loaded: {missing}" if count else ""


async def _pages(loader: Loader, filters: Filters, include: Set[str]) -> AsyncIterator[list[ExportedCall]]:
    limit, row = _PAGE_WITH_TURNS if "transcript" in include else _PAGE, 0
    while True:
        try:
            page = await loader.store.read.page(filters, NEWEST, limit, row)
        except LookupError:
            raise UnavailableError("A call was deleted while the file was written.", "Export again.") from None
        if page:
            yield await _calls(loader, page, include)
        if len(page) < limit:
            return
        row = page[-1][0]


async def _calls(loader: Loader, page: list[tuple[int, Conversation]], include: Set[str]) -> list[ExportedCall]:
    """The calls of a page with what is included, without those deleted since."""
    store, turns = loader.store, dict[int, dict[int, Turn]]()
    ids = [call.conversation_id for _, call in page]
    if "results" in include:
        stored = await store.read.get(ids)
        page = [(row, stored[call.conversation_id]) for row, call in page if call.conversation_id in stored]
    signals = await loader.signals_of(ids) if "signals" in include else {}
    if "transcript" in include:
        turns = await store.read.transcripts([row for row, _ in page])
    return [
        ExportedCall(
            call,
            _texts(call),
            signals.get(call.conversation_id, {}),
            [turn for _, turn in sorted(turns.get(row, {}).items())],
        )
        for row, call in page
    ]


def _texts(call: Conversation) -> dict[str, str]:
    texts: dict[str, str] = {}
    for value in flatten(call.results or {}):
        texts[value.path] = f"{texts[value.path]}; {value.text}" if value.path in texts else value.text
    return texts
