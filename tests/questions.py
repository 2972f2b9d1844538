"""An account of calls that are often alike, and questions about it: a request of each kind that clients send."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from mcp import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from formant_mcp.members import Member
from tests.audio import wav
from tests.calls import STATUSES, Row, conversation, detail
from tests.fake_formant import FakeFormant
from tests.server_harness import NOW, Account, Assistant

AGENTS = (100, 101, 102)
COUNT = 24
RECORDING = wav((0, 1.0), (900, 2.0))
CURSOR = re.compile(r"c:\d+:[0-9a-f]{16}:[0-9a-f]{6}")
TEMPLATE = ResourceTemplateReference(uri="formant://conversations/{conversation_id}/transcript")
PROMPT = PromptReference(name="weekly_review")
# What only one agent's calls say; the last ones are spelled almost alike.
WORDS = {100: "insurance refundable", 101: "warranty refunding", 102: "delivery refunded", None: "nobody's refunds"}

AMOUNTS: tuple[Row, ...] = ({"amount": 500}, {"amount": "later"}, {"amount": 500}, {}, {"amount": 900})


class Api(FakeFormant):
    """Each agent has words, a status and a result field of its own; amounts are often equal."""

    def detail_of(self, row: Row) -> Row:
        agent, whole = row["agent_id"], detail(row)
        said, results = whole["transcript"], whole["results"]
        if isinstance(said, list) and isinstance(results, dict):
            whole["transcript"] = [
                *said,
                {"role": "human", "message": WORDS[agent if isinstance(agent, int) else None]},
            ]
            amount = AMOUNTS[int(str(row["conversation_id"])[-6:]) % len(AMOUNTS)]
            whole["results"] = results | {f"only_{agent}": "yes", "topic": f"topic_{agent}"} | amount
        return whole


def call_id(n: int) -> str:
    """Ids of which several begin alike."""
    return f"{'abcdef' if n % 3 else 'abcxyz'}{n % 4}{n:06}"


def call(n: int) -> Row:
    """Several are equally long."""
    agent = (*AGENTS, None)[n * 7 % 5 % 4]
    status = f"odd_{agent}" if n % 8 == 3 else STATUSES[n % len(STATUSES)]
    started_at, seconds = NOW - timedelta(days=2, minutes=137 * n), None if n == 5 else 20 + 7 * (n // 3)
    return conversation(n, started_at, agent, status, conversation_id=call_id(n), duration_seconds=seconds)


CALLS = [call(n) for n in range(COUNT)]


@dataclass(frozen=True)
class Question:
    """A request of a client: a tool with arguments, a resource's address, or what is typed of an argument."""

    kind: str
    name: str
    arguments: Mapping[str, object]


def account_of(folder: Path, calls: Sequence[Row], member: Member | None = None) -> Account:
    api = Api()
    api.hold(calls)
    api.recordings = {str(row["conversation_id"]): RECORDING for row in calls}
    return Account(api, "auto", folder, member=member)


IDS = st.one_of(
    st.integers(0, COUNT - 1).map(call_id),
    st.integers(0, COUNT - 1).flatmap(lambda n: st.integers(1, 12).map(lambda length: call_id(n)[:length])),
    st.sampled_from(["abcdef9999", "nobody", "a", "..", "abcdef0", "abcdef", "formant://conversations/abcdef1000001"]),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": st.sampled_from(["100", "101", "102", "999", "(none)", "10…", "agent 101"]),
        "status": st.sampled_from(["completed", "odd_100", "odd_101", "odd_None", "never", "busy,odd_102"]),
        "since": st.sampled_from(["3d", "2026-11-18", "today"]),
        "contact_number": st.sampled_from(["0105", "0110", "(none)"]),
        "failure_reason": st.sampled_from(["busy", "odd_101", "nothing"]),
        "results": st.sampled_from(["intent=dispute", "topic=topic_100", "only_101 exists", "csat>=3", "topic>=z"]),
    },
)
SUMMARIES = st.fixed_dictionaries(
    {},
    optional={
        "group_by": st.lists(
            st.sampled_from(["status", "agent_id", "day", "hour", "results.topic", "results.only_101"]), max_size=2
        ),
        "measures": st.sampled_from([["duration_seconds"], ["results.csat"], ["results.only_100"]]),
        "top": st.integers(1, 5),
    },
)
ORDERS = ["newest", "oldest", "longest", "shortest", "results.amount", "-results.amount", "-signals.agent_turns"]
AGENT_NAMES = ["100", "Agent 100", "agent 101, Agent 102", "999", "Nobody's", "x" * 70]
RATING = "low_rating"
TERMS = [
    *["payment", "insurance", "warranty", "refund", "refundible", "warrant", "insuranc", "delivry", "nobody"],
    "insurance OR warranty",
]


