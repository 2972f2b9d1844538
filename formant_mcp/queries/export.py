"""All conversations that match, page by page, for a file: only one page is in memory at a time."""

from collections.abc import AsyncGenerator, Set
from dataclasses import dataclass, replace

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
_ATTEMPTS = 3
_Rows = list[tuple[int, Conversation]]


@dataclass(frozen=True, slots=True)
class ExportedCall:
    """A conversation with its results, signals and turns, where they are included.

    `values`: the results as texts, by dotted path; several of one path have `; ` between them.
    """

    conversation: Conversation
    values: dict[str, str]
    signals: dict[str, Measured]
    turns: list[Turn]


class Pages:
    """The calls that match, newest first, some at once. `unsettled`: how many of those that were read may lack details
    or be of different moments; `paths`: of the result fields that they had.
    """

    def __init__(self, loader: Loader, context: RequestContext, filters: Filters, include: Set[str]) -> None:
        self._loader = loader
        self._requested_at = context.requested_at
        self._filters = filters
        self._include = include
        self.unsettled = 0
        self.paths = set[str]()

    async def __aiter__(self) -> AsyncGenerator[list[ExportedCall]]:
        """Reads one page after the other.

        Raises:
            UnavailableError: the last call of a page was deleted.
        """
        limit, row = _PAGE_WITH_TURNS if "transcript" in self._include else _PAGE, 0
        while True:
            page, calls = await self._page(limit, row)
            self.paths.update(*(call.values for call in calls))
            if calls:
                yield calls
            if len(page) < limit:
                return
            row = page[-1][0]

    async def _page(self, limit: int, row: int) -> tuple[_Rows, list[ExportedCall]]:
        """The page after a row, and its calls. It takes several statements, and is read again where these calls changed
        between them; a change of other calls costs a list page at most."""
        read, left = self._loader.store.read, _ATTEMPTS
        while True:
            version, page = await read.version(), await self._rows(limit, row)
            if not (self._include and page):
                return page, await self._calls(page)
            ids, left = [call.conversation_id for _, call in page], left - 1
            before = await read.detail_states(ids, self._requested_at)
            calls = await self._calls(page)
            is_same = before == await read.detail_states(ids, self._requested_at) and (
                version == await read.version() or page == await self._rows(limit, row)
            )
            if is_same or not left:
                self.unsettled += sum(is_due for _, _, is_due in before.values()) if is_same else len(ids)
                return page, calls

    async def _rows(self, limit: int, row: int) -> _Rows:
        try:
            return await self._loader.store.read.page(self._filters, NEWEST, limit, row)
        except LookupError:
            raise UnavailableError("A call was deleted while the file was written.", "Export again.") from None

    async def _calls(self, page: _Rows) -> list[ExportedCall]:
        """The calls of a page with what is included."""
        store, turns = self._loader.store, dict[int, dict[int, Turn]]()
        ids = [call.conversation_id for _, call in page]
        if "results" in self._include:
            stored = await store.read.get(ids)
            page = [(row, stored.get(call.conversation_id, call)) for row, call in page]
        signals = await self._loader.signals_of(ids) if "signals" in self._include else {}
        if "transcript" in self._include:
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


@dataclass(frozen=True, slots=True)
class Export(Answer):
    """What there is to export: the coverage, values that exist where none matches, the paths of all result fields, and
    the pages. `note`: which columns lack values that are not loaded, if any.
    """

    existing: dict[str, Existing]
    paths: tuple[str, ...]
    pages: Pages
    note: str = ""

    def written(self, rows: int, *, is_table: bool) -> "Export":
        """The same when so many calls are written: some may have been saved, changed or deleted since they were
        counted. `is_table`: with a column for each of `paths`, and so without the values of others."""
        coverage, counted, unsettled = self.coverage.at_least(rows), self.coverage.matched, self.pages.unsettled
        if coverage.complete and rows < counted:
            why = f"Of {counted:,} matching calls {counted - rows:,} were changed or deleted meanwhile. Export again."
            coverage = coverage.incomplete(why)
        elif coverage.complete and unsettled:
            why = f"Calls changed meanwhile: {unsettled:,} may lack details, or have some of before. Export again."
            coverage = coverage.incomplete(why)
        elif coverage.complete and is_table and not self.pages.paths <= set(self.paths):
            why = "Calls have values of result fields that are not among the columns: format=jsonl has them."
            coverage = coverage.incomplete(why)
        return replace(self, coverage=coverage, existing={} if rows and not counted else self.existing)


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
    pages = Pages(loader, context, filters, include)
    return Export(coverage, existing, tuple(sorted(paths)), pages, note)


async def _note(loader: Loader, context: RequestContext, filters: Filters) -> str:
    """What calls may lack whose details are not loaded, because nothing that is included needs them."""
    request = DetailRequest(filters, detail_only_fields=loader.sync.detail_only_fields)
    count = await loader.store.read.count_details_to_fetch(request, context.requested_at)
    names = {"failure_reason", "trace_id", *loader.sync.detail_only_fields} - loader.sync.unsupported_filters
    missing = f"{', '.join(sorted(names))} may be empty; include=results loads them."
    return f"The details of {count:,} calls are not loaded: {missing}" if count else ""


def _texts(call: Conversation) -> dict[str, str]:
    texts: dict[str, str] = {}
    for value in flatten(call.results or {}):
        texts[value.path] = f"{texts[value.path]}; {value.text}" if value.path in texts else value.text
    return texts
