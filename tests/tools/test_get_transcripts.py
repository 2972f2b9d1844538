"""`get_transcripts`, asked as an assistant asks."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.calls import Row, conversation, conversation_id
from tests.examples import is_thorough
from tests.server_harness import NOW, Account, Answer, Assistant, in_both_eras
from tests.snapshots import assert_same_answer

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
LONG, SHORT, UNANSWERED = (conversation_id(n) for n in (1, 2, 3))
HINDI = "जी हाँ, मैं समझ गया, लेकिन अभी मेरे पास पैसे नहीं हैं। "


def spoken(count: int, text: str = "This is what was said.") -> JsonValue:
    """A transcript of so many turns, three seconds apart."""
    return [
        {"speaker": "customer" if n % 2 else "agent", "text": f"{n}: {text}", "start_time": 3.0 * n}
        for n in range(count)
    ]


@pytest.fixture
def account(account: Account) -> Account:
    """A call of 500 turns, one of two turns and one that nobody answered."""
    started_at = NOW - timedelta(days=2)
    account.api.add(conversation(1, started_at, transcript=spoken(500), results={"intent": "dispute"}))
    account.api.add(conversation(2, started_at, agent_id=124, transcript=spoken(2)))
    account.api.add(conversation(3, started_at, agent_id=124, status="no_answer"))
    return account


def indexes(answer: Answer, number: int = 0) -> list[int]:
    """The turns that a conversation's transcript shows."""
    transcript = str(answer.rows()[number]["transcript"])
    return [int(line.split(" ")[0]) for line in transcript.split("\n") if line]


async def read_on(assistant: Assistant, answer: Answer, **arguments: object) -> list[int]:
    """All turns that following `next_turn` gives, the first answer's included."""
    found = indexes(answer)
    while "next_turn" in answer.rows()[0]:
        answer = await assistant.ask("get_transcripts", from_turn=answer.rows()[0]["next_turn"], **arguments)
        assert indexes(answer)
        found += indexes(answer)
    return found


@in_both_eras
async def test_each_call_has_all_its_fields_and_its_turns_a_line_each(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[SHORT, UNANSWERED])
    assert_same_answer(SNAPSHOTS / "transcripts.txt", answer)


async def test_an_id_that_fails_has_its_own_error_beside_the_others(account: Account) -> None:
    ids = [SHORT, "e36853de", "ffffffff-0000", "e3", "../../secrets", "..", "a\u202eb", "x" * 300]
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        answer = await assistant.ask("get_transcripts", conversation_ids=ids, max_turns=1)
    assert_same_answer(SNAPSHOTS / "transcripts_errors.txt", answer)


async def test_the_turn_of_a_phrase_is_not_shown_as_a_count(account: Account) -> None:
    said = ["Hello.", "I am busy.", "When may I call?", "I want to talk to a human."]
    turns: JsonValue = [{"speaker": ("agent", "customer")[n % 2], "text": text} for n, text in enumerate(said)]
    account.api.add(conversation(4, NOW - timedelta(days=2), transcript=turns))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(4)])
    assert ", asked_for_human=3 (turn), " in answer.text


@pytest.mark.parametrize("failing", ["e36853de", "ffffffff-0000"])
async def test_an_answer_without_all_that_was_requested_claims_no_completeness(account: Account, failing: str) -> None:
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        answer = await assistant.ask("get_transcripts", conversation_ids=[SHORT, failing])
        whole = await assistant.ask("get_transcripts", conversation_ids=[SHORT, LONG])
    first, _, note, *_ = answer.text.splitlines()
    assert "; incomplete as of" in first
    assert note == "Incomplete: 1 of 2 could not be read, each for the reason given."
    assert (answer.coverage["complete"], whole.coverage["complete"]) == (False, True)


async def test_a_call_of_another_account_or_gone_since_the_list_is_not_found(account: Account) -> None:
    foreign, gone = conversation_id(99), conversation_id(4)
    account.api.add(conversation(4, NOW - timedelta(days=1)))
    async with account.connect() as assistant:
        await assistant.ask("list_conversations")
        account.api.remove(gone)
        answer = await assistant.ask("get_transcripts", conversation_ids=[foreign, gone, SHORT])
    assert answer.ids() == [SHORT]
    assert {str(each["conversation_id"]): each["message"] for each in answer.rows("errors")} == {
        foreign: f"No conversation {foreign} in this account. list_conversations gives the ids.",
        gone: "Listed, but the provider has no details: not found at the provider."
        " Retry; if it persists, report it to the provider.",
    }


async def test_a_beginning_that_only_one_call_has_is_enough(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[SHORT[:-2], SHORT])
    assert answer.ids() == [SHORT]
    assert answer.rows("errors") == []


async def test_a_window_says_where_to_read_on(account: Account) -> None:
    async with account.connect() as assistant:
        window: dict[str, object] = {"conversation_ids": [LONG], "max_turns": 90}
        answer = await assistant.ask("get_transcripts", **window)
        assert "turns 0–89 of 500" in answer.text
        assert "continue with from_turn=90" in answer.text
        assert await read_on(assistant, answer, **window) == list(range(500))


async def test_a_window_after_the_end_says_how_many_turns_there_are(account: Account) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[LONG], from_turn=500)
    assert answer.rows()[0]["transcript"] == ""
    assert "no turns in this window; the transcript has 500, from 0" in answer.text


