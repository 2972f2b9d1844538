"""The calls and recordings of the sample account."""

import io
import re
import struct
import wave
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from formant_mcp.demo.audio import SAMPLE_RATE, wav_of, wav_size
from formant_mcp.demo.calls import SampleCall, sample_calls

NOW = datetime(2026, 7, 21, 10, 42, tzinfo=UTC)
DOCUMENTED = {"completed", "failed", "busy", "no_answer", "socket_failure", "telephony_failed", "unreachable"}
UNCONNECTED = {"failed", "busy", "no_answer", "telephony_failed", "unreachable"}


@pytest.fixture(scope="module")
def calls() -> tuple[SampleCall, ...]:
    return sample_calls(NOW)


def said_in(call: SampleCall, words: str, role: str = "contact") -> bool:
    return any(re.search(words, turn.text, re.IGNORECASE) for turn in call.turns if turn.role == role)


def test_the_same_moment_gives_the_same_calls(calls: tuple[SampleCall, ...]) -> None:
    assert sample_calls(NOW) == calls


def test_another_day_shifts_only_dates(calls: tuple[SampleCall, ...]) -> None:
    day = timedelta(days=1)
    later = sample_calls(NOW + day)
    assert [replace(call, started_at=call.started_at - day, results=None) for call in later] == [
        replace(call, results=None) for call in calls
    ]
    without_dates = [re.sub(r"\d{4}-\d\d-\d\d", "day", str(call.results)) for call in later]
    assert without_dates == [re.sub(r"\d{4}-\d\d-\d\d", "day", str(call.results)) for call in calls]


@pytest.mark.parametrize("hour", [0, 3, 9, 18, 23])
def test_about_630_calls_lie_within_60_days_and_none_in_the_future(hour: int) -> None:
    now = NOW.replace(hour=hour)
    calls = sample_calls(now)
    assert 600 <= len(calls) <= 660
    assert len({call.conversation_id for call in calls}) == len(calls)
    assert all(now - timedelta(days=60) <= call.started_at <= now for call in calls)
    assert [call.started_at for call in calls] == sorted((call.started_at for call in calls), reverse=True)


def test_the_calls_have_five_agents_every_documented_status_and_an_unknown_one(calls: tuple[SampleCall, ...]) -> None:
    assert {call.agent_id for call in calls} == {123, 456, 789, 452, 101}
    assert {call.status for call in calls} == DOCUMENTED | {"voicemail_left"}
    assert Counter(call.as_of(NOW).status for call in calls)["in_progress"] == 2


def test_calls_that_never_connected_have_only_a_failure_reason(calls: tuple[SampleCall, ...]) -> None:
    unconnected = [call for call in calls if call.status in UNCONNECTED]
    assert all(call.failure_reason and not call.duration_seconds for call in unconnected)
    assert all(not call.turns and call.results is None and call.recording == "none" for call in unconnected)


def test_turns_follow_each_other_within_the_call(calls: tuple[SampleCall, ...]) -> None:
    for call in calls:
        times = [second for turn in call.turns for second in (turn.seconds, turn.end_seconds)]
        assert times == sorted(times)
        assert not times or times[-1] <= (call.duration_seconds or 0)
        assert all(turn.text and "{" not in turn.text and "\n" not in turn.text for turn in call.turns)


def test_numbers_are_plainly_artificial(calls: tuple[SampleCall, ...]) -> None:
    assert all(re.fullmatch(r"\+9199999\d{5}|\+1415555\d{4}", call.contact_number) for call in calls)
    assert all(re.match(r"\+91999990|\+141555501", call.contact_number) for call in calls)


def test_retries_of_one_contact_are_numbered_in_order(calls: tuple[SampleCall, ...]) -> None:
    attempts: dict[str, list[int]] = {}
    for call in reversed(calls):
        case, _, number = call.conversation_id.rpartition("_")
        attempts.setdefault(case, []).append(int(number))
    assert all(numbers == sorted(numbers) and numbers[0] == 1 for numbers in attempts.values())
    assert max(map(len, attempts.values())) >= 3


def test_fewer_people_answer_in_the_evening(calls: tuple[SampleCall, ...]) -> None:
    evening, day = Counter[str](), Counter[str]()
    for call in calls:
        if call.agent_id != 452 and call.failure_reason != "Carrier returned SIP 503 Service Unavailable":
            (evening if (call.started_at + timedelta(hours=5, minutes=30)).hour >= 18 else day)[call.status] += 1
    assert evening["no_answer"] / evening.total() > 1.3 * day["no_answer"] / day.total()


