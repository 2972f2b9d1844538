"""The first lines of an answer."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from formant_mcp.queries.conversations import Existing
from formant_mcp.queries.coverage import Coverage
from formant_mcp.server.tools.text import coverage_lines, format_time, with_notes


@pytest.mark.parametrize(
    ("zone", "shown"), [("Asia/Kolkata", "1899-12-31 23:21 +05:21"), ("America/New_York", "1899-12-31 13:00 -05:00")]
)
def test_an_offset_is_hours_and_minutes_in_any_year(zone: str, shown: str) -> None:
    assert format_time(datetime(1899, 12, 31, 18, 0, tzinfo=UTC), ZoneInfo(zone)) == shown


def test_more_than_the_provider_counts_is_said_as_what_is_known() -> None:
    coverage = Coverage(matched=1_500, known=1_500, total=1_499, complete=True, as_of=None)
    assert coverage_lines(coverage, ZoneInfo("UTC"))[0] == (
        "1,500 of 1,500 conversations match; the provider counts 1,499; complete. Times: UTC."
    )


def test_the_number_of_transcripts_loaded_is_said_where_it_is_not_that_of_the_conversations_that_match() -> None:
    def loaded(needed: int, read: int, *, complete: bool = True) -> list[str]:
        coverage = Coverage(4, 9, 9, complete, None, details_needed=needed, details_read=read)
        return coverage_lines(coverage, ZoneInfo("UTC"))[1:]

    assert loaded(4, 4) == []
    assert loaded(4, 3, complete=False) == ["Transcripts loaded: 3 of 4"]
    assert loaded(4, 4, complete=False) == ["Transcripts loaded: 4 of 4"]
    assert loaded(9, 9) == ["Transcripts loaded: 9 of 9"]


def test_values_of_calls_that_were_stored_after_the_count_are_not_named() -> None:
    coverage = Coverage(matched=0, known=0, total=None, complete=True, as_of=None)
    assert with_notes(coverage, {"agent_id": Existing(["Sales (7)"], "Sales (7)", more=2)}).note == ""
    assert with_notes(coverage, {"status": Existing([], instead="call_successful=failure")}).note == (
        "Did you mean call_successful=failure?"
    )
    some = with_notes(replace(coverage, known=3), {"agent_id": Existing(["Sales (7)"])})
    assert some.note == 'No call has this agent_id among the 3 calls loaded so far. Existing values there: "Sales (7)".'