@pytest.mark.parametrize(("around", "shown"), [(250, (248, 252)), (0, (0, 4)), (499, (497, 499))])
async def test_turns_can_be_read_around_one(account: Account, around: int, shown: tuple[int, int]) -> None:
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[LONG], around_turn=around, max_turns=5)
    assert indexes(answer) == list(range(shown[0], shown[1] + 1))


async def test_the_turn_in_the_middle_is_shown_however_long_its_neighbours_are(account: Account) -> None:
    account.api.add(conversation(5, NOW - timedelta(days=1), transcript=spoken(300, HINDI * 20)))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(5)], around_turn=150)
    shown = indexes(answer)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert 10 < 150 - shown[0] < 25
    assert 10 < shown[-1] - 150 < 25
    assert answer.rows()[0]["next_turn"] == shown[-1] + 1


async def test_twenty_long_calls_share_one_answer_fairly(account: Account) -> None:
    ids = [conversation_id(n) for n in range(10, 29)]
    for n in range(10, 29):
        account.api.add(conversation(n, NOW - timedelta(days=1), transcript=spoken(400, HINDI)))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[*ids, SHORT])
        shown = [len(indexes(answer, number)) for number in range(20)]
        assert shown[-1] == 2  # the short one is whole
        assert max(shown[:-1]) - min(shown[:-1]) <= 1
        assert min(answer.sizes()) > 30_000
        assert answer.text.count("continue with from_turn=") == 19

        window: dict[str, object] = {"conversation_ids": ids[:1]}
        first = await assistant.ask("get_transcripts", **window)
        assert await read_on(assistant, first, **window) == list(range(400))


async def test_a_turn_of_megabytes_is_cut_and_says_where_the_rest_is(account: Account) -> None:
    said = HINDI * (70_000 if is_thorough() else 7_000)
    huge: JsonValue = [{"role": "human", "message": said}, {"role": "agent", "message": "Goodbye."}]
    account.api.add(conversation(6, NOW - timedelta(days=1), transcript=huge))
    window: dict[str, object] = {"conversation_ids": [conversation_id(6)]}
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", **window)
        assert f"characters more, in formant://conversations/{conversation_id(6)}/transcript]" in answer.text
        assert await read_on(assistant, answer, **window) == [0, 1]
        whole = await assistant.client.read_resource(f"formant://conversations/{conversation_id(6)}/transcript")
    assert said.strip() in whole.contents[0].model_dump()["text"]


async def test_results_too_large_for_the_answer_are_shortened_and_say_so(account: Account) -> None:
    results: JsonValue = {f"field_{n}": "long " * 1_000 for n in range(40)}
    account.api.add(conversation(7, NOW - timedelta(days=1), transcript=spoken(400, HINDI), results=results))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(7)])
    assert len(indexes(answer)) > 100
    shown = answer.rows()[0]["results"]
    assert isinstance(shown, dict)
    assert len(shown) > 2
    assert shown["…"] == f"{41 - len(shown)} more fields"
    assert "Long results are shortened" in str(answer.coverage["note"])


async def test_results_that_fit_are_whole_however_short_the_transcript_is(account: Account) -> None:
    results: JsonValue = {f"field_{n}": "long " * 50 for n in range(40)}
    account.api.add(conversation(8, NOW - timedelta(days=1), transcript=spoken(1), results=results))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[conversation_id(8)])
    assert answer.rows()[0]["results"] == {f"field_{n}": ("long " * 50).strip() for n in range(40)}


async def test_fields_of_any_length_leave_room_for_what_was_said(account: Account) -> None:
    ids = [conversation_id(n) for n in range(30, 50)]
    huge: Row = {
        "status": "s" * 9_000,
        "failure_reason": "कारण " * 9_000,
        "trace_id": "t" * 9_000,
        "contact_number": "+" * 9_000,
    }
    for n in range(30, 50):
        account.api.add(conversation(n, NOW - timedelta(days=1), transcript=spoken(40)) | huge)
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=ids)
    assert answer.ids() == ids
    assert min(len(indexes(answer, number)) for number in range(20)) > 5


async def test_only_a_call_that_connected_has_the_address_of_a_recording(account: Account) -> None:
    account.api.conversations = [
        conversation(1, NOW - timedelta(days=1)),
        conversation(2, NOW - timedelta(days=1), status="no_answer"),
        conversation(3, NOW - timedelta(days=1), status="busy", duration_seconds=0),
        conversation(4, NOW - timedelta(minutes=1), status="in_progress"),
    ]
    ids = [conversation_id(n) for n in (1, 2, 3, 4)]
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=ids)
    assert [row["conversation_id"] for row in answer.rows() if "recording_uri" in row] == [ids[0], ids[3]]
    assert answer.text.count("no recording: the call never connected") == 2


async def test_the_address_of_recordings_is_said_once_but_for_ids_that_it_escapes(account: Account) -> None:
    escaped = "é5%-0001_1"
    account.api.add(conversation(5, NOW - timedelta(days=1), conversation_id=escaped))
    async with account.connect() as assistant:
        answer = await assistant.ask("get_transcripts", conversation_ids=[LONG, SHORT, escaped], max_turns=1)
        none = await assistant.ask("get_transcripts", conversation_ids=[UNANSWERED])
    assert answer.text.count("\nRecordings: formant://conversations/{conversation_id}/recording\n") == 1
    assert answer.text.count("recording: formant://conversations/%C3%A95%25-0001_1/recording") == 1
    assert answer.text.count("formant://") == 2
    assert "formant://" not in none.text
