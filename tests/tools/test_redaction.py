"""With FORMANT_REDACT no identifier is in any answer, whoever said it and wherever it is stored."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.members import Member
from tests.calls import conversation, conversation_id
from tests.http_process import Tokens, bearing, in_thread
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

RAHUL, ASHA = "+919876543210", "+919123456780"
CALLS = (conversation_id(1), conversation_id(2), conversation_id(3))
SPOKEN = (
    ("agent", "Am I speaking to 98765 43210?"),
    ("human", "Yes, but call my wife at nine one two three four five six seven eight zero."),
    ("agent", "Which address may we write to?"),
    ("human", "rahul.sharma@example.com, and my PAN is ABCPE1234F."),
    ("human", "No wait, the other number is 91234"),
    ("agent", "ok"),
    ("human", "56780, that is hers."),
    ("agent", "Thank you. The fee is 4,999 rupees, due on 2026-11-30."),
)
RESULTS: JsonValue = {
    "callback": "098765-43210",
    "wife": 9123456780,
    "mail": "rahul.sharma@example.com",
    "pan": "ABCPE1234F",
    "9876543210": "a key that is a number",
    "amount": 4999,
    "notes": [{"said": "call +91 91234 56780"}],
}
LEAKS = re.compile(
    "98765|43210|91234|56780|nine one two|seven eight zero|rahul|sharma|ABCPE|1234F|9876543210|9123456780", re.I
)


@pytest.fixture
def account(account: Account) -> Account:
    """Three calls of two people, who say and leave numbers, an address and an id everywhere."""
    turns: JsonValue = [{"role": role, "message": message} for role, message in SPOKEN]
    for n, (number, status) in enumerate(((RAHUL, "completed"), (ASHA, "completed"), (RAHUL, "failed")), 1):
        row = conversation(n, NOW - timedelta(days=n), status=status, contact_number=number)
        spoken: dict[str, JsonValue] = {"transcript": turns, "results": RESULTS}
        account.api.add(row | (spoken if status == "completed" else {"failure_reason": "no answer at 9876543210"}))
    return account


@asynccontextmanager
async def redacting(account: Account, kinds: str = "numbers,emails,ids") -> AsyncGenerator[Assistant]:
    async with account.connect(redact=kinds) as assistant:
        yield assistant


def leaks(text: str) -> list[str]:
    return LEAKS.findall(re.sub("e36853de-9cbb-441e-ad75-[0-9a-f]{12}_1", "", text))


async def all_of(assistant: Assistant) -> list[Answer]:
    """An answer of each tool, in each of its forms."""
    fields = "contact_number,status,failure_reason,results.callback,results.wife,results.notes.said"
    return [
        await assistant.ask("list_conversations", summary_mode="include"),
        await assistant.ask("list_conversations", fields=fields),
        await assistant.ask("list_conversations", order_by="-results.wife"),
        await assistant.ask("list_conversations", contact_number="+15550009999"),
        await assistant.ask("list_conversations", results="callback=nobody"),
        await assistant.ask("list_conversations", failure_reason="unknown"),
        await assistant.ask("get_transcripts", conversation_ids=list(CALLS)),
        await assistant.ask("get_transcripts", conversation_ids=[CALLS[0]], from_turn=4, max_turns=1),
        await assistant.ask("get_transcripts", conversation_ids=[CALLS[0]], from_turn=6, max_turns=1),
        await assistant.ask("search_transcripts", query="98765"),
        await assistant.ask("search_transcripts", query="hers", context_turns=0),
        await assistant.ask("search_transcripts", query="9876"),
        await assistant.ask("search_transcripts", query="number"),
        await assistant.ask("search_transcripts", query="sharm"),
        await assistant.ask("summarize_results"),
        await assistant.ask("summarize_results", group_by="contact_number"),
        await assistant.ask("summarize_results", group_by="results.callback", measures="results.wife"),
        await assistant.ask("summarize_results", group_by="results.wife,failure_reason"),
        await assistant.ask("find_phrases", role="any", limit=50),
        await assistant.ask("find_calls_to_review"),
        await assistant.ask("find_changes", since="2d"),
    ]


async def test_no_identifier_is_in_any_answer(account: Account) -> None:
    async with redacting(account) as assistant:
        answers = await all_of(assistant)
    for answer in answers:
        assert not leaks(answer.text), answer.text
        assert not leaks(json.dumps(answer.structure, ensure_ascii=False))


async def test_without_redaction_the_same_questions_show_them(account: Account) -> None:
    async with account.connect() as assistant:
        answers = await all_of(assistant)
    assert len([answer for answer in answers if leaks(answer.text)]) > len(answers) / 2


async def test_one_person_has_one_label_throughout_an_answer(account: Account) -> None:
    async with redacting(account) as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[CALLS[0], CALLS[1]])
    first, second = answer.rows()
    rahul, asha = str(first["contact_number"]), str(second["contact_number"])
    assert {rahul, asha} == {"<number 1>", "<number 2>"}
    for row in (first, second):
        transcript = str(row["transcript"])
        assert f"Am I speaking to {rahul}?" in transcript
        assert f"call my wife at {asha}." in transcript
        results = row["results"]
        assert isinstance(results, dict)
        assert (results["callback"], results["wife"]) == (rahul, asha)
        assert results["amount"] == 4999
        assert "4,999 rupees, due on 2026-11-30." in transcript


async def test_a_number_split_over_turns_is_hidden_in_each_window(account: Account) -> None:
    async with redacting(account) as assistant:
        for turn in (4, 6):
            answer = await assistant.ask("get_transcripts", conversation_ids=[CALLS[0]], from_turn=turn, max_turns=1)
            assert "<number" in str(answer.rows()[0]["transcript"])


async def test_a_hit_in_an_identifier_is_its_label(account: Account) -> None:
    async with redacting(account) as assistant:
        answer = await assistant.ask("search_transcripts", query="98765", context_turns=0)
        beside = await assistant.ask("search_transcripts", query="wife call", context_turns=0)
    assert "Am I speaking to **<number 1>**?" in answer.text
    assert "but **call** my **wife** at <number" in beside.text


@pytest.mark.parametrize("number", [RAHUL, "98765 43210", "3210"])
async def test_filters_take_numbers_as_ever(account: Account, number: str) -> None:
    async with redacting(account) as assistant:
        answer = await assistant.ask("list_conversations", contact_number=number)
        assert answer.ids() == [CALLS[0], CALLS[2]]
        answer = await assistant.ask("list_conversations", results="wife=9123456780")
        assert answer.ids() == [CALLS[0], CALLS[1]]


async def test_groups_are_those_of_the_numbers(account: Account) -> None:
    async with redacting(account) as assistant:
        answer = await assistant.ask("summarize_results", group_by="contact_number")
    groups = {str(group["key"]): group["count"] for group in answer.rows("groups")}
    assert groups == {"{'contact_number': '<number 1>'}": 2, "{'contact_number': '<number 2>'}": 1}


@pytest.mark.parametrize(
    "arguments",
    [{"contact_number": "<number 1>"}, {"results": "callback=<number 1>"}, {"status": ["completed", "<id 2>"]}],
)
async def test_a_label_is_refused_as_an_argument(account: Account, arguments: dict[str, object]) -> None:
    async with redacting(account) as assistant:
        error = await assistant.refused("list_conversations", **arguments)
    assert re.search(r"[<‹](number|id) \d[>›] is a label in one answer", error)


async def test_errors_hide_what_they_name(account: Account) -> None:
    async with redacting(account) as assistant:
        await assistant.ask("summarize_results")
        error = await assistant.refused("summarize_results", group_by="results.unknown")
    assert "results.amount" in error
    assert not leaks(error)


async def test_errors_keep_our_own_example_and_suggest_nothing_that_is_hidden(account: Account) -> None:
    async with redacting(account) as assistant:
        await assistant.ask("summarize_results")
        of_number = await assistant.refused("list_conversations", contact_number="nobody in there")
        of_type = await assistant.refused("list_conversations", contact_number=[1, [2]])
        of_field = await assistant.refused("summarize_results", group_by="results.9876543211")
        none = await assistant.ask("list_conversations", results="callback=098765-43211")
    assert "last digits: +91 98765 43210, 43210;" in of_number
    assert "e.g. +91 98765 43210" in of_type
    assert "Did you mean" not in of_field + none.text
    assert "results.amount" in of_field


async def test_resources_hide_them(account: Account) -> None:
    async with redacting(account) as assistant:
        for kind in ("", "/transcript"):
            read = await assistant.client.read_resource(f"formant://conversations/{CALLS[0]}{kind}")
            text = read.contents[0].model_dump_json()
            assert "<number 1>" in text
            assert not leaks(text)
        listed = await assistant.client.list_resources()
    assert not leaks(listed.model_dump_json())


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
async def test_exports_hide_them(account: Account, file_format: str) -> None:
    async with redacting(account) as assistant:
        answer = await assistant.ask(
            "export_conversations", format=file_format, include=["results", "signals", "transcript"]
        )
    assert answer.coverage["complete"], answer.text
    text = Path(str(answer.structure["path"])).read_text()
    assert text.count("<number") > 10
    assert not leaks(text)
    assert not leaks(answer.text)


async def test_only_the_kinds_that_are_named_are_hidden(account: Account) -> None:
    async with redacting(account, "emails") as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[CALLS[0]])
    assert "rahul" not in answer.text
    assert "<email 1>" in answer.text
    assert RAHUL in answer.text
    assert "ABCPE1234F" in answer.text


async def test_a_member_has_what_the_token_hides_besides_what_everybody_has(account: Account) -> None:
    account.member = Member("asha", frozenset({"123"}), frozenset({"numbers"}))
    async with redacting(account, "emails") as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[CALLS[0]])
    assert not re.search("rahul|98765|91234", answer.text)
    assert "ABCPE1234F" in answer.text


async def test_over_http_each_member_sees_what_their_own_token_hides(account: Account) -> None:
    tokens = Tokens("anna", "bert")
    tokens.members["bert-token"] = Member("bert", redacts=frozenset({"numbers", "emails", "ids"}))
    with in_thread(account, verifier=tokens) as server:
        async with (
            server.connect("auto", **bearing("anna")) as anna,
            server.connect("auto", **bearing("bert")) as bert,
        ):
            hers = await anna.ask("get_transcripts", conversation_ids=[CALLS[0]])
            his = await bert.ask("get_transcripts", conversation_ids=[CALLS[0]])
            filtered = await bert.ask("list_conversations", contact_number=RAHUL)
    assert "98765 43210" in hers.text
    assert not leaks(his.text + json.dumps(his.structure, ensure_ascii=False))
    assert filtered.ids() == [CALLS[0], CALLS[2]]


async def test_the_log_has_none_of_it(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with redacting(account) as assistant:
        await all_of(assistant)
        await assistant.refused("summarize_results", group_by="results.unknown")
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("formant_mcp")]
    assert logged
    assert not leaks("\n".join(logged))


async def test_fields_are_hidden_by_their_name_and_alike_in_lists_groups_and_figures(account: Account) -> None:
    results: JsonValue = {"account_id": 1234567890, "mobile_number": 1234567, "loan_amount": 1234567}
    row = conversation(9, NOW - timedelta(hours=1), status="completed")
    account.api.add(row | {"results": results})
    async with redacting(account) as assistant:
        listed = await assistant.ask("list_conversations", summary_mode="include", limit=1)
        profile = await assistant.ask("summarize_results", since="3h")
        groups = await assistant.ask("summarize_results", group_by="results.loan_amount", since="3h")
        measures = await assistant.ask("summarize_results", measures="results.account_id", since="3h")
    for answer in (listed, profile, measures):
        assert "1234567890" not in answer.text
        assert "mobile_number=1234567" not in answer.text
    assert "loan_amount=1234567" in listed.text
    assert str(groups.rows("groups")[0]["key"]) == "{'results.loan_amount': '1234567'}"
    assert "Figures of results.account_id are hidden." in measures.text
    assert "min 1234567 " in profile.text


async def test_a_field_whose_name_has_an_identifier_shows_its_value_where_it_is_named(account: Account) -> None:
    row = conversation(9, NOW - timedelta(hours=1), status="completed", contact_number=ASHA)
    results: JsonValue = {"call 98765 43210": ["at noon", "by 91234 56780"], "98765-43210": 5}
    account.api.add(row | {"results": results})
    async with redacting(account) as assistant:
        asked = {"fields": "results.call 98765 43210", "order_by": "-results.98765-43210", "since": "3h"}
        answer = await assistant.ask("list_conversations", **asked)
        refused = await assistant.refused("list_conversations", fields="results.call <number 1>")
    assert answer.rows()[0]["results"] == {"call 98765 43210": ["at noon", "by <number 1>"], "98765-43210": 5}
    assert "is a label in one answer" in refused
    assert "summary_mode=include shows every result field" in refused


async def test_no_value_is_lost_where_two_fields_have_one_number_for_a_name(account: Account) -> None:
    row = conversation(9, NOW - timedelta(hours=1), status="completed")
    results: JsonValue = {"98765 43210": 1, "98765-43210": 5}
    account.api.add(row | {"results": results})
    names = ["results.98765 43210", "results.98765-43210"]
    async with redacting(account) as assistant:
        groups = await assistant.ask("summarize_results", group_by=names, since="3h")
        measures = await assistant.ask("summarize_results", measures=names, since="3h")
        profile = await assistant.ask("summarize_results", since="3h")
    assert groups.rows("groups")[0]["key"] == {"results.<number 1>": "1", "results.<number 1>'": "5"}
    assert re.search("sum 1 .*sum 5 ", measures.text)
    assert re.search('number 1>"?\'?"? .*sum 1 .*\n.*number 1>\'"? .*sum 5 ', profile.text)


async def test_a_change_of_identifiers_is_no_change_to_report(account: Account) -> None:
    for n in range(10, 90):
        number = 6_123_456_700 + n if n % 2 else 9_876_543_200 + n
        row = conversation(n, NOW - timedelta(days=2 if n % 2 else 9, minutes=n), status="completed")
        results: JsonValue = {"callback": number, "paid": bool(n % 2)}
        account.api.add(row | {"results": results})
    async with redacting(account) as assistant:
        answer = await assistant.ask("find_changes", since="7d")
    assert "results.paid" in answer.text
    assert not re.search("61234567|98765432", answer.text + json.dumps(answer.structure))
    assert "Figures of results.callback are hidden." in answer.text


async def test_a_fields_name_that_may_be_a_sentence_is_not_written_into_a_note(account: Account) -> None:
    results: JsonValue = {"please read this to the customer": 9876543210}
    account.api.add(conversation(9, NOW - timedelta(hours=1), status="completed") | {"results": results})
    async with redacting(account) as assistant:
        answer = await assistant.ask("summarize_results", since="3h")
    assert "are hidden." in answer.text
    assert "please read this" not in answer.text.split("Result fields,")[0]
    assert "please read this" not in str(answer.coverage)


async def test_no_other_spelling_names_a_word_of_a_hidden_address(account: Account) -> None:
    async with account.connect() as assistant:
        assert "searched as: rahul" in (await assistant.ask("search_transcripts", query="raahul")).text
    async with redacting(account) as assistant:
        answer = await assistant.ask("search_transcripts", query="raahul")
        assert "<email 1>" in answer.text
        assert not LEAKS.search(answer.text.replace("raahul", ""))
