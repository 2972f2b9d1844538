"""Whatever an answer prints is accepted as an argument, with the meaning that it was printed with.

The tests list, group and profile the sample account. Every id, address, name, value, label, time and cursor of
the answers is sent back as an argument, and must match as many calls as the answer said, or its own call.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import JsonValue

from formant_mcp.filters import NONE, NOT_READ_YET
from tests import calls
from tests.examples import is_thorough, some
from tests.fake_formant import FakeFormant
from tests.sample_stores import SampleStores
from tests.server_harness import NOW, Account, Answer, Assistant

pytestmark = pytest.mark.anyio

WEEK: dict[str, object] = {"since": "2026-11-14", "until": "2026-11-20"}
GROUPINGS = ("status", "agent_id", "failure_reason", "contact_number", "hour", "weekday", "day", "week", "month")
MOST = 5 if is_thorough() else 2  # values of a grouping, or of a field, that are sent back


@pytest.fixture(params=some(["formant", "voiceos", "elevenlabs", "voiceable"], 2))
async def assistant(
    request: pytest.FixtureRequest, tmp_path: Path, sample_stores: SampleStores
) -> AsyncGenerator[Assistant]:
    """Connected to the loaded sample account of each provider."""
    store = str(await sample_stores.copy(request.param, tmp_path))
    account = Account(FakeFormant(), "auto", tmp_path)
    async with account.connect_to_sample(provider=request.param, store=store, call_seconds=60) as assistant:
        yield assistant


async def matched(assistant: Assistant, **arguments: object) -> JsonValue:
    """How many calls match."""
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


def filter_of(grouping: str, value: str) -> dict[str, object]:
    """The filter for a group's key."""
    if grouping in ("day", "week", "month"):
        return {"since": value, "until": value}
    if grouping in ("hour", "weekday"):
        return {f"{grouping}s": value}
    if grouping.startswith("results."):
        return {"results": [f"{grouping}={value}"]}
    return {grouping: value}


async def test_a_groups_key_filters_by_that_group(assistant: Assistant) -> None:
    fields = [f"results.{field['path']}" for field in listed((await profile(assistant))["results"])]
    for grouping in (*GROUPINGS, *fields):
        answer = await assistant.ask("summarize_results", group_by=grouping, top=100)
        for name, value, count in groups(answer):
            assert await matched(assistant, **filter_of(name, value)) == count, (name, value)
            if name in ("status", "agent_id", "failure_reason"):
                for form in (f"`{value}`", f"{value} ({count} calls)"):
                    assert await matched(assistant, **{name: form}) == count, (name, form)


@pytest.mark.parametrize(("grouping", "since", "until"), [("week", "2026-W45", "2026-W47"), ("month", "2026-10", "")])
async def test_a_printed_week_or_month_filters_by_that_period(
    assistant: Assistant, grouping: str, since: str, until: str
) -> None:
    answer = await assistant.ask("summarize_results", since=since, until=until, group_by=grouping)
    listed_groups = list(groups(answer))
    assert next(value for _, value, _ in listed_groups) == since
    for _, value, count in listed_groups:
        assert await matched(assistant, since=value, until=value) == count


async def profile(assistant: Assistant) -> dict[str, JsonValue]:
    """The profile of all calls."""
    answer = (await assistant.client.call_tool("summarize_results", {"top": 20})).structured_content
    assert answer is not None
    return answer["profile"]


def listed(value: JsonValue) -> list[dict[str, JsonValue]]:
    assert isinstance(value, list)
    return [item for item in value if isinstance(item, dict)]


def pairs(value: JsonValue) -> list[tuple[str, JsonValue]]:
    """Values with their counts."""
    assert isinstance(value, list)
    return [(str(pair[0]), pair[1]) for pair in value if isinstance(pair, list)]


async def test_values_of_a_profile_filter_by_those_values(assistant: Assistant) -> None:
    answer = await profile(assistant)
    for name, counted in (("agent_id", answer["agents"]), ("status", answer["statuses"])):
        for value, count in pairs(counted):
            assert await matched(assistant, **{name: value}) == count
    span = {"since": answer["started_from"], "until": answer["started_to"]}
    assert await matched(assistant, **span) == await matched(assistant)
    for field in listed(answer["results"]):
        path, count = str(field["path"]), field["count"]
        for place, (value, having) in enumerate(pairs(field.get("top", []))[:MOST]):
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