def test_disputes_rise_with_the_new_prompt(calls: tuple[SampleCall, ...]) -> None:
    shares = {"v7": Counter[JsonValue](), "v8": Counter[JsonValue]()}
    for call in calls:
        if call.agent_id == 456 and call.results:
            shares[str(call.results["prompt_version"])][call.results["intent"]] += 1
    assert shares["v7"]["dispute"] / shares["v7"].total() < 0.15
    assert shares["v8"]["dispute"] / shares["v8"].total() > 0.4
    assert all(NOW - call.started_at < timedelta(days=8) for call in calls if said_in(call, "लेट फ़ीस|late fee"))


def test_the_carrier_failed_last_evening(calls: tuple[SampleCall, ...]) -> None:
    failed = [call for call in calls if call.failure_reason == "Carrier returned SIP 503 Service Unavailable"]
    local = [call.started_at + timedelta(hours=5, minutes=30) for call in failed]
    assert len(failed) >= 15
    assert {moment.date() for moment in local} == {(NOW - timedelta(days=1)).date()}
    assert {moment.hour for moment in local} == {18, 19}


def test_some_calls_mention_a_lawyer_a_refund_or_instructions_for_the_model(calls: tuple[SampleCall, ...]) -> None:
    assert sum(said_in(call, "lawyer|वकील") for call in calls) >= 3
    assert sum(said_in(call, "legal notice") for call in calls) >= 3
    (refund,) = [call for call in calls if said_in(call, "refund of 15,000 rupees")]
    assert refund.results is not None
    assert refund.results["refund_amount"] == 15000
    assert sum(said_in(call, "ignore previous instructions") for call in calls) == 2


def test_one_call_is_an_hour_long_and_all_others_under_half_an_hour(calls: tuple[SampleCall, ...]) -> None:
    second, longest = sorted((call for call in calls if call.duration_seconds), key=lambda c: c.duration_seconds or 0)[
        -2:
    ]
    assert 3400 < (longest.duration_seconds or 0) < 3800
    assert len(longest.turns) > 300
    assert (second.duration_seconds or 0) < 1800


def test_results_hold_every_kind_of_value(calls: tuple[SampleCall, ...]) -> None:
    values = [value for call in calls for value in (call.results or {}).values()]
    assert {type(value).__name__ for value in values} == {"str", "int", "float", "bool", "list", "dict", "NoneType"}
    assert any(call.status == "completed" and call.results is None for call in calls)


def test_a_running_call_has_no_end_and_completes_later(calls: tuple[SampleCall, ...]) -> None:
    running = [call for call in calls if call.as_of(NOW) != call]
    for call in running:
        early = call.as_of(NOW)
        assert (early.status, early.ended_at, early.results, early.recording) == (
            "in_progress",
            None,
            None,
            "not ready",
        )
        assert len(early.turns) < len(call.turns)
        assert call.as_of(NOW + timedelta(hours=2)).status == "completed"


def test_recordings_of_every_encoding_are_as_long_as_their_calls(calls: tuple[SampleCall, ...]) -> None:
    forms = Counter[tuple[int, int]]()
    for call in (call for call in calls if call.recording == "ready" and call.duration_seconds):
        head = b"".join(wav_of(call)) if (call.duration_seconds or 0) > 1800 else next(wav_of(call))
        code, channels, rate, _, frame_bytes = struct.unpack_from("<HHIIH", head, 20)
        (data_bytes,) = struct.unpack_from("<I", head, head.index(b"data") + 4)
        assert rate == SAMPLE_RATE
        assert data_bytes / frame_bytes / rate == pytest.approx(call.duration_seconds)
        forms[code, channels] += 1
    assert {code for code, _ in forms} == {1, 6, 7}
    assert {channels for _, channels in forms} == {1, 2}


def test_a_pcm_recording_is_loud_during_turns_and_quiet_between(calls: tuple[SampleCall, ...]) -> None:
    channels_seen: set[int] = set()
    for call in [call for call in calls if call.recording == "ready"][:40]:
        content = b"".join(wav_of(call))
        assert len(content) == wav_size(call)
        if struct.unpack_from("<H", content, 20) != (1,):
            continue
        with wave.open(io.BytesIO(content)) as recording:
            channels_seen.add(recording.getnchannels())
            assert recording.getnframes() == round((call.duration_seconds or 0) * SAMPLE_RATE)
            frames = memoryview(recording.readframes(recording.getnframes())).cast("h")
        loud = [max(frames[at : at + 160]) > 1000 for at in range(0, len(frames), 160)]
        windows = len(loud) / (call.duration_seconds or 1)
        assert all(any(loud[int(turn.seconds * windows) :][: int(windows)]) for turn in call.turns)
        if len(call.turns) > 1:
            assert longest_run_of_silence(loud) / windows >= 3
    assert channels_seen == {1, 2}


def longest_run_of_silence(loud: list[bool]) -> int:
    return max(map(len, "".join("x" if window else "." for window in loud).split("x")))
