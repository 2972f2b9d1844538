"""Whatever an answer prints is accepted as an argument, with the meaning that it was printed with.

The sample account is asked for lists, groups and profiles. Every id, address, name, value, label, time and cursor of
the answers is asked for again, and has to find as many calls as the answer said, or the call it was printed for.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.filters import NONE, NOT_READ_YET
from formant_mcp.providers.registry import PROVIDERS
from tests.fake_formant import FakeFormant
from tests.sample_stores import SampleStores
from tests.server_harness import Account, Answer, Assistant

pytestmark = pytest.mark.anyio

WEEK: dict[str, object] = {"since": "2026-11-14", "until": "2026-11-20"}
GROUPINGS = ("status", "agent_id", "failure_reason", "contact_number", "hour", "weekday", "day", "week", "month")
MOST = 5  # values of a grouping that are asked for again


@pytest.fixture(params=list(PROVIDERS))
async def assistant(
    request: pytest.FixtureRequest, tmp_path: Path, sample_stores: SampleStores
) -> AsyncGenerator[Assistant]:
    """Connected to the sample account of each provider, as each sends it, all of it loaded."""
    store = str(await sample_stores.copy(request.param, tmp_path))
    account = Account(FakeFormant(), "auto", tmp_path)
    async with account.connect_to_sample(provider=request.param, store=store, call_seconds=60) as assistant:
        yield assistant


async def matched(assistant: Assistant, **arguments: object) -> JsonValue:
    """How many calls of all match, or of the week where that is given."""
    answer = await assistant.ask("list_conversations", **{"limit": 1, **arguments})
    assert answer.coverage["complete"] is True
    return answer.coverage["matched"]


def groups(answer: Answer) -> Iterator[tuple[str, str, JsonValue]]:
    """Each group's grouping, value and count."""
    for group in answer.rows("groups")[:MOST]:
        key = group["key"]
        assert isinstance(key, dict)
        ((name, value),) = key.items()
        yield name, str(value), group["count"]


def asking_for(grouping: str, value: str) -> dict[str, object]:
    """The filter that a group's key is the value of."""
    if grouping in ("day", "week", "month"):
        return {"since": value, "until": value}
    if grouping in ("hour", "weekday"):
        return {f"{grouping}s": value}
    if grouping.startswith("results."):
        return {"results": [f"{grouping}={value}"]}
    return {grouping: value}


async def test_a_group_is_found_by_its_key(assistant: Assistant) -> None:
    fields = [f"results.{field['path']}" for field in listed((await profile(assistant))["results"])]
    for grouping in (*GROUPINGS, *fields):
        answer = await assistant.ask("summarize_results", group_by=grouping, top=100)
        for name, value, count in groups(answer):
            assert await matched(assistant, **asking_for(name, value)) == count, (name, value)
            if name in ("status", "agent_id", "failure_reason"):
                for form in (f"`{value}`", f"{value} ({count} calls)"):
                    assert await matched(assistant, **{name: form}) == count, (name, form)


@pytest.mark.parametrize(("grouping", "since", "until"), [("week", "2026-W45", "2026-W47"), ("month", "2026-10", "")])
async def test_a_week_and_a_month_are_found_by_their_label(
    assistant: Assistant, grouping: str, since: str, until: str
) -> None:
    answer = await assistant.ask("summarize_results", since=since, until=until, group_by=grouping)
    found = list(groups(answer))
    assert next(value for _, value, _ in found) == since
    for _, value, count in found:
        assert await matched(assistant, since=value, until=value) == count


async def profile(assistant: Assistant) -> dict[str, JsonValue]:
    """What there is."""
    found = (await assistant.client.call_tool("summarize_results", {"top": 20})).structured_content
    assert found is not None
    return found["profile"]


def listed(value: JsonValue) -> list[dict[str, JsonValue]]:
    assert isinstance(value, list)
    return [each for each in value if isinstance(each, dict)]


def pairs(value: JsonValue) -> list[tuple[str, JsonValue]]:
    """Values with their counts."""
    assert isinstance(value, list)
    return [(str(each[0]), each[1]) for each in value if isinstance(each, list)]


async def test_the_values_of_a_profile_are_found(assistant: Assistant) -> None:
    found = await profile(assistant)
    for name, counted in (("agent_id", found["agents"]), ("status", found["statuses"])):
        for value, count in pairs(counted):
            assert await matched(assistant, **{name: value}) == count
    span = {"since": found["started_from"], "until": found["started_to"]}
    assert await matched(assistant, **span) == await matched(assistant)
    for field in listed(found["results"]):
        path, count = str(field["path"]), field["count"]
        for place, (value, having) in enumerate(pairs(field.get("top", []))):
            printed = f"{path}={value}"
            forms: list[object] = [[printed]]
            if not place or " and " in value:
                forms += [{path: value}, printed, f"{path} exists and {printed}", {path: {"value": value}}]
                forms += [] if '"' in value else [f"`{printed}`", f'{path}="{value}"']
            for form in forms:
                assert await matched(assistant, results=form) == having, form
        if "top" not in field:
            for bound, operator in (("min", ">="), ("max", "<=")):
                assert await matched(assistant, results=f"{path}{operator}{field[bound]}") == count
                assert await matched(assistant, results=f"results.{path}={field[bound]}") != 0