async def test_each_field_of_a_row_finds_that_row(assistant: Assistant) -> None:
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
            arguments = {**WEEK, argument: value, "since": row["started_at"], "until": row["started_at"]}
            assert row["conversation_id"] in (await assistant.ask("list_conversations", **arguments)).ids(), name


async def test_a_printed_time_finds_its_call(assistant: Assistant) -> None:
    answer = await assistant.ask("list_conversations", **WEEK, limit=5)
    printed = re.findall(r"\t(\d\d-\d\d \d\d:\d\d)\t", answer.text)
    assert len(printed) == 5
    for conversation_id, minute in zip(answer.ids(), printed, strict=True):
        for time in (minute, f"{minute} +05:30", f"2026-{minute}"):
            page = await assistant.ask("list_conversations", since=time, until=time)
            assert conversation_id in page.ids()


async def test_ids_and_addresses_are_accepted_as_copied(assistant: Assistant) -> None:
    connected = {"call_successful": "success"}  # only these have a recording
    everything = (await assistant.ask("list_conversations", limit=100)).ids()
    ids = (await assistant.ask("list_conversations", **WEEK, **connected, limit=50)).ids()
    alone = [call_id for call_id in ids if sum(other[:36] == call_id[:36] for other in everything) == 1]
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


async def test_the_example_of_a_group_is_a_valid_id(assistant: Assistant) -> None:
    answer = await assistant.ask("summarize_results", **WEEK, group_by="status")
    examples = [str(group["example_conversation_id"]) for group in answer.rows("groups")]
    assert len((await assistant.ask("get_transcripts", conversation_ids=examples, max_turns=1)).ids()) == len(examples)


@pytest.mark.parametrize("form", ["{}", "`{}`", '"{}"', 'cursor="{}"', "next_cursor: {}"])
async def test_a_cursor_works_in_any_spelling_of_the_same_arguments(assistant: Assistant, form: str) -> None:
    question: dict[str, object] = {**WEEK, "status": ["failed", "done", "completed", "ended"], "limit": 2}
    whole = await assistant.ask("list_conversations", **{**question, "limit": 4})
    first = await assistant.ask("list_conversations", **question)
    cursor = form.format(first.structure["next_cursor"])
    again = {**question, "status": "failed, done, completed, ended", "user_id": None, "cursor": cursor}
    assert first.ids() + (await assistant.ask("list_conversations", **again)).ids() == whole.ids()


async def test_the_placeholder_for_values_not_loaded_is_refused_with_the_reason(assistant: Assistant) -> None:
    for arguments in (
        {"failure_reason": NOT_READ_YET},
        {"results": f"intent={NOT_READ_YET}"},
        {"agent_id": NOT_READ_YET},
    ):
        said = await assistant.refused("list_conversations", **arguments)
        assert "the details of these calls are not loaded" in said
        assert next(iter(arguments)) in said
    assert await matched(assistant, agent_id=NONE) == 0


async def test_a_name_in_quotes_is_accepted_as_the_profile_prints_it(assistant: Assistant) -> None:
    printed = (await assistant.ask("summarize_results", top=20)).text
    line = re.search(r"^agents: (.*)$", printed, re.MULTILINE)
    assert line
    for agent, count in re.findall(r"(\"[^\"]+\" \(\d+, (\d+) calls\))", line[1]):
        for form in (agent, agent.split(" (")[0], agent.replace(f", {count} calls", "")):
            assert await matched(assistant, agent_id=form) == int(count), form
    assert ('"' in line[1]) == ("agent_names" in await profile(assistant))


ODD_VALUES = ("fine, intent=paid, csat=5", 'he said "no", and intent=paid', "back\\slash, a=1", '"quoted"')


@pytest.mark.parametrize("value", ODD_VALUES)
async def test_a_value_in_quotes_is_accepted_as_a_transcript_prints_it(value: str, tmp_path: Path) -> None:
    account = Account(FakeFormant(), "auto", tmp_path)
    account.api.add(calls.conversation(1, NOW, results={"note": value, "csat": 5}))
    account.api.add(calls.conversation(2, NOW, results={"note": "fine", "csat": 5}))
    async with account.connect() as assistant:
        read = await assistant.ask("get_transcripts", conversation_ids=[calls.conversation_id(1)])
        printed = re.search(r"^results: (note=.*), csat=5$", read.text, re.MULTILINE)
        assert printed
        assert (await assistant.ask("list_conversations", results=printed[1])).ids() == [calls.conversation_id(1)]
        assert (await assistant.ask("list_conversations", results=[printed[1]])).ids() == [calls.conversation_id(1)]
