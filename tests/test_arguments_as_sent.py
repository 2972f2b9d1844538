"""Arguments in the shapes that clients and models send, and the errors for those that cannot be parsed."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.tools import TOOLS
from tests.calls import conversation_id, many
from tests.examples import is_thorough
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account
from tests.stdio_process import INITIALIZE, INITIALIZED, piped, request, said

pytestmark = pytest.mark.anyio

CALL, OTHER = conversation_id(0), conversation_id(2)
NEEDED: dict[str, dict[str, JsonValue]] = {
    "search_transcripts": {"query": "payment"},
    "get_transcripts": {"conversation_ids": [CALL]},
    "save_recording": {"conversation_id": CALL},
}
ARGUMENTS = [
    (tool.name, name, schema)
    for tool in TOOLS
    for name, schema in tool.input_schema(PROVIDERS["formant"])["properties"].items()
]
WRONG: list[JsonValue] = [
    True,
    1.5,
    -7,
    10**30,
    "what?",
    "(not read yet)",
    {"a": 1},
    {"a": {"b": [None, {}]}},
    [1, 2.5],
    [["a", "b"], ["c"]],
    [{"x": None}],
    "[unfinished",
    '{"intent": ["dispute", "refund"]}',
    [True, False],
]


@pytest.fixture
def account(account: Account) -> Account:
    """45 calls of three agents in ten days; half of the completed ones speak Hindi."""
    account.api.conversations = many(45, NOW - timedelta(hours=2), timedelta(days=10))
    return account


@pytest.mark.parametrize("nothing", [None, "", " ", [], "null"], ids=repr)
async def test_empty_values_count_as_left_out_for_every_argument_of_every_tool(
    account: Account, nothing: JsonValue
) -> None:
    async with account.connect() as assistant:
        for tool in ("list_conversations", "search_transcripts", "get_transcripts", "summarize_results"):
            needed = NEEDED.get(tool, {})
            names = [name for tool_name, name, _ in ARGUMENTS if tool_name == tool and name not in needed]
            plain = await assistant.client.call_tool(tool, needed)
            sent = await assistant.client.call_tool(tool, {**dict.fromkeys(names, nothing), **needed})
            assert not sent.is_error
            assert sent.structured_content == plain.structured_content
        for tool, needed in NEEDED.items():
            (name,) = needed
            missing = [await assistant.refused(tool), await assistant.refused(tool, **{name: None})]
            assert missing[0] == missing[1]
            assert missing[0].startswith(f"{name} is missing: it must be ")


@pytest.mark.parametrize(
    ("tool", "sent", "plain"),
    [
        ("list_conversations", {"limit": "5"}, {"limit": 5}),
        ("list_conversations", {"limit": "5.0"}, {"limit": 5}),
        ("list_conversations", {"limit": 5.0}, {"limit": 5}),
        ("list_conversations", {"limit": [5]}, {"limit": 5}),
        ("list_conversations", {"order_by": " LONGEST "}, {"order_by": "longest"}),
        ("list_conversations", {"summary_mode": "Include"}, {"summary_mode": "include"}),
        ("list_conversations", {"status": {}}, {}),
        ("list_conversations", {"filters": {"agent_id": 101, "limit": 7}}, {"agent_id": "101", "limit": 7}),
        ("list_conversations", {"results": {"intent": "dispute"}}, {"results": ["intent=dispute"]}),
        ("list_conversations", {"results": "intent=dispute and csat<=4"}, {"results": ["intent=dispute", "csat<=4"]}),
        ("list_conversations", {"results": '{"csat": "<=4"}'}, {"results": ["csat<=4"]}),
        ("list_conversations", {"results": "csat=null", "limit": 50}, {"results": ["csat missing"], "limit": 50}),
        ("search_transcripts", {"query": ["payment"], "role": "Assistant"}, {"query": "payment", "role": "agent"}),
        ("search_transcripts", {"query": "payment", "role": "customer"}, {"query": "payment", "role": "contact"}),
        ("search_transcripts", {"query": "payment", "context_turns": "0"}, {"query": "payment", "context_turns": 0}),
        ("summarize_results", {"group_by": "status,agent_id"}, {"group_by": ["status", "agent_id"]}),
        ("summarize_results", {"group_by": '["Status", "agent"]'}, {"group_by": ["status", "agent_id"]}),
        ("summarize_results", {"group_by": [{"field": "status"}]}, {"group_by": ["status"]}),
        ("summarize_results", {"group_by": "intent"}, {"group_by": ["results.intent"]}),
        ("summarize_results", {"group_by": "date"}, {"group_by": ["day"]}),
        ("summarize_results", {"group_by": "contact"}, {"group_by": ["contact_number"]}),
        ("summarize_results", {"measures": "csat, seconds"}, {"measures": ["results.csat", "duration_seconds"]}),
        (
            "summarize_results",
            {"group_by": "status", "since": "5 days", "compare_previous": "yes"},
            {"group_by": ["status"], "since": "5d", "compare_previous": True},
        ),
        (
            "summarize_results",
            {"group_by": "status", "since": "last week", "until": "last week"},
            {"group_by": ["status"], "since": "2026-11-09", "until": "2026-11-15"},
        ),
        ("get_transcripts", {"conversation_ids": f"{CALL}, {OTHER}"}, {"conversation_ids": [CALL, OTHER]}),
    ],
    ids=str,
)  # fmt: skip
async def test_other_shapes_of_the_same_arguments_give_the_same_answer(
    account: Account, tool: str, sent: dict[str, Any], plain: dict[str, Any]
) -> None:
    async with account.connect() as assistant:
        expected = await assistant.ask(tool, **plain)
        answer = await assistant.ask(tool, **sent)
    assert answer.structure == expected.structure


# Providers differ in few arguments: each value is tried with all of them where there is time, else with one.
TRIED = [name for name in PROVIDERS if name != "voiceable" or is_thorough()]  # as elevenlabs has them


@pytest.mark.parametrize("provider", TRIED)
async def test_a_wrong_value_is_refused_in_a_sentence_that_names_its_argument(
    account: Account, provider: str, sample_stores: SampleStores
) -> None:
    store = str(await sample_stores.copy(provider, account.folder))
    values = WRONG if is_thorough() else WRONG[TRIED.index(provider) :: len(TRIED)]
    async with account.connect_to_sample(provider=provider, store=store) as assistant:
        refusals = 0
        for tool, name, schema in ARGUMENTS:
            for wrong in values:
                result = await assistant.client.call_tool(tool, {**NEEDED.get(tool, {}), name: wrong})
                if not result.is_error:
                    assert is_possible(name, schema, wrong), (tool, name, wrong)
                    continue
                refusals += 1
                said = str(result.content[0].model_dump()["text"])
                is_unfound = tool == "save_recording" and "conversation" in said.lower()
                assert name in said or is_unfound, (tool, name, wrong, said)
                assert said.endswith("."), said
                own = said.replace(str(wrong), "")  # an id that is not found is named as it was given
                assert not re.search(r"[{}]|Input|should|validation|Errno|type=", own), said
        assert refusals > 22 * len(values)


def is_possible(name: str, schema: dict[str, Any], value: JsonValue) -> bool:
    """Whether a value of the list is valid for this argument."""
    return (
        (schema["type"] == "string" and "enum" not in schema and isinstance(value, str | int))
        or (schema["type"] == "array" and isinstance(value, str | int | list))
        or (schema["type"] == "number" and value in (1.5, 10**30))
        or (name in ("from_turn", "around_turn") and value == 10**30)
        or (name in ("call_successful", "summary_mode", "compare_previous") and value in (True, [True]))
        or (name == "results" and value == {"a": 1})
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"agent_id": ["101", "102"]}, "agent_id must be the id or name of one agent (for several ask for each, or"),
        (
            {"agent_id": "101, 102"},
            "agent_id takes one agent. Ask for each by itself, or for all of them with group_by",
        ),
        ({"results": {"intent": ["dispute", "refund"]}}, "results takes one value for each condition"),
        ({"results": "intent=dispute or intent=refund"}, "results takes conditions that all hold: there is no OR."),
        (
            {"results": {"field": "intent"}},
            "results has a condition without a value. For calls without the field write",
        ),
        ({"results": {"intent": {"contains": "a"}}}, "results has a condition with an unknown operator"),
        ({"results": {"intent": {"a": "b"}}}, "No call"),
        ({"contact_number": "+919999904010,+919999907002"}, "contact_number takes one number. Ask once for each."),
        (
            {"results": [{"field": "csat", "operator": "between", "value": 2}]},
            "results has a condition with an unknown operator",
        ),
    ],
)
async def test_unsupported_filters_are_refused_with_an_alternative(
    account: Account, arguments: dict[str, JsonValue], said: str
) -> None:
    async with account.connect() as assistant:
        if said == "No call":  # an object below a field is its nested fields
            assert (await assistant.ask("list_conversations", **arguments)).coverage["matched"] == 0
        else:
            assert said in await assistant.refused("list_conversations", **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "meant"),
    [
        ("list_conversations", {"results": "intent=disptue"}, "dispute"),
        ("list_conversations", {"results": "intnet=dispute"}, "intent"),
        ("list_conversations", {"results": "primary=hi"}, "language.primary"),
        ("list_conversations", {"status": "No answer!"}, "no_answer"),
        ("list_conversations", {"failure_reason": "buzy"}, "busy"),
        ("search_transcripts", {"query": "payment", "status": "compleeted"}, "completed"),
        ("summarize_results", {"status": "compleeted"}, "completed"),
        ("summarize_results", {"group_by": "statsu"}, "status"),
        ("summarize_results", {"group_by": "results.intnet"}, "results.intent"),
        ("summarize_results", {"measures": "duration_secs"}, "duration_seconds"),
        ("summarize_results", {"measures": "csta"}, "results.csat"),
    ],
)
async def test_a_misspelt_value_gets_a_suggestion(
    account: Account, tool: str, arguments: dict[str, JsonValue], meant: str
) -> None:
    async with account.connect() as assistant:
        result = await assistant.client.call_tool(tool, arguments)
    assert f"Did you mean {meant}" in str(result.content[0].model_dump()["text"])


def test_empty_or_json_text_arguments_are_accepted_and_a_wrong_parameter_is_named(tmp_path: Path) -> None:
    forms: list[JsonValue] = ["", [], None, '{"limit": 3}']
    listed = [
        request(n, "tools/call", name="list_conversations", arguments=form) for n, form in enumerate(forms, start=10)
    ]
    wrong = {
        20: request(20, "tools/call", name="list_conversations", arguments="soon"),
        21: request(21, "tools/call", name="list_conversations", arguments=[1]),
        22: request(22, "tools/call", name=5),
        23: request(23, "tools/call"),
        24: request(24, "resources/read", uri=7),
        25: request(25, "prompts/get", name="weekly_review", arguments={"agent_id": 123}),
    }
    messages, _ = piped(tmp_path, [INITIALIZE, INITIALIZED, *listed, *wrong.values()], "--demo")
    by_id = {message.get("id"): message for message in messages}
    shown = [re.search(r"(\d+) of [\d,]+ shown", said(by_id[number])) for number in (10, 11, 12, 13)]
    assert [match and match[1] for match in shown] == ["20", "20", "20", "3"]
    errors = {number: by_id[number]["error"] for number in wrong}
    assert {number: isinstance(error, dict) and error["message"] for number, error in errors.items()} == {
        20: "tools/call: arguments must be an object, names with values.",
        21: "tools/call: arguments must be an object, names with values.",
        22: "tools/call: name must be a text.",
        23: "tools/call: name is missing.",
        24: "resources/read: uri must be a text.",
        25: "prompts/get: agent_id must be a text.",
    }
