"""Hours and weekdays in the forms that people and models write."""

import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NO_TIME
from formant_mcp.queries.clock import parse_hours, parse_weekdays
from formant_mcp.queries.time_buckets import WEEKDAYS


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("", ()),
        ("9", (9,)),
        ("09", (9,)),
        ("9-11", (9, 10)),
        ("9 to 11", (9, 10)),
        ("09:00-11:00", (9, 10)),
        ("9am-1pm", (9, 10, 11, 12)),
        ("1-3pm", (13, 14)),
        ("12am-2am", (0, 1)),
        ("22-24", (22, 23)),
        ("20-6", (0, 1, 2, 3, 4, 5, 20, 21, 22, 23)),
        ("9-10, 14", (9, 14)),
        ("(none)", (NO_TIME,)),
    ],
)
def test_hours_are_parsed(text: str, hours: tuple[int, ...]) -> None:
    assert parse_hours(text) == hours


@pytest.mark.parametrize("text", ["25", "9-25", "9-9", "noon", "9:30-10", "-3", "13pm", "24"])
def test_invalid_hours_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="hours must be whole hours"):
        parse_hours(text)


@pytest.mark.parametrize(
    ("names", "days"),
    [
        ([], ()),
        (["Monday"], (0,)),
        (["mon", "FRI.", "Thurs"], (0, 3, 4)),
        (["Mon-Wed"], (0, 1, 2)),
        (["Saturday to Monday"], (0, 5, 6)),
        (["weekdays"], (0, 1, 2, 3, 4)),
        (["weekend"], (5, 6)),
        (["(none)"], (NO_TIME,)),
    ],
)
def test_weekdays_are_parsed(names: list[str], days: tuple[int, ...]) -> None:
    assert parse_weekdays(names) == days


@pytest.mark.parametrize(("name", "suggestion"), [("Mnday", "Monday"), ("x", ""), ("someday", "")])
def test_an_invalid_weekday_is_refused_with_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(InvalidRequestError, match="weekdays must be days") as caught:
        parse_weekdays([name])
    assert suggestion in caught.value.message


def test_weekdays_and_hours_are_accepted_as_printed() -> None:
    assert [parse_weekdays([name]) for name in WEEKDAYS] == [(day,) for day in range(7)]
    assert [parse_hours(f"{hour:02d}") for hour in range(24)] == [(hour,) for hour in range(24)]
