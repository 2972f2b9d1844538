"""Invalid input, keys, responses and stores: each gives a clear error with the next step, and loses nothing."""

import asyncio
import logging
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS

from formant_mcp.app import App, LazyApp
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.server.mcp_server import build_server
from tests import faults
from tests.calls import conversation_id, many
from tests.faults import Fault
from tests.server_harness import KEY, NOW, Account, Assistant, in_both_eras
from tests.store.files import set_aside

pytestmark = [pytest.mark.anyio, in_both_eras]

CALL = conversation_id(0)
FILTERS = (
    "agent_id, status, call_successful, since, until, min_duration_seconds, max_duration_seconds, contact_number,"
    " failure_reason, user_id, hours, weekdays, direction, results"
)
DATES = "Give an ISO date (2026-11-20), an ISO date-time (2026-11-20T18:00, with or without an offset), a week"


@pytest.fixture
def account(account: Account) -> Account:
    """45 calls of three agents in ten days."""
    account.api.conversations = many(45, NOW - timedelta(hours=2), timedelta(days=10))
    return account


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        (
            "list_conversations",
            {"agnt_id": 1},
            f"There is no argument 'agnt_id'. Did you mean agent_id? The arguments are {FILTERS}",
        ),
        (
            "get_transcripts",
            {"conversation_ids": [CALL], "colour": 1},
            "There is no argument 'colour'. The arguments are conversation_ids, from_turn",
        ),
        ("get_transcripts", {"conversation_id": CALL}, "Did you mean conversation_ids?"),
        ("list_conversations", {"params": {"limit": 1}}, "Give the arguments themselves, without an object around"),
        ("list_conversations", {"start_date": "7d"}, "There is no argument 'start_date'. Did you mean since?"),
        (
            "save_recording",
            {"conversationId": CALL},
            "There is no argument 'conversationId'. Did you mean conversation_id?",
        ),
        ("save_recording", {}, "conversation_id is missing: it must be one conversation id, e.g. e36853de-"),
        (
            "get_transcripts",
            {"conversation_ids": []},
            "conversation_ids is missing: it must be 1 to 20 conversation ids, e.g. e36",
        ),
        ("get_transcripts", {"conversation_ids": ["x"] * 21}, "conversation_ids must be 1 to 20 conversation ids"),
        (
            "get_transcripts",
            {"conversation_ids": [CALL], "max_turns": 0},
            "max_turns must be a whole number from 1 to 2000, e.g. 200.",
        ),
        (
            "get_transcripts",
            {"conversation_ids": [CALL], "from_turn": 3, "around_turn": 4},
            "Use either from_turn or around_turn. Leave the other one out.",
        ),
        ("list_conversations", {"limit": 0}, "limit must be a whole number from 1 to 100, e.g. 20."),
        (
            "search_transcripts",
            {"query": "(" * 10_000},
            "query is too long: 10,000 characters at most. Ask in several calls.",
        ),
        ("list_conversations", {"limit": 101}, "limit must be a whole number from 1 to 100, e.g. 20."),
        ("list_conversations", {"limit": "many"}, "limit must be a whole number from 1 to 100"),
        (
            "list_conversations",
            {"order_by": "best"},
            "order_by: no call has results.best. Fields: results.csat, results.intent, results.language.primary. Or:"
            " newest, oldest, longest, shortest, started_at, duration_seconds.",
        ),
        (
            "list_conversations",
            {"order_by": ["newest", "oldest"]},
            "order_by must be newest, oldest, longest, shortest or a field, - before it for largest first, e.g."
            " -signals.agent_repeats.",
        ),
        (
            "list_conversations",
            {"call_successful": "maybe"},
            "call_successful must be any, success or failure, e.g. failure.",
        ),
        ("list_conversations", {"since": "last tuesday"}, f"since is not a valid date. {DATES}"),
        ("list_conversations", {"until": "2026-02-30"}, f"until is not a valid date. {DATES}"),
        ("list_conversations", {"since": "2026-11-20", "until": "2026-11-19"}, "since is later than until."),
        ("list_conversations", {"min_duration_seconds": 9, "max_duration_seconds": 8}, "is greater than max_duration"),
        (
            "list_conversations",
            {"results": ["csat is good"]},
            "results has an invalid condition. Write conditions like",
        ),
        ("list_conversations", {"contact_number": "43210 or 43211"}, "contact_number: there are words in it."),
        (
            "list_conversations",
            {"cursor": "20"},
            "cursor: invalid. Omit cursor to start over",
        ),
        (
            "list_conversations",
            {"cursor": "c:20:0000000000000001:abcdef"},
            "cursor: it was issued for different arguments.",
        ),
    ],
)
async def test_an_invalid_argument_is_refused_by_name(
    account: Account, tool: str, arguments: dict[str, object], said: str
) -> None:
    async with account.connect() as assistant:
        assert said in await assistant.refused(tool, **arguments)
        assert (await assistant.ask("list_conversations", limit=1)).coverage["matched"] == 45


