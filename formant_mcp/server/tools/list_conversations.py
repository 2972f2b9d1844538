"""`list_conversations`: the matching calls, in a table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, JsonValue

from formant_mcp.app import App
from formant_mcp.filters import NOT_READ_YET, SIGNALS
from formant_mcp.queries.arguments import CursorText, Fields, FilterArguments, Name, Takes, Whole
from formant_mcp.queries.conversations import ConversationPage, ListQuery, Row, SummaryMode
from formant_mcp.queries.dates import is_read_without_offset, is_read_without_year
from formant_mcp.queries.forms import as_choice
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.ordering import is_extracted, parse_fields, parse_order
from formant_mcp.queries.summary import RESULTS
from formant_mcp.server.tools.schemas import (
    OPTIONAL_FIELDS,
    ConversationAnswer,
    ConversationFields,
    ListAnswer,
    coverage_answer,
    shown_fields,
)
from formant_mcp.server.tools.text import (
    EMPTY,
    columns_outside,
    coverage_lines,
    fenced,
    format_offset,
    format_seconds,
    format_table,
    results_line,
    truncate,
    truncate_results,
    value_text,
    with_notes,
)
from formant_mcp.server.tools.tool import Reply, Tool, fit
from formant_mcp.sizes import counted

_RESULTS_CHARACTERS = 800  # per row; get_transcripts has the whole results
_REASON_CHARACTERS = 120
_SHARED_BY = 3  # rows from which on what they share is said once
_VALUE_CHARACTERS = 200
_HEADERS = {"agent_id": "agent", "contact_number": "contact", "duration_seconds": "seconds"}
_TRUNCATED = "Long results are shortened (…); get_transcripts has them whole."


OrderName = Annotated[
    Name, Takes("newest, oldest, longest, shortest or a field, - before it for largest first", "-signals.agent_repeats")
]


class ListArguments(FilterArguments):
    """The filters, and how to list what matches."""

    order_by: OrderName = Field(
        "newest",
        description="newest, oldest, longest, shortest or a field, - for largest first: -signals.agent_repeats.",
    )
    fields: Fields = Field(
        [], description="Columns instead of the usual: fields of a call, results.<path>, signals.<name>."
    )
    summary_mode: Annotated[SummaryMode, BeforeValidator(as_choice({"true": "include", "false": "exclude"}))] = Field(
        "exclude", description="include: results and first and last words of each call."
    )
    limit: Whole = Field(20, ge=1, le=100, description="Rows per page, 1 to 100.")
    cursor: CursorText = Field(
        "", description="next_cursor from the previous answer; keep the other arguments unchanged."
    )


async def _run(app: App, arguments: ListArguments, context: RequestContext) -> Reply:
    order, fields = parse_order(arguments.order_by), parse_fields(arguments.fields, ConversationFields.model_fields)
    if fields and is_extracted(order.field):
        fields = tuple(dict.fromkeys((*fields, order.field)))
    question = ListQuery(
        filters=arguments.filters(context.requested_at, app.zone),
        as_sent=arguments.model_dump_json(exclude={"limit", "cursor", "summary_mode", "order_by", "fields"}),
        order=order,
        fields=fields,
        summary_mode=arguments.summary_mode,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    page = await app.account.list_conversations(context, question)
    return fit(lambda count: _reply(app, page.first(count), question), len(page.rows))


def _reply(app: App, page: ConversationPage, question: ListQuery) -> Reply:
    values = [{name: _shortened(value) for name, value in row.values.items()} for row in page.rows]
    answers = [_answer(app, row, question, shown) for row, shown in zip(page.rows, values, strict=True)]
    rows = [answer for answer, _ in answers]
    is_cut = any(is_cut for _, is_cut in answers) or values != [row.values for row in page.rows]
    without_reason = _without_reason(page) if not question.fields or "failure_reason" in question.fields else set[str]()
    unread = ""
    if without_reason:
        reasons = counted(len(without_reason), "failure reason")
        unread = f"{reasons} not loaded yet; summary_mode=include loads them."
    if not any(row.failure_reason for row in rows):
        without_reason = set[str]()  # no column for the mark alone
    coverage = with_notes(page.coverage, page.existing, _TRUNCATED if is_cut else "", unread)
    structured = ListAnswer(
        coverage=coverage_answer(coverage, app.zone), next_cursor=page.next_cursor or None, conversations=rows
    )
    shown = f"{page.shown:,} of {coverage.matched:,} shown"
    more = f'{shown}; for more: cursor="{page.next_cursor}"' if page.next_cursor else ""
    columns = _columns(app.zone, coverage.requested_at, rows, without_reason)
    columns |= {name: [value_text(shown.get(name, "")) for shown in values] for name in question.extracted}
    what = _what_is_said(question)
    outside = None if what else columns_outside(columns, own=(next(iter(columns)), "seconds", *question.extracted))
    lines = _table_lines(outside or columns, rows, question)
    if rows and outside is None:
        lines = fenced(what or "Values", lines, app.new_boundary())
    return Reply("\n".join([*coverage_lines(coverage, app.zone, more), *lines]), structured)


def _what_is_said(question: ListQuery) -> str:
    """What of the table is always within the boundary; '' if nothing is."""
    if question.summary_mode == "include":
        return "Results and words"
    return "Results" if any(name.startswith(RESULTS) for name in question.extracted) else ""


def _answer(app: App, row: Row, question: ListQuery, values: dict[str, JsonValue]) -> tuple[ConversationAnswer, bool]:
    """A row as it is shown with these values, and whether its results as a whole were truncated."""
    fields = shown_fields(row.conversation, app.zone, _REASON_CHARACTERS)
    if question.fields:
        fields = {name: value for name, value in fields.items() if name in ("conversation_id", *question.fields)}
    results, is_cut = truncate_results(row.conversation.results, _RESULTS_CHARACTERS)
    if question.summary_mode == "exclude":
        results = _without_prefix(values, RESULTS)
    signals = _without_prefix(values, SIGNALS)
    return ConversationAnswer(**fields, results=results or None, signals=signals or None, gist=row.gist or None), is_cut


def _without_prefix(values: dict[str, JsonValue], prefix: str) -> dict[str, JsonValue]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _shortened(value: JsonValue) -> JsonValue:
    """A value of a column; a long one as a truncated text."""
    text = value_text(value)
    return value if len(text) <= _VALUE_CHARACTERS else truncate(text, _VALUE_CHARACTERS)


def _without_reason(page: ConversationPage) -> set[str]:
    """Failed calls whose reason is not loaded."""
    calls = [row.conversation for row in page.rows]
    return {call.conversation_id for call in calls if call.outcome == "failure" and not call.failure_reason_known}


def _table_lines(columns: dict[str, list[str]], rows: list[ConversationAnswer], question: ListQuery) -> list[str]:
    """One line per conversation, after what all of them share."""
    if not rows:
        return []
    starts, ids = next(iter(columns)), columns["conversation_id"]
    columns = {name: cells for name, cells in columns.items() if name != "conversation_id"}
    always = question.extracted
    agents: dict[str, str] = {}
    if question.fields:
        headers = _HEADERS | {"started_at": starts}
        always = tuple(headers.get(name, name) for name in question.fields if name != "conversation_id")
        columns = {name: columns[name] for name in always}
    elif agents := _agents(columns):
        del columns["agent"]
    own = columns.keys() - {starts, *question.extracted}
    shared = {name: cells[0] for name, cells in columns.items() if name in own and _is_shared(cells)}
    has_words = question.summary_mode == "include"
    table = {
        "conversation_id": ids,
        **{name: cells for name, cells in columns.items() if name not in shared},
        **({"results": [results_line(row.results or {}) for row in rows]} if has_words else {}),
        "words": [row.gist or "" for row in rows],
    }
    lines = [f"agents: {' · '.join(f'{name} = {agent_id}' for name, agent_id in agents.items())}"] if agents else []
    lines += [f"every row: {' · '.join(f'{name} {value}' for name, value in shared.items())}"] if shared else []
    return [*lines, *format_table(list(table), list(zip(*table.values(), strict=True)), always)]


def _agents(labels: dict[str, list[str]]) -> dict[str, str]:
    """The ids of several agents by their names, if each call has a name and each name is that of one agent.

    A name or id that has a separator of that line stays in the table.
    """
    pairs = list(dict.fromkeys(zip(labels["agent_name"], labels["agent"], strict=True)))
    ids = dict(pairs)
    is_shorter = 1 < len(pairs) <= len(labels["agent"]) // _SHARED_BY
    is_plain = not any(mark in text for pair in pairs for text in pair for mark in "·=")
    return ids if is_shorter and is_plain and len(ids) == len(pairs) and "" not in ids else {}


def _is_shared(cells: list[str]) -> bool:
    """Whether all rows have one value, without the separator: it could be read as further labels."""
    is_same = len(cells) >= _SHARED_BY and len(set(cells)) == 1
    return is_same and cells[0] not in ("", EMPTY) and "·" not in cells[0]


def _starts(zone: ZoneInfo, now: datetime | None, starts: Sequence[datetime | None]) -> tuple[str, list[str]]:
    """The column of starts. Its header has the offset and the year that they share, if they are understood without."""
    offsets = {format_offset(start) for start in starts if start}
    years = {f"{start:%Y}" for start in starts if start}
    is_one_offset = len(offsets) == 1 and all(is_read_without_offset(start) for start in starts if start)
    is_one_year = len(years) == 1 and all(now and is_read_without_year(start, now, zone) for start in starts if start)
    form = "%m-%d %H:%M" if is_one_year else "%Y-%m-%d %H:%M"
    cells = [
        f"{start:{form}}{'' if is_one_offset else f' {format_offset(start)}'}" if start else "" for start in starts
    ]
    shared = [*(years if is_one_year else ()), *(offsets if is_one_offset else ())]
    return f"started ({', '.join(shared)})" if shared else "started", cells


def _columns(
    zone: ZoneInfo, now: datetime | None, rows: list[ConversationAnswer], without_reason: set[str]
) -> dict[str, list[str]]:
    """The columns of the calls' own fields, by header; the first is that of starts."""
    header, starts = _starts(zone, now, [row.started_at for row in rows])
    return {
        header: starts,
        "conversation_id": [row.conversation_id for row in rows],
        "agent": [row.agent_id or "" for row in rows],
        "agent_name": [row.agent_name or "" for row in rows],
        "contact": [row.contact_number or "" for row in rows],
        **{name: [getattr(row, name) or "" for row in rows] for name in OPTIONAL_FIELDS},
        "status": [row.status or "" for row in rows],
        "seconds": [format_seconds(row.duration_seconds) for row in rows],
        "failure_reason": [
            row.failure_reason or (NOT_READ_YET if row.conversation_id in without_reason else "") for row in rows
        ],
    }


LIST_CONVERSATIONS = Tool(
    name="list_conversations",
    title="List conversations",
    description=(
        "Lists voice calls that match all filters, over the whole account: id, start, agent, contact, status,"
        " duration. The first line says how many match and whether that is complete. Read one with get_transcripts."
    ),
    arguments=ListArguments,
    answer=ListAnswer,
    run=_run,
    explains_filters=True,
)
