"""Dates as people write them, in the user's time zone, across clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.queries.dates import parse_since, parse_until

NOW = datetime(2026, 11, 21, 5, 12, tzinfo=UTC)
KOLKATA = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
CAIRO = ZoneInfo("Africa/Cairo")
LAST = timedelta(milliseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20 18:00:30.5", "2026-11-20T12:30:30.500"),
        ("24h", "2026-11-20T05:12"),
        ("7d", "2026-11-14T05:12"),
        ("2w", "2026-11-07T05:12"),
        (" 2 W ", "2026-11-07T05:12"),
        ("0h", "2026-11-21T05:12"),
        ("now", "2026-11-21T05:12"),
        ("90m", "2026-11-21T03:42"),
        ("30 min", "2026-11-21T04:42"),
        ("24 hours", "2026-11-20T05:12"),
        ("24 hours ago", "2026-11-20T05:12"),
        ("an hour ago", "2026-11-21T04:12"),
        ("7 days", "2026-11-14T05:12"),
        ("7d ago", "2026-11-14T05:12"),
        ("1 week", "2026-11-14T05:12"),
        ("2 Weeks Ago", "2026-11-07T05:12"),
        ("a month ago", "2026-10-21T05:12"),
        ("9 months", "2026-02-21T05:12"),
        ("2 years", "2024-11-21T05:12"),
        ("1763700000000", "2025-11-21T04:40"),
    ],
)
def test_a_moment_is_the_same_for_since_and_until(text: str, moment: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == parse_until(text, NOW, KOLKATA) == utc(moment)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("2026-11-20", "2026-11-19T18:30"),
        ("20261120", "2026-11-19T18:30"),
        ("2026-W47-5", "2026-11-19T18:30"),
        ("today", "2026-11-20T18:30"),
        (" Today ", "2026-11-20T18:30"),
        ("yesterday", "2026-11-19T18:30"),
        ("YESTERDAY", "2026-11-19T18:30"),
    ],
)
def test_a_day_begins_at_its_midnight_and_includes_its_last_moment(text: str, begins: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == utc(begins)
    assert parse_until(text, NOW, KOLKATA) == utc(begins) + timedelta(days=1) - LAST


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("11-20 18:32", "2026-11-20T13:02"),
        ("01-01 00:00 +00:00", "2026-01-01T00:00"),
        ("11-21 10:43", "2026-11-21T05:13"),  # a minute from now, as clocks differ
        ("11-23 10:00", "2025-11-23T04:30"),
        ("12-31 23:59", "2025-12-31T18:29"),
        ("02-29 10:00", "2024-02-29T04:30"),
    ],
)
def test_a_time_without_its_year_as_tables_print_it_is_the_latest_such(text: str, begins: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == utc(begins)
    assert parse_until(text, NOW, KOLKATA) == utc(begins) + timedelta(minutes=1) - LAST


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-W47", "2026-11-16", "2026-11-22"),
        ("2026-w47", "2026-11-16", "2026-11-22"),
        ("this week", "2026-11-16", "2026-11-22"),
        ("last week", "2026-11-09", "2026-11-15"),
        ("Previous Week", "2026-11-09", "2026-11-15"),
        ("2026-11", "2026-11-01", "2026-11-30"),
        ("this month", "2026-11-01", "2026-11-30"),
        ("last month", "2026-10-01", "2026-10-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2026", "2026-01-01", "2026-12-31"),
        ("last year", "2025-01-01", "2025-12-31"),
        ("2026/11/20", "2026-11-20", "2026-11-20"),
        ('"yesterday"', "2026-11-20", "2026-11-20"),
    ],
)
def test_a_period_is_parsed_from_its_name_or_its_printed_label(text: str, begins: str, ends: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == parse_since(begins, NOW, KOLKATA)
    assert parse_until(text, NOW, KOLKATA) == parse_until(ends, NOW, KOLKATA)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("last 7 days", "2026-11-14T05:12"),
        ("the last 24 hours", "2026-11-20T05:12"),
        ("past 2 weeks", "2026-11-07T05:12"),
        ("past week", "2026-11-14T05:12"),
        ("last hour", "2026-11-21T04:12"),
        ("past month", "2026-10-21T05:12"),
    ],
)
def test_the_last_days_end_now(text: str, begins: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == utc(begins)
    assert parse_until(text, NOW, KOLKATA) == NOW


@pytest.mark.parametrize(
    ("text", "begins", "lasts"),
    [
        ("2026-11-20T18:32:41+05:30", "2026-11-20T13:02:41", timedelta(seconds=1)),
        ("2026-11-20 18:32:41", "2026-11-20T13:02:41", timedelta(seconds=1)),
        ("1763700000", "2025-11-21T04:40", timedelta(seconds=1)),
        ("2026-11-20 18:32 +05:30", "2026-11-20T13:02", timedelta(minutes=1)),
        ("2026-11-20 18:32", "2026-11-20T13:02", timedelta(minutes=1)),
        ("2026-11-20T18:32", "2026-11-20T13:02", timedelta(minutes=1)),
        ("20261120T1832", "2026-11-20T13:02", timedelta(minutes=1)),
        ("`2026/11/20 18:32`", "2026-11-20T13:02", timedelta(minutes=1)),
        ("2026-11-20T18:00Z", "2026-11-20T18:00", timedelta(minutes=1)),
        ("2026-11-20t18:00z", "2026-11-20T18:00", timedelta(minutes=1)),
        ("2026-11-20T18:00 UTC", "2026-11-20T18:00", timedelta(minutes=1)),
        ("2026-11-20T18:00+01:00", "2026-11-20T17:00", timedelta(minutes=1)),
        ("2026-11-20T18:00-05:00", "2026-11-20T23:00", timedelta(minutes=1)),
        ("2026-11-20 18:00 +0530", "2026-11-20T12:30", timedelta(minutes=1)),
        ("2026-11-20T18", "2026-11-20T12:30", timedelta(minutes=1)),
        ("2026-11-20+05:30", "2026-11-19T18:30", timedelta(days=1)),
        ("2026-11-20 +0530", "2026-11-19T18:30", timedelta(days=1)),
        ("2026-11-20-05:00", "2026-11-20T05:00", timedelta(days=1)),
        ("2026-11-20Z", "2026-11-20T00:00", timedelta(days=1)),
        ("2026-11-20 UTC", "2026-11-20T00:00", timedelta(days=1)),
    ],
)
def test_a_time_as_printed_covers_its_whole_second_minute_or_day(text: str, begins: str, lasts: timedelta) -> None:
    assert parse_since(text, NOW, KOLKATA) == utc(begins)
    assert parse_until(text, NOW, KOLKATA) == utc(begins) + lasts - LAST


@pytest.mark.parametrize("text", ["2026-11-20T24:00", "2026-11-20 24:00:00", "2026-11-20T24:00+05:30"])
def test_24_00_is_the_end_of_its_day(text: str) -> None:
    assert parse_since(text, NOW, KOLKATA) == parse_until(text, NOW, KOLKATA) == utc("2026-11-20T18:30") - LAST


def test_a_month_before_the_31st_is_the_last_day_of_a_shorter_month() -> None:
    assert parse_since("a month ago", utc("2026-03-31T12:00"), UTC_ZONE) == utc("2026-02-28T12:00")


def test_today_is_the_day_in_the_users_zone() -> None:
    late = utc("2026-11-20T20:00")  # already the 21st in Kolkata, still the 20th in New York
    assert parse_since("today", late, KOLKATA) == utc("2026-11-20T18:30")
    assert parse_since("today", late, NEW_YORK) == utc("2026-11-20T05:00")


@pytest.mark.parametrize(
    ("day", "zone", "begins", "hours"),
    [
        ("2026-03-29", BERLIN, "2026-03-28T23:00", 23),
        ("2026-10-25", BERLIN, "2026-10-24T22:00", 25),
        ("2026-10-26", BERLIN, "2026-10-25T23:00", 24),
        ("2026-03-08", NEW_YORK, "2026-03-08T05:00", 23),
        ("2026-11-01", NEW_YORK, "2026-11-01T04:00", 25),
        ("2026-04-24", CAIRO, "2026-04-23T22:00", 23),  # there the clocks skip midnight
    ],
)
def test_a_day_of_a_clock_change_has_its_real_length(day: str, zone: ZoneInfo, begins: str, hours: int) -> None:
    assert parse_since(day, NOW, zone) == utc(begins)
    assert parse_until(day, NOW, zone) == utc(begins) + timedelta(hours=hours) - LAST


@pytest.mark.parametrize("zone", [KOLKATA, BERLIN, NEW_YORK, CAIRO])
def test_days_follow_each_other_without_gap_or_overlap(zone: ZoneInfo) -> None:
    days = [f"{datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n):%Y-%m-%d}" for n in range(366)]
    ends = [parse_until(day, NOW, zone) for day in days]
    begins = [parse_since(day, NOW, zone) for day in days]
    assert [end + LAST for end in ends[:-1] if end] == begins[1:]


def test_yesterday_is_right_after_a_day_of_23_hours() -> None:
    after_the_change = utc("2026-03-29T22:30")  # the 30th in Berlin, 0:30
    assert parse_since("yesterday", after_the_change, BERLIN) == utc("2026-03-28T23:00")
    assert parse_until("yesterday", after_the_change, BERLIN) == utc("2026-03-29T22:00") - LAST


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_date_is_no_bound(text: str) -> None:
    assert parse_since(text, NOW, KOLKATA) is None
    assert parse_until(text, NOW, KOLKATA) is None


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "last day of march",
        "this day",
        "next week",
        "Monday",
        "18",
        "W47",
        "2026-W54",
        "2026-13",
        "ago",
        "2026-11-20 to 2026-11-21",
        "7",
        "days",
        "-7d",
        "7.5d",
        "2026-13-01",
        "2026-02-30",
        "20.11.2026",
        "2026-11-20T25:00",
        "18:00",
        "176370000",
        "17637000000",
        "２０２６",
        "9999999d",
        "2026-11-20T18:00 IST",
        "2026-11-20x05:30",
        "2026-11-20_05:30",
        "2026-11-20T24:01",
        "2026-11-20T18:60",
        "2026-11-20T18:00+25:00",
        "2026-11-20T18:00+05",
        "1800",
        "0930",
        "1899",
        "2101",
        "2026-1120",
        "\x00",
    ],
)
def test_an_invalid_date_is_refused_with_accepted_forms(text: str) -> None:
    for parse, argument in ((parse_since, "since"), (parse_until, "until")):
        with pytest.raises(InvalidRequestError, match=f"^{argument} is not a valid date") as raised:
            parse(text, NOW, KOLKATA)
        assert "2026-11-20T18:00" in raised.value.hint
        assert text not in raised.value.message


def test_a_date_error_names_the_argument() -> None:
    with pytest.raises(InvalidRequestError, match="compare_since"):
        parse_since("nonsense", NOW, KOLKATA, "compare_since")


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31T23:00-05:00", "0001-01-01T00:00+05:30"])
def test_a_year_at_either_end_of_the_calendar_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_since, parse_until):
        for zone in (KOLKATA, NEW_YORK):
            try:
                assert parse(text, NOW, zone)
            except InvalidRequestError as error:
                assert "date out of range" in error.message  # noqa: PT017 - either way is right
    assert parse_since("0002-01-01", NOW, KOLKATA) == datetime(2, 1, 1, tzinfo=UTC) - KOLKATA_BEFORE_1854
    assert parse_until("9998-12-31", NOW, UTC_ZONE) == datetime(9999, 1, 1, tzinfo=UTC) - LAST


UTC_ZONE = ZoneInfo("UTC")
KOLKATA_BEFORE_1854 = timedelta(hours=5, minutes=53, seconds=28)


@pytest.mark.parametrize("text", ["999999w", "999999D"])
def test_a_span_that_begins_before_year_1_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="since: date out of range"):
        parse_since(text, NOW, KOLKATA)


@given(
    st.text()
    | st.from_regex(r"[0-9]{1,4}-?[0-9W]{1,3}-?[0-9]{1,2}([T ][0-9:.,+\-Z]{0,16})?", fullmatch=True)
    | st.from_regex(r"\d{1,7} ?[hdwHDW]", fullmatch=True)
    | st.datetimes(timezones=st.none() | st.timezones()).map(str)
)
@example("9999-12-31")
@example("0001-01-01")
def test_any_text_is_parsed_to_an_ordered_range_or_refused(text: str) -> None:
    for zone in (KOLKATA, NEW_YORK):
        try:
            since, until = parse_since(text, NOW, zone), parse_until(text, NOW, zone)
        except InvalidRequestError:
            continue
        assert (since is None) == (until is None) == (not text.strip())
        assert since is None or until is None or since <= until
        assert since is None or since.utcoffset() == timedelta()