async def test_a_cursor_works_only_for_its_own_query_and_store(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", limit=5, agent_id="101")
        cursor = answer.structure["next_cursor"]
        other = await assistant.refused("list_conversations", limit=5, agent_id="102", cursor=cursor)
        reordered = await assistant.refused("list_conversations", agent_id="101", order_by="oldest", cursor=cursor)
        await assistant.ask("list_conversations", limit=7, agent_id="101", cursor=cursor)
    async with account.connect() as another_store:
        foreign = await another_store.refused("list_conversations", limit=5, agent_id="101", cursor=cursor)
    assert {other, reordered, foreign} == {
        "cursor: it was issued for different arguments. Omit cursor to start over, or give next_cursor from"
        " the previous answer, e.g. c:20:5d0c41e2a97b3f86:9f1c2a, and keep the other arguments unchanged."
    }


async def test_an_unknown_tool_is_a_protocol_error_that_names_the_tools(account: Account) -> None:
    async with account.connect() as assistant:
        with pytest.raises(MCPError) as error:
            await assistant.client.call_tool("list_conversation", {})
        names = [tool.name for tool in (await assistant.client.list_tools()).tools]
    assert error.value.code == INVALID_PARAMS
    assert error.value.message == f"Unknown tool. Tools: {', '.join(names)}."


async def test_a_refused_key_is_reported_by_every_tool_and_never_shown(account: Account) -> None:
    account.api.key = "another-key"
    async with account.connect() as assistant:
        for tool, arguments in (
            ("list_conversations", {}),
            ("get_transcripts", {"conversation_ids": [CALL]}),
            ("save_recording", {"conversation_id": CALL}),
        ):
            refused = await assistant.refused(tool, **arguments)
            assert refused.startswith("The key was refused. Check FORMANT_API_KEY, and that FORMANT_PROVIDER, ")
        assert "The key was refused." in str(await assistant.not_read(f"formant://conversations/{CALL}"))
        account.api.key = KEY
        assert (await assistant.ask("list_conversations", limit=1)).coverage["complete"] is True


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.html_502, "The API failed (502). Retry later."),
        (faults.failing(500), "The API failed (500). Retry later."),
        (faults.cut_off_json, "The connection to the API failed."),
        (faults.hang_up, "The connection to the API failed."),
        (faults.truncated_json, "The response was truncated. Retry"),
        (faults.empty_body, "The response is empty. Retry"),
        (faults.not_json, "The response is a web page instead of JSON. Check FORMANT_BASE_URL."),
        (faults.wrong_shape, "The response's field 'data' is not"),
        (
            faults.redirect("https://elsewhere.example/"),
            "The address redirects elsewhere (302). Check FORMANT_BASE_URL.",
        ),
    ],
)
async def test_a_failure_of_the_api_is_reported_without_its_text_and_the_next_call_works(
    account: Account, fault: Fault, said: str
) -> None:
    async with account.connect() as assistant:
        with account.failing(fault):
            errors = [
                await assistant.refused("list_conversations"),
                await assistant.refused("save_recording", conversation_id=CALL),
                (await assistant.not_read(f"formant://conversations/{CALL}")).message,
            ]
        assert not [error for error in errors if said not in error]
        assert not [error for error in errors if "Scripted" in error or "<" in error or account.api.url in error]
        assert (await assistant.ask("list_conversations")).coverage["complete"] is True
        assert (await assistant.ask("get_transcripts", conversation_ids=[CALL])).ids() == [CALL]


@pytest.mark.parametrize("fault", [faults.html_502, faults.truncated_json, faults.empty_body, faults.hang_up])
async def test_stored_conversations_are_answered_despite_a_later_failure(account: Account, fault: Fault) -> None:
    async with account.connect() as assistant:
        await assistant.ask("get_transcripts", conversation_ids=[CALL])
        await assistant.ask("list_conversations", limit=1)
        with account.failing(fault):
            read = await assistant.ask("get_transcripts", conversation_ids=[CALL, conversation_id(2)])
        again = await assistant.ask("get_transcripts", conversation_ids=[CALL, conversation_id(2)])
    assert read.ids() == [CALL]
    assert [row["conversation_id"] for row in read.rows("errors")] == [conversation_id(2)]
    assert again.ids() == [CALL, conversation_id(2)]


async def test_a_list_that_cannot_be_fetched_is_answered_from_the_store_with_a_note(account: Account) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        account.pass_time(hours=1)
        with account.failing(faults.html_502):
            answer = await assistant.ask("list_conversations", limit=1)
    assert (answer.coverage["matched"], answer.coverage["complete"]) == (45, False)
    assert answer.coverage["as_of"] == "2026-11-21T10:42:00+05:30"
    assert "Answered from stored data: The API failed (502). Retry later." in answer.text


