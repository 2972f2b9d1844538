"""Twenty questions through the tools, and what must be true of every answer to them."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mcp_types import TextContent

from tests.hardening.fault_world import Call, World, intent_of, most, result_condition, result_path, some_ids
from tests.server_harness import KEY, NOW, Answer, Assistant
from tests.text_matches_structure import assert_same_facts

UNREAD = "(not read yet)"
MANY = 100
_INTERNAL = "Internal error"


class Wrong(AssertionError):
    """An answer that is neither exact nor says that it is incomplete."""


def require(is_so: bool, what: str, *facts: object) -> None:
    if not is_so:
        raise Wrong(f"{what}: {' | '.join(map(str, facts))}")


Check = Callable[[World, Answer, bool], None]
"""Raises Wrong; the last argument: whether the answer says that it is complete."""


@dataclass(frozen=True)
class Question:
    tool: str
    arguments: dict[str, object]
    check: Check


@dataclass
class Tally:
    """How the questions were answered."""

    exact: int = 0
    incomplete: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])


async def ask(assistant: Assistant, world: World, question: Question, tally: Tally) -> bool:
    """Asks and checks; True: the answer is complete, and exactly what the provider has."""
    version = world.version
    result = await assistant.client.call_tool(question.tool, dict(question.arguments))
    content = result.content[0]
    assert isinstance(content, TextContent)
    what = f"{question.tool} {question.arguments}"
    require(KEY not in content.text and "Traceback" not in content.text, what, content.text)
    if result.is_error:
        require(_INTERNAL not in content.text and "Error executing" not in content.text, what, content.text)
        tally.errors[content.text] += 1
        return False
    assert result.structured_content is not None
    answer = Answer(content.text, result.structured_content)
    assert_same_facts(answer.text, answer.structure)
    complete = answer.coverage["complete"] is True
    ever = len({call.id for call in world.ever})
    for name in ("matched", "known", "total"):
        require(int(str(answer.coverage.get(name, 0))) <= ever, f"{what}: {name}", answer.coverage, ever)
    if not complete:
        require(bool(answer.coverage.get("note")), f"{what}: incomplete without a reason", answer.coverage)
        tally.incomplete += 1
    else:
        tally.exact += 1
    is_exact = complete and version == world.version  # else it is of some moment while it was computed
    try:
        question.check(world, answer, is_exact)
    except Wrong as error:
        error.add_note(f"{what}: {answer.coverage}")
        if not (is_exact and world.gone and world.may_keep_gone):
            raise
        question.check(world.with_gone(), answer, is_exact)
    return complete


def _listing(is_match: Callable[[Call], bool], limit: int, *, is_oldest: bool = False) -> Check:
    def check(world: World, answer: Answer, complete: bool) -> None:
        ids, matching = answer.ids(), world.matching(is_match)
        matching = matching[::-1] if is_oldest else matching
        require(len(ids) == len(set(ids)), "a call twice", ids)
        rows = {(str(row["conversation_id"]), str(row["agent_id"]), str(row["status"])) for row in answer.rows()}
        were = {(call.id, str(call.agent), call.status) for call in world.ever}
        require(rows <= were, "no such call", rows - were)
        if complete:
            now = [(call.id, call.status) for call in matching]
            shown = [(str(row["conversation_id"]), str(row["status"])) for row in answer.rows()]
            require(answer.coverage["matched"] == len(now), "matched", answer.coverage, len(now))
            require(shown == now[:limit], "other calls", shown, now[:limit])

    return check


def _groups(label: Callable[[World, Call], str], key: str) -> Check:
    def check(world: World, answer: Answer, complete: bool) -> None:
        counts = Counter[str]()
        for group in answer.rows("groups"):
            names, count = group["key"], group["count"]
            assert isinstance(names, dict)
            assert isinstance(count, int)
            counts[str(names[key])] += count
        if complete:
            expected = Counter(label(world, call) for call in world.calls.values())
            require(counts == expected, "figures", counts, expected)
        were = most(world, lambda call: label(world, call))
        wrong = {name: count for name, count in counts.items() if name != UNREAD and count > were[name]}
        require(not wrong, "more than there are", wrong, were)
        ever = len({call.id for call in world.ever})
        require(counts.total() <= ever, "more calls than there are", counts, ever)

    return check


def _hits(word: str) -> Check:
    def check(world: World, answer: Answer, complete: bool) -> None:
        said = {call.id: sum(word in line for line in call.lines) for call in world.calls.values()}
        expected = sum(said.values()), sum(count > 0 for count in said.values())
        figures = answer.structure["hits_total"], answer.structure["conversations_total"]
        if complete:
            require(figures == expected, "hits", figures, expected)
        were = {call.id: sum(word in line for line in call.lines) for call in world.ever if call.lines}
        require(int(str(figures[0])) <= sum(were.values()), "more hits than there are", figures, were)
        hits = [(str(hit["conversation_id"]), hit["turn"]) for hit in answer.rows("hits")]
        require(len(hits) == len(set(hits)), "a hit twice", hits)
        texts = {call.id: call.lines for call in world.ever if call.lines}
        for hit in answer.rows("hits"):
            line = texts[str(hit["conversation_id"])][int(str(hit["turn"]))]
            require(str(hit["text"]).replace("**", "") == line, "other words", hit, line)

    return check


def _transcripts(ids: list[str]) -> Check:
    def check(world: World, answer: Answer, complete: bool) -> None:
        errors = [str(row["conversation_id"]) for row in answer.rows("errors")]
        require(sorted([*answer.ids(), *errors]) == sorted(ids), "each once", answer.ids(), errors)
        states = {(call.id, call.status): call for call in world.ever}
        for row in answer.rows():
            call = states.get((str(row["conversation_id"]), str(row["status"])))
            require(call is not None, "no such call", row)
            assert call is not None
            said = str(row["transcript"]).splitlines()
            if call.lines or said:
                require(row["turn_count"] == len(call.lines), "turns", row, call.lines)
                for line, sent in zip(call.lines, said, strict=True):
                    require(sent.endswith(line), "words", sent, line)

    return check


def _rows(world: World, answer: Answer, complete: bool) -> None:
    rows, ever = int(str(answer.structure["rows"])), len({call.id for call in world.ever})
    require(rows == len(world.calls) if complete else rows <= ever, "rows", rows, len(world.calls))


def _matched(world: World, answer: Answer, complete: bool) -> None:
    ever = len({call.id for call in world.ever})
    matched = int(str(answer.coverage["matched"]))
    require(matched == len(world.calls) if complete else matched <= ever, "matched", matched, len(world.calls))


def _question(tool: str, check: Check, **arguments: object) -> Question:
    return Question(tool, arguments, check)


def questions(world: World, chance: random.Random) -> list[Question]:
    """Twenty, in some order; they are about the account as it is now."""
    provider = world.scenario.provider
    condition, path = result_condition(provider, "dispute"), result_path(provider)
    completed = str(provider.call(0, NOW, status="completed")["status"])
    wanted = condition.partition("=")[2]
    ids = some_ids(world, chance, 3)
    begin, end = NOW - timedelta(days=4), NOW - timedelta(days=3)
    lists = "list_conversations"
    asked = [
        _question(lists, _listing(lambda call: True, MANY), limit=MANY),
        _question(lists, _listing(lambda call: True, 5), limit=5),
        _question(lists, _listing(lambda call: True, 5, is_oldest=True), limit=5, order_by="oldest"),
        _question(lists, _listing(lambda call: call.agent == 102, MANY), limit=MANY, agent_id="102"),
        _question(lists, _listing(lambda call: call.status == completed, MANY), limit=MANY, status=[completed]),
        _question(lists, _listing(lambda call: call.outcome == "failure", MANY), limit=MANY, call_successful="failure"),
        _question(lists, _listing(lambda call: call.started_at >= begin, MANY), limit=MANY, since=begin.isoformat()),
        _question(
            lists,
            _listing(lambda call: begin <= call.started_at <= end, MANY),
            limit=MANY,
            since=begin.isoformat(),
            until=end.isoformat(),
        ),
        _question(
            lists,
            _listing(lambda call: intent_of(call, provider) == wanted, MANY),
            limit=MANY,
            results=[condition],
        ),
        _question(lists, _listing(lambda call: True, 3), limit=3, summary_mode="include"),
        _question("summarize_results", _groups(lambda _, call: call.status, "status"), group_by=["status"]),
        _question("summarize_results", _groups(lambda _, call: str(call.agent), "agent_id"), group_by=["agent_id"]),
        _question("summarize_results", _groups(lambda _, call: call.day, "day"), group_by=["day"], top=100),
        _question(
            "summarize_results",
            _groups(lambda world, call: intent_of(call, world.scenario.provider), f"results.{path}"),
            group_by=[f"results.{path}"],
        ),
        _question("summarize_results", _matched),
        _question("search_transcripts", _hits("payment"), query="payment", spelling="exact", limit=MANY),
        _question("search_transcripts", _hits("tomorrow"), query="tomorrow", spelling="exact", limit=MANY),
        _question("get_transcripts", _transcripts(ids), conversation_ids=ids or ["e36853de-none"]),
        _question("find_calls_to_review", _matched, limit=2),
        _question("export_conversations", _rows, format="jsonl", include=["results"]),
    ]
    if not ids:  # an empty account has no ids to read
        asked[-3] = _question("search_transcripts", _hits("Monday"), query="Monday", spelling="exact")
    chance.shuffle(asked)
    return asked
