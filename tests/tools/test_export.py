"""`export_conversations`: every call that matches, in a file that a spreadsheet or a program reads."""

import csv
import io
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from formant_mcp.exports import FIELDS, defused
from formant_mcp.members import Member
from tests.calls import conversation, conversation_id, many
from tests.server_harness import NOW, Account, Answer, in_both_eras

pytestmark = pytest.mark.anyio

HOSTILE = ("=HYPERLINK(A1)", "+cmd|' /C calc'!A0", "@SUM(1)", "\tx", "-2+3", "＝1+1")


@pytest.fixture
def account(account: Account) -> Account:
    """Three calls with results and words."""
    started_at = NOW - timedelta(days=2)
    turns: JsonValue = [
        {"speaker": "agent", "text": "Hello, Rahul.", "start_time": 0},
        {"speaker": "user", "text": "=1+1", "start_time": 64.5},
    ]
    account.api.conversations = [
        conversation(1, started_at, results={"intent": "dispute", "csat": -2, "tags": ["a", "b"]}, transcript=turns),
        conversation(
            2, started_at - timedelta(hours=1), results={"intent": HOSTILE[0], "language": {"primary": "हिंदी"}}
        ),
        conversation(3, started_at - timedelta(hours=2), status="busy", duration_seconds=None),
    ]
    return account


def text_of(answer: Answer) -> str:
    content = Path(str(answer.structure["path"])).read_bytes()
    assert len(content) == answer.structure["bytes"]
    return content.decode()


def rows_of(answer: Answer) -> list[dict[str, str]]:
    text = text_of(answer)
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text[1:], newline="")))
    assert len(rows) == answer.structure["rows"]
    assert list(rows[0]) == answer.structure["columns"]
    return rows


@in_both_eras
async def test_a_mistyped_status_is_said_though_another_occurs(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations", status=["completed", "complted"])
    assert answer.structure["rows"] == 2
    assert "Some of the statuses given do not occur. Existing values: busy, completed." in str(answer.coverage["note"])


@in_both_eras
async def test_a_table_has_a_column_for_each_field_and_each_result(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations", include=["results", "transcript"])
    rows = rows_of(answer)
    assert list(rows[0]) == [
        *FIELDS,
        "results.csat",
        "results.intent",
        "results.language.primary",
        "results.tags",
        "transcript",
    ]
    assert [row["conversation_id"] for row in rows] == [conversation_id(number) for number in (1, 2, 3)]
    assert (rows[0]["results.csat"], rows[0]["results.tags"]) == ("-2", "a; b")
    assert rows[0]["transcript"] == "0 agent 0:00 Hello, Rahul.\n1 contact 1:04 =1+1"
    assert rows[0]["started_at"].endswith("+05:30")
    assert (rows[1]["results.language.primary"], rows[1]["results.intent"]) == ("हिंदी", f"'{HOSTILE[0]}")
    assert (rows[2]["status"], rows[2]["call_successful"], rows[2]["duration_seconds"]) == ("busy", "failure", "")
    assert answer.coverage["complete"] is True
    assert f"saved: {answer.structure['path']} (3 rows" in answer.text


async def test_json_lines_have_what_was_sent(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations", format="jsonl", include=["results", "transcript"])
    calls = [json.loads(line) for line in text_of(answer).splitlines()]
    assert [call["conversation_id"] for call in calls] == [conversation_id(number) for number in (1, 2, 3)]
    assert calls[0]["results"] == {"intent": "dispute", "csat": -2, "tags": ["a", "b"]}
    assert calls[0]["transcript"] == [
        {"index": 0, "role": "agent", "seconds": 0.0, "text": "Hello, Rahul."},
        {"index": 1, "role": "contact", "seconds": 64.5, "text": "=1+1"},
    ]
    assert "failure_reason" not in calls[0]


async def test_filters_hold_and_a_list_alone_fetches_no_details(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations", status=["busy"])
        none = await assistant.ask("export_conversations", status=["lost"])
    assert [row["conversation_id"] for row in rows_of(answer)] == [conversation_id(3)]
    assert not [request for request in account.api.requests if request.path.count("/") == 3]
    assert none.structure["rows"] == 0
    assert "busy" in none.text


async def test_every_call_is_written_once_over_many_pages(account: Account) -> None:
    account.api.conversations = many(1_234, NOW - timedelta(days=9), timedelta(minutes=7))
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations")
    ids = [row["conversation_id"] for row in rows_of(answer)]
    assert sorted(ids) == sorted(str(row["conversation_id"]) for row in account.api.conversations)


async def test_a_member_with_agents_exports_their_calls_alone(account: Account) -> None:
    account.api.conversations[1]["agent_id"] = 7
    account.member = Member("asha", frozenset({"7"}))
    async with account.connect() as assistant:
        answer = await assistant.ask("export_conversations", include=["results"])
    (row,) = rows_of(answer)
    assert row["conversation_id"] == conversation_id(2)
    assert "results.csat" not in row  # a field of others


async def test_no_file_is_overwritten_and_all_are_private(account: Account) -> None:
    async with account.connect() as assistant:
        first = await assistant.ask("export_conversations")
        second = await assistant.ask("export_conversations", status=["busy"])
    paths = [Path(str(answer.structure["path"])) for answer in (first, second)]
    assert paths[0] != paths[1]
    assert {path.parent for path in paths} == {account.folder / "exports"}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert sorted(os.listdir(account.folder / "exports")) == sorted(path.name for path in paths)


async def test_a_folder_that_cannot_be_written_is_an_error_with_the_setting(account: Account) -> None:
    (account.folder / "exports").write_text("a file")
    async with account.connect() as assistant:
        error = await assistant.refused("export_conversations")
    assert "FORMANT_EXPORTS_DIR" in error
    assert "not a folder" in error


@pytest.mark.parametrize(
    ("arguments", "accepted"), [({"format": "xlsx"}, "csv or jsonl"), ({"include": ["audio"]}, "results, transcript")]
)
async def test_what_cannot_be_written_is_refused(account: Account, arguments: dict[str, object], accepted: str) -> None:
    async with account.connect() as assistant:
        assert accepted in await assistant.refused("export_conversations", **arguments)


@pytest.mark.parametrize("cell", HOSTILE)
def test_a_cell_that_a_spreadsheet_would_run_is_defused(cell: str) -> None:
    assert defused(cell) == f"'{cell}"


@given(st.text() | st.from_regex(r"[+-]\d{1,12}", fullmatch=True))
def test_other_cells_and_signed_numbers_stay_as_they_are(cell: str) -> None:
    assert defused(cell).endswith(cell)
    assert defused(cell)[:1] not in set("=@＝＠\t\r")
    if cell[:1].isalnum() or cell[1:].isdecimal():
        assert defused(cell) in (cell, f"'{cell}" if cell[0] in "=@" else cell)