async def test_a_row_is_found_by_each_of_its_fields(assistant: Assistant) -> None:
    rows = (await assistant.ask("list_conversations", **WEEK, order_by="longest", limit=3)).rows()
    rows += (await assistant.ask("list_conversations", **WEEK, call_successful="failure", limit=3)).rows()
    for row in rows:
        fields = {
            name: row[name]
            for name in ("agent_id", "agent_name", "status", "failure_reason", "contact_number")
            if name in row
        }
        for name, value in fields.items():
            argument = "agent_id" if name == "agent_name" else name
            asked = {**WEEK, argument: value, "since": row["started_at"], "until": row["started_at"]}
            assert row["conversation_id"] in (await assistant.ask("list_conversations", **asked)).ids(), name


async def test_a_time_of_the_text_finds_the_call_that_it_was_printed_for(assistant: Assistant) -> None:
    answer = await assistant.ask("list_conversations", **WEEK, limit=5)
    printed = re.findall(r"\t(\d\d-\d\d \d\d:\d\d)\t", answer.text)
    assert len(printed) == 5
    for conversation_id, minute in zip(answer.ids(), printed, strict=True):
        for time in (minute, f"{minute} +05:30", f"2026-{minute}"):
            found = await assistant.ask("list_conversations", since=time, until=time)
            assert conversation_id in found.ids()


async def test_ids_and_addresses_are_accepted_however_they_were_copied(assistant: Assistant) -> None:
    connected = {"call_successful": "success"}  # only these have a recording
    everything = (await assistant.ask("list_conversations", limit=100)).ids()
    ids = (await assistant.ask("list_conversations", **WEEK, **connected, limit=50)).ids()
    alone = [each for each in ids if sum(other[:36] == each[:36] for other in everything) == 1]
    one, other = alone[:2]
    (read,) = (await assistant.ask("get_transcripts", conversation_ids=[one])).rows()
    address = str(read["recording_uri"])
    copied: Sequence[JsonValue] = [
        one,
        [f"`{one}`"],
        f'"{one}"',
        f"<{one}>",
        f"`{address}`",
        address,
        address.replace("/recording", "/transcript"),
        address.removesuffix("/recording"),
        f"{one[:-1]}…",
        f"conversation_id={one}",
        {"conversation_id": one, "status": "completed"},
        [{"conversation_id": one}],
        f'["{one}"]',
        f"['{one}']",
        f" {one} \n {address}",
        f"{address}/",
        f"[recording]({address})",
        f"[the recording of it]({address})",
        [f"[recording]({address})"],
        f"recording: {address}",
        f"{one}.",
        f"See {address}.".removeprefix("See "),
        f"- {one}",
        f"1. `{one}`",
        f"call {one}",
        address.upper().replace(one.upper(), one),
    ]
    for form in copied:
        answer = await assistant.ask("get_transcripts", conversation_ids=form, max_turns=1)
        assert answer.ids() == [one], form
        if not isinstance(form, list):
            saved = await assistant.ask("save_recording", conversation_id=form)
            assert one in str(saved.structure["path"]), form
    for both in (
        f"{one},{other}",
        f"{one}\n{other}",
        f'["{one}", "{other}"]',
        [f"{one}, {other}"],
        f"{one} and {other}",
        f"- {one}\n- {other}",
        [f"[a]({address}) and `{other}`"],
    ):
        assert (await assistant.ask("get_transcripts", conversation_ids=both, max_turns=1)).ids() == [one, other]


async def test_an_example_of_a_group_is_an_id(assistant: Assistant) -> None:
    answer = await assistant.ask("summarize_results", **WEEK, group_by="status")
    examples = [str(group["example_conversation_id"]) for group in answer.rows("groups")]
    assert len((await assistant.ask("get_transcripts", conversation_ids=examples, max_turns=1)).ids()) == len(examples)


@pytest.mark.parametrize("form", ["{}", "`{}`", '"{}"', 'cursor="{}"', "next_cursor: {}"])
async def test_a_cursor_goes_on_in_any_spelling_of_the_same_question(assistant: Assistant, form: str) -> None:
    question: dict[str, object] = {**WEEK, "status": ["failed", "done", "completed", "ended"], "limit": 2}
    whole = await assistant.ask("list_conversations", **{**question, "limit": 4})
    first = await assistant.ask("list_conversations", **question)
    cursor = form.format(first.structure["next_cursor"])
    again = {**question, "status": "failed, done, completed, ended", "user_id": None, "cursor": cursor}
    assert first.ids() + (await assistant.ask("list_conversations", **again)).ids() == whole.ids()


async def test_what_is_printed_in_place_of_a_value_not_loaded_is_refused_in_words(assistant: Assistant) -> None:
    for arguments in (
        {"failure_reason": NOT_READ_YET},
        {"results": f"intent={NOT_READ_YET}"},
        {"agent_id": NOT_READ_YET},
    ):
        said = await assistant.refused("list_conversations", **arguments)
        assert "the details of these calls are not loaded" in said
        assert next(iter(arguments)) in said
    assert await matched(assistant, agent_id=NONE) == 0
