"""With any part of an account missing, no answer says what is false of the whole account.

The provider fails for a drawn part of the calls and of the list, or the time of a question is over; some calls changed
since they were loaded. Every answer is compared with the account as it is.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from formant_mcp.models import Conversation
from tests.examples import examples
from tests.tools.partly_loaded import (
    A_CALL,
    FILTERS,
    NONE,
    START,
    UNREAD,
    Figures,
    Said,
    Situation,
    ToolsHarness,
    answers,
    count,
    explained,
    matching,
    matching_then,
    number,
    objects,
    pairs,
    situations,
    successes,
    value_of,
)


def check_coverage(answer: Said, situation: Situation, asked: Figures) -> None:
    """What every answer says of what it covers, and of the values that exist."""
    matched, true = count(answer.coverage["matched"]), len(matching(situation, asked))
    most = len(matching_then(situation, asked))
    first = answer.text.split("\n")[0]
    is_stale = "missing" in str(asked)  # a call without a value when it was loaded may have one now
    if not re.search(r"match(es)? so far", first):
        assert matched == true
    assert matched <= most or is_stale
    if answer.coverage["complete"]:
        assert matched == true
        assert "so far" not in answer.note
    else:
        assert answer.note
    for name, existing in re.findall(
        r"(?:No call has this(?: value of)?|Some of the) ([\w.]+)[^.:]*\. Existing values: (.*?)\.", answer.note
    ):
        name = "status" if name == "statuses" else name
        values = {value_of(call, name) for call in situation.now} - {NONE}
        named, _, more = existing.partition(" and ")
        named = "" if named.startswith("not listed here") else named
        left_out = re.search(r"(?:^| all )(\d+)", more or existing)
        ids = {
            re.sub(r".* \((.+)\)$", r"\1", each.strip('"')) for each in named.split(", ") if each
        }  # an agent is `Name (id)`
        assert ids == ({value for value in values if " " not in value or "results" not in name} or ids & {"none"})
        assert len(ids - {"none"}) + int(left_out[1] if left_out else 0) == len(values)
    if guess := re.search(r"Did you mean (.+?)\?", answer.note):
        guesses = {"dispute", "call_successful=failure"}
        assert guess[1].strip('"') in {*guesses, *(f"{call.agent_name} ({call.agent_id})" for call in situation.now)}


@settings(max_examples=examples(0.8))
@given(situation=situations(), asked=st.sampled_from(FILTERS), mode=st.sampled_from(["exclude", "include"]))
def test_a_list_shows_only_what_matches(situation: Situation, asked: Figures, mode: str) -> None:
    answer = answers(situation, "list_conversations", **asked, summary_mode=mode)
    if answer is None:
        return
    with explained(answer.text):
        check_coverage(answer, situation, asked)
        true = {call.conversation_id for call in matching(situation, asked)}
        most = {call.conversation_id for call in matching_then(situation, asked)}
        shown = [str(row["conversation_id"]) for row in objects(answer.structure["conversations"])]
        assert len(shown) <= count(answer.coverage["matched"])
        if "missing" not in str(asked):
            assert set(shown) <= most
        if answer.coverage["complete"]:
            assert set(shown) == true


GROUPINGS = ["status", "agent_id", "failure_reason", "contact_number", "results.intent", "results.csat"]


@settings(max_examples=examples(1.5))
@given(
    situation=situations(),
    asked=st.sampled_from(FILTERS),
    groupings=st.lists(st.sampled_from(GROUPINGS), unique=True, max_size=2),
    measures=st.lists(st.sampled_from(["duration_seconds", "results.csat"]), unique=True, max_size=1),
    top=st.sampled_from([1, 2, 100]),
)
def test_groups_shares_and_measures_are_of_what_was_read(
    situation: Situation, asked: Figures, groupings: list[str], measures: list[str], top: int
) -> None:
    if not groupings and not measures:
        return
    answer, whole = (
        answers(situation, "summarize_results", **asked, group_by=[*groupings], measures=[*measures], top=most)
        for most in (top, 100)
    )
    if answer is None or whole is None:
        return
    calls, most = matching(situation, asked), matching_then(situation, asked)
    groups, overall = objects(whole.structure["groups"]), objects([whole.structure["overall"]])[0]
    with explained(answer.text, whole.text):
        check_coverage(answer, situation, asked)
        if situation.seconds:
            check_top(objects(answer.structure["groups"]), groups, top)
        else:
            answer = whole  # either of the two questions may have read more when its time was over
        if "missing" in str(asked) and not answer.coverage["complete"]:
            return
        assert count(overall["count"]) <= len(most)
        assert not groupings or sum(count(group["count"]) for group in groups) == count(overall["count"])
        read = sum(count(group["count"]) for group in groups if UNREAD not in objects([group["key"]])[0].values())
        if read < count(overall["count"]) and groupings:
            assert f"loaded so far: {read} of {overall['count']}" in answer.note
            assert "share" not in overall
            assert not read or all("count of loaded" in each.text for each in (answer, whole))
        check_shares(groups, read, groupings)
        for group in [*groups, overall]:
            check_group(group, calls, most, answer)


def check_top(shown: list[Figures], groups: list[Figures], top: int) -> None:
    """The largest groups are shown, and as many of calls that are not loaded."""
    for is_unread in (False, True):
        of, all_of = (
            [each for each in some if (UNREAD in objects([each["key"]])[0].values()) == is_unread]
            for some in (shown, groups)
        )
        assert of == all_of[:top]


def check_shares(groups: list[Figures], read: int, groupings: list[str]) -> None:
    """Shares are of what was read, within the first grouping too; what was not read has none."""
    first: Counter[str] = Counter()
    keys = [{name: str(value) for name, value in objects([group["key"]])[0].items()} for group in groups]
    for group, key in zip(groups, keys, strict=True):
        if UNREAD not in key.values():
            first[key[groupings[0]]] += count(group["count"])
    for group, key in zip(groups, keys, strict=True):
        if UNREAD in key.values():
            assert not {"share", "share_within_first"} & set(group)
            continue
        assert abs(number(group["share"]) - count(group["count"]) / read) < 1e-9
        if len(groupings) > 1:
            assert abs(number(group["share_within_first"]) - count(group["count"]) / first[key[groupings[0]]]) < 1e-9


def check_group(group: Figures, calls: list[Conversation], most: list[Conversation], answer: Said) -> None:
    key = {name: str(value) for name, value in objects([group["key"]])[0].items()}
    true, maybe = (
        [call for call in some if all(value in (UNREAD, value_of(call, name)) for name, value in key.items())]
        for some in (calls, most)
    )
    assert count(group["count"]) <= len(maybe)
    is_whole = answer.coverage["complete"] or not ("cover the calls" in answer.note or "so far" in answer.note)
    if is_whole and UNREAD not in key.values():
        assert count(group["count"]) == len(true)
        rate = group.get("success_rate")
        assert (rate is None) == (not true)
        assert rate is None or abs(number(rate) - successes(true) / len(true)) < 1e-9
    for path, measure in objects([group.get("measures", {})])[0].items():
        found, figures = numbers(maybe, path), objects([measure])[0]
        assert count(figures["count"]) <= len(found)
        assert number(figures["min"]) >= min(found)
        assert number(figures["max"]) <= max(found)
        if answer.coverage["complete"]:
            assert abs(number(figures["sum"]) - sum(numbers(true, path))) < 1e-9


def numbers(calls: Iterable[Conversation], path: str) -> list[float]:
    name = path.removeprefix("results.")
    values = [call.duration_seconds if name == path else (call.results or {}).get(name) for call in calls]
    return [float(value) for value in values if isinstance(value, int | float)]


@settings(max_examples=examples(0.8))
@given(situation=situations(), asked=st.sampled_from(FILTERS))
def test_a_profile_marks_the_fields_that_cover_a_part(situation: Situation, asked: Figures) -> None:
    answer = answers(situation, "summarize_results", **asked)
    if answer is None:
        return
    calls, most = matching(situation, asked), matching_then(situation, asked)
    profile = objects([answer.structure["profile"]])[0]
    with explained(answer.text):
        check_coverage(answer, situation, asked)
        if "missing" in str(asked) and not answer.coverage["complete"]:
            return
        fields = {str(field["path"]): field for field in objects(profile["results"])}
        for path, field in fields.items():
            true = [call for call in most if value_of(call, f"results.{path}") != NONE]
            assert count(field["count"]) <= len(true)
            for value, n in pairs(field.get("top")).items():
                assert n <= sum(value_of(call, f"results.{path}") == value for call in true)
            whole = [call for call in calls if value_of(call, f"results.{path}") != NONE]
            if not answer.coverage["complete"] and count(field["count"]) < len(whole):
                assert "so far" in answer.note
        if not answer.coverage["complete"] and "Result fields cover" in answer.note:
            assert len(re.findall(r"^results\.\w+ \(\w+, \d+ of \d+ calls loaded\)", answer.text, re.MULTILINE)) == len(
                fields
            )
        if re.search(r"^no result fields$", answer.text, re.MULTILINE) and "so far" not in answer.note:
            assert not any(call.results for call in calls)
        for name, column in (("agents", "agent_id"), ("statuses", "status")):
            true, maybe = (Counter(value_of(call, column) for call in some) for some in (calls, most))
            shown = pairs(profile.get(name))
            assert all(n <= maybe[value] for value, n in shown.items())
            assert shown == true or "so far" in answer.note


@settings(max_examples=examples(0.6))
@given(situation=situations(), grouping=st.sampled_from(GROUPINGS), cut=st.integers(0, 10))
def test_a_comparison_is_of_what_was_read_in_both_periods(situation: Situation, grouping: str, cut: int) -> None:
    middle = START - cut * timedelta(minutes=1)
    answer = answers(
        situation,
        "summarize_results",
        group_by=[grouping],
        since=middle.isoformat(),
        compare_since=(START - timedelta(days=1)).isoformat(),
        top=100,
    )
    if answer is None:
        return
    with explained(answer.text):
        earlier = [call for call in situation.now if (call.started_at or middle) < middle]
        counts = [len(situation.now) - len(earlier), len(earlier)]
        overall = objects([answer.structure["overall"]])[0]
        if "change" in overall:
            assert objects([overall["change"]])[0]["count"] == counts[0] - counts[1]
        for group in objects(answer.structure["groups"]):
            value = str(objects([group["key"]])[0][grouping])
            true = [call for call in matching_then(situation, {}) if value in (UNREAD, value_of(call, grouping))]
            periods = [[call for call in true if (call.started_at or middle) >= middle], true]
            periods[1] = [call for call in true if call not in periods[0]]
            change = objects([group.get("change", {})])[0]
            if change:
                now, before = ([call for call in calls if call in situation.now] for calls in periods)
                assert change["count"] == len(now) - len(before)
                if "share" in change:
                    share = len(now) / counts[0] - len(before) / counts[1]
                    assert abs(number(change["share"]) - share) < 1e-9
            for figures, calls in zip([group, objects([group["previous"]])[0]], periods, strict=True):
                assert count(figures["count"]) <= len(calls)
                if answer.coverage["complete"]:
                    assert count(figures["count"]) == len([call for call in calls if call in situation.now])
                assert ("success_rate" in figures) == bool(figures["count"])
            if value == UNREAD:
                assert "share" not in group
                assert not change


@settings(max_examples=examples(0.6))
@given(situation=situations())
def test_transcripts_and_hits_are_those_of_the_account(situation: Situation) -> None:
    hits = answers(situation, "search_transcripts", query="no way")
    true = {call.conversation_id for call in situation.now if call.turns and call.turns[1].text == "no way"}
    if hits:
        found = {str(hit["conversation_id"]) for hit in objects(hits.structure["hits"])}
        assert found <= true
        assert count(hits.structure["hits_total"]) <= len(true)
        assert not hits.coverage["complete"] or found == true
    if not situation.now:
        return
    ids = [call.conversation_id for call in situation.now]
    read = answers(situation, "get_transcripts", conversation_ids=[*ids])
    if read is None:
        return
    with explained(read.text):
        shown = {
            str(row["conversation_id"]): str(row["transcript"]) for row in objects(read.structure["conversations"])
        }
        for call in situation.now:
            if read.coverage["complete"] or shown.get(call.conversation_id):
                assert [turn.text in shown[call.conversation_id] for turn in call.turns or ()] == [True, True]
        assert ("no transcript\n" in f"{read.text}\n") is False


def test_an_incomplete_answer_says_how_long_the_rest_takes_and_what_loads_it() -> None:
    times = [START - n * timedelta(minutes=1) for n in range(60)]
    now = tuple(A_CALL._replace(conversation_id=f"call-{n:04d}", started_at=time) for n, time in enumerate(times))
    ids = frozenset(call.conversation_id for call in now)
    situation = Situation(now, now, ids, frozenset(), 99, 0.3, frozenset())

    async def ask() -> Said:
        harness = await ToolsHarness.open(situation)
        harness.source.requests_per_minute = 50.0
        harness.source.waits = True
        try:
            await harness.prepare()
            return await harness.ask("summarize_results", 0.3, group_by=["results.intent"])
        finally:
            await harness.app.aclose()

    answer = asyncio.run(ask())
    assert (
        "60 of 60 matching conversations still to load (about 1 min at 50 requests a minute). Ask again, narrow by"
        " since, agent_id or status, or run `formant-mcp sync` once to load everything."
    ) in answer.note
    assert "results.intent\tcount\texample\n(not read yet)\t60\t" in answer.text


def test_agents_are_shown_with_their_names() -> None:
    situation = Situation((A_CALL,), (A_CALL,), frozenset(), frozenset(), 99, 60.0, frozenset())
    groups = answers(situation, "summarize_results", group_by=["agent_id"])
    assert groups
    assert "Sales (7)\t1" in groups.text
    assert objects(groups.structure["groups"])[0]["agent_name"] == "Sales"
    whole = answers(situation, "summarize_results")
    assert whole
    assert "agents: Sales (7, 1 call)" in whole.text
    assert objects([whole.structure["profile"]])[0]["agent_names"] == {"7": "Sales"}