def tool(name: str, *arguments: st.SearchStrategy[Mapping[str, object]]) -> st.SearchStrategy[Question]:
    def merged(parts: tuple[Mapping[str, object], ...]) -> Question:
        return Question("tool", name, {key: value for part in parts for key, value in part.items()})

    return st.tuples(*arguments).map(merged)


def these(**arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Mapping[str, object]]:
    return st.fixed_dictionaries(arguments)


QUESTIONS = st.one_of(
    tool(
        "list_conversations",
        FILTERS,
        these(
            order_by=st.sampled_from(ORDERS),
            limit=st.integers(1, 9),
            summary_mode=st.sampled_from(["exclude", "include"]),
        ),
    ),
    tool("search_transcripts", FILTERS, these(query=st.sampled_from(TERMS), limit=st.integers(1, 5))),
    tool("summarize_results", FILTERS, SUMMARIES),
    tool(
        "find_phrases",
        FILTERS,
        these(
            role=st.sampled_from(["contact", "agent", "any"]),
            distinctive=st.booleans(),
            limit=st.integers(1, 5),
        ),
    ),
    tool("find_changes", FILTERS, st.sampled_from([{"since": "36h"}, {"since": "1d", "compare_since": "3d"}, {}])),
    tool(
        "find_calls_to_review",
        FILTERS,
        these(
            limit=st.integers(1, 9), random_share=st.sampled_from([0, 0.5, 1]), reasons=st.sampled_from(["", RATING])
        ),
    ),
    tool("get_transcripts", these(conversation_ids=st.lists(IDS, min_size=1, max_size=4))),
    tool("save_recording", these(conversation_id=IDS)),
    tool(
        "export_conversations",
        FILTERS,
        these(
            format=st.sampled_from(["csv", "jsonl"]),
            include=st.sampled_from(["", "results", "results,signals,transcript"]),
        ),
    ),
    st.tuples(IDS, st.sampled_from(["", "/transcript", "/recording"])).map(
        lambda parts: Question("resource", f"formant://conversations/{parts[0]}{parts[1]}", {})
    ),
    st.just(Question("resources", "", {})),
    st.tuples(
        st.sampled_from(["conversation_id", "agent_id"]), st.sampled_from(["", "1", "101", "abc", "abcdef1"])
    ).map(lambda parts: Question("completion", parts[0], {"typed": parts[1]})),
    st.one_of(
        st.tuples(st.just("review_call"), st.just("conversation_id"), IDS),
        st.tuples(st.just("weekly_review"), st.just("agent_id"), st.sampled_from(AGENT_NAMES)),
        st.tuples(st.just("compare_agents"), st.just("agent_ids"), st.sampled_from([*AGENT_NAMES, "100,102"])),
    ).map(lambda parts: Question("prompt", parts[0], {parts[1]: parts[2]})),
)


async def answer(assistant: Assistant, question: Question, told: list[str] | None = None) -> list[str]:
    """What the client gets; of a tool with pages, all of them, and the file it wrote. `told` gets the progress."""
    client, texts = assistant.client, {name: str(value) for name, value in question.arguments.items()}
    try:
        match question.kind:
            case "tool":
                parts = await tool_answers(assistant, question, told)
            case "resource":
                parts = [(await client.read_resource(question.name)).model_dump_json()]
            case "resources":
                parts = [(await client.list_resources()).model_dump_json()]
            case "prompt":
                parts = [(await client.get_prompt(question.name, texts)).model_dump_json()]
            case _:
                reference = TEMPLATE if question.name == "conversation_id" else PROMPT
                typed = {"name": question.name, "value": texts["typed"]}
                parts = [(await client.complete(reference, typed)).model_dump_json()]
    except MCPError as error:
        parts = [str(error)]
    return [CURSOR.sub("c", part).replace("own/", "/").replace("all/", "/") for part in parts]


async def tool_answers(assistant: Assistant, question: Question, told: list[str] | None) -> list[str]:
    """Of all pages."""
    parts, arguments = list[str](), dict(question.arguments)

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if told is not None:
            told.append(str(message))

    while not parts or "cursor" in arguments:
        result = await assistant.client.call_tool(question.name, arguments, progress_callback=note)
        parts.append(result.model_dump_json())
        arguments.pop("cursor", None)
        if found := CURSOR.search(parts[-1]):
            arguments["cursor"] = found[0]
        if question.name == "export_conversations" and result.structured_content:
            parts.append(Path(str(result.structured_content["path"])).read_text("utf-8"))
    return parts