async def test_an_unreadable_row_is_left_out_and_reported(account: Account) -> None:
    account.api.fault("offset=0", 1_000, faults.unreadable_row)
    async with account.connect() as assistant:
        answer = await assistant.ask("list_conversations", order_by="oldest", limit=1)
    assert answer.coverage["complete"] is False
    assert (answer.coverage["known"], answer.coverage["total"]) == (44, 45)
    assert "1 row of the list could not be understood, so this answer may lack something" in answer.text
    assert answer.coverage["unreadable"] == {"rows": 1}


def damage_all_but_the_header(path: Path) -> None:
    _write(path, _read(path)[:100] + b"nonsense" * 1_000)


async def test_a_damaged_store_is_set_aside_and_rebuilt(account: Account) -> None:
    path = account.folder / "calls.sqlite"
    async with account.connect(store=str(path)) as assistant:
        await assistant.ask("list_conversations", limit=1)
    damage_all_but_the_header(path)
    async with account.connect(store=str(path)) as assistant:
        assert (await assistant.ask("list_conversations", limit=1)).coverage["matched"] == 45
    assert len(set_aside(path)) == 1


async def test_a_store_of_a_newer_version_is_refused_and_left_unchanged(account: Account) -> None:
    path = account.folder / "calls.sqlite"
    _set_version(path, 999)
    before = _read(path)
    async with account.connect(store=str(path)) as assistant:
        for _ in range(2):
            assert await assistant.refused("list_conversations") == (
                "The local store was written by a newer version of formant-mcp. Update formant-mcp, or set"
                " FORMANT_STORE to another path."
            )
        assert _read(path) == before
        path.unlink()  # the fix works without a restart
        await assistant.ask("list_conversations", limit=1)


async def test_another_accounts_store_is_refused(account: Account) -> None:
    path = str(account.folder / "calls.sqlite")
    async with account.connect(store=path) as assistant:
        await assistant.ask("list_conversations", limit=1)
    async with account.connect(store=path, api_key="another-key") as assistant:
        refused = await assistant.refused("list_conversations", limit=1)
    assert "FORMANT_STORE names the store of another account" in refused
    assert "another-key" not in refused


async def test_concurrent_calls_are_each_answered(account: Account) -> None:
    async with account.connect() as assistant:
        answers = await asyncio.gather(
            *(assistant.ask("get_transcripts", conversation_ids=[conversation_id(n)]) for n in range(12)),
            *(assistant.ask("list_conversations", agent_id=100 + n % 3) for n in range(6)),
        )
    assert [answer.ids() for answer in answers[:12]] == [[conversation_id(n)] for n in range(12)]
    assert [answer.coverage["matched"] for answer in answers[12:]] == [15] * 6


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()


async def test_an_internal_error_is_reported_without_its_message(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> App:
        raise RuntimeError("what a caller said")

    async with Client(build_server(LazyApp(broken), "", PROVIDERS["formant"]), mode=mode) as client:
        assistant = Assistant(client)
        said = [
            await assistant.refused("list_conversations"),
            (await assistant.not_read(f"formant://conversations/{CALL}")).message,
        ]
    internal_error = "Internal error in formant-mcp. Retry; if it persists, start it with"
    assert all(message.startswith(internal_error) for message in said)
    assert "what a caller said" not in f"{said}"
    assert "RuntimeError at" in caplog.text
    assert "what a caller said" not in caplog.text


async def test_debug_logs_each_tool_call_request_and_job_without_ids_or_words(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "formant_mcp"):
        async with account.connect() as assistant:
            account.api.fault("offset=0", 1, faults.html_502)
            hits = (await assistant.ask("search_transcripts", query="hello OR yes OR payment")).rows("hits")
            assert hits
            await assistant.refused("list_conversations", contact_number="secret 43210")
            await assistant.refused("save_recording", conversation_id=CALL)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("formant_mcp")]
    for form in (
        r"tool search_transcripts: complete, \d+ of 45 calls, \d+ ms",
        r"tool list_conversations: error, .*",
        r"GET list: 200, \d+ ms, waited \d+ ms",
        r"GET list: retry 1 in [\d.]+ s",
        r"GET conversation: 200, \d+ ms, waited \d+ ms",
        r"GET recording: \d+, \d+ ms, waited \d+ ms",
        r"GET recording: \d+, \d+ ms, waited \d+ ms",
        r"job list: done after \d+ ms",
    ):
        assert [line for line in lines if re.fullmatch(form, line)], (form, lines)
    logged = "\n".join(lines)
    assert KEY not in logged
    assert "43210" not in logged
    assert not [row for row in account.api.conversations if str(row["conversation_id"]) in logged]
    assert not [hit for hit in hits if str(hit["text"]) in logged]
