"""`find_calls_to_review`: what to listen to first, and why."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from formant_mcp.app import App
from formant_mcp.queries.arguments import FilterArguments, Name, Takes, Whole
from formant_mcp.queries.forms import as_list, as_name, as_share
from formant_mcp.queries.loader import RequestContext
from formant_mcp.queries.review import PickedBy, ReviewedCall, ReviewQuery, ReviewResult, parse_reasons
from formant_mcp.server.tools.schemas import (
    OPTIONAL_FIELDS,
    ConversationFields,
    CoverageAnswer,
    coverage_answer,
    shown_fields,
)
from formant_mcp.server.tools.text import (
    columns_outside,
    coverage_lines,
    fenced,
    format_seconds,
    format_table,
    format_time,
    with_notes,
)
from formant_mcp.server.tools.tool import Reply, Tool, fit
from formant_mcp.sizes import counted

_REASON_CHARACTERS = 120

Share = Annotated[float, BeforeValidator(as_share), Takes("a number from 0 to 1", "0.2")]
Reasons = Annotated[
    list[Name],
    BeforeValidator(as_list(as_name, keys=("name", "reason"))),
    Takes("a list of reasons", "opt_out, low_rating"),
]


class ReviewArguments(FilterArguments):
    """The filters, and how many calls to choose of what matches."""

    limit: Whole = Field(10, ge=1, le=50, description="Calls, 1 to 50.")
    random_share: Share = Field(
        0.2, ge=0, le=1, allow_inf_nan=False, description="Share of them drawn at random from the rest."
    )
    reasons: Reasons = Field([], description="Only these reasons count; empty: all. The answer names them.")


class ReasonAnswer(BaseModel):
    """Why to listen to a call, and at which turn."""

    name: str
    detail: str
    turn: int | None = None


class ReviewedAnswer(ConversationFields):
    """A call to listen to."""

    score: int
    reasons: list[ReasonAnswer]
    picked_by: PickedBy


class ReviewAnswer(BaseModel):
    """Calls to listen to, worst first; of all that match, how many have each reason, any, and a transcript."""

    coverage: CoverageAnswer
    with_transcript: int
    with_reasons: int
    reasons_total: dict[str, int]
    conversations: list[ReviewedAnswer]


async def _run(app: App, arguments: ReviewArguments, context: RequestContext) -> Reply:
    query = ReviewQuery(
        filters=arguments.filters(context.requested_at, app.zone),
        as_sent=arguments.model_dump_json(exclude={"limit", "random_share", "reasons"}),
        limit=arguments.limit,
        random_share=arguments.random_share,
        reasons=parse_reasons(arguments.reasons),
    )
    result = await app.account.find_calls_to_review(context, query, app.zone)
    return fit(lambda count: _reply(app, result.first(count)), len(result.calls))


def _reply(app: App, result: ReviewResult) -> Reply:
    coverage = with_notes(result.coverage, result.existing)
    structured = ReviewAnswer(
        coverage=coverage_answer(coverage, app.zone),
        with_transcript=result.with_transcript,
        with_reasons=result.with_reasons,
        reasons_total=result.reasons_total,
        conversations=[_answer(app, call) for call in result.calls],
    )
    of_all = (
        f"Of all that match: {counted(result.with_transcript, 'call')} with a transcript,"
        f" {result.with_reasons:,} with a reason."
    )
    totals = ", ".join(f"{name} {count:,}" for name, count in result.reasons_total.items())
    by_reason = f"Calls by reason: {totals}." if totals else ""
    lines = [*coverage_lines(coverage, app.zone, of_all, by_reason), *_lines(app, structured.conversations)]
    return Reply("\n".join(lines), structured)


def _answer(app: App, call: ReviewedCall) -> ReviewedAnswer:
    return ReviewedAnswer(
        **shown_fields(call.conversation, app.zone, _REASON_CHARACTERS),
        score=call.score,
        reasons=[ReasonAnswer(name=name, detail=why.detail, turn=why.turn) for name, why in call.reasons.items()],
        picked_by=call.picked_by,
    )


def _lines(app: App, rows: list[ReviewedAnswer]) -> list[str]:
    """A line for each call, within the boundary if anything in them may not be outside."""
    table = {
        "conversation_id": [row.conversation_id for row in rows],
        "started": [format_time(row.started_at, app.zone) for row in rows],
        "agent": [row.agent_id or "" for row in rows],
        "agent_name": [row.agent_name or "" for row in rows],
        "contact": [row.contact_number or "" for row in rows],
        **{name: [getattr(row, name) or "" for row in rows] for name in OPTIONAL_FIELDS},
        "status": [row.status or "" for row in rows],
        "seconds": [format_seconds(row.duration_seconds) for row in rows],
        "failure_reason": [row.failure_reason or "" for row in rows],
        "picked by": [row.picked_by for row in rows],
        "score": [str(row.score) for row in rows],
        "reasons": ["; ".join(map(reason_text, row.reasons)) for row in rows],
    }
    if not rows:
        return []
    outside = columns_outside(table, own=("started", "seconds", "picked by", "score", "reasons"))
    lines = format_table(list(table), list(zip(*(outside or table).values(), strict=True)))
    return fenced("Values", lines, app.new_boundary()) if outside is None else lines


def reason_text(reason: ReasonAnswer) -> str:
    """`opt_out at turn 3 (wants no more calls)`"""
    at = "" if reason.turn is None else f" at turn {reason.turn}"
    return f"{reason.name}{at} ({reason.detail})"


FIND_CALLS_TO_REVIEW = Tool(
    name="find_calls_to_review",
    title="Find calls to review",
    description=(
        "Which calls to listen to first: those with the highest score, a sum of named reasons (low ratings, failures,"
        " opt-outs, insults, results that contradict the words, signals far from the agent's usual), and a random"
        " share of the rest, the same all day. Also how many calls have each reason."
    ),
    arguments=ReviewArguments,
    answer=ReviewAnswer,
    run=_run,
)
