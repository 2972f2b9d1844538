"""Cursors: where a list continues, for the same query on the same store only."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint

FINGERPRINT = query_fingerprint("agent 7", "newest", "store")
MASKED, BEGINNING = "5d0c41e2a97b3f86", FINGERPRINT[:6]
cursors = st.builds(Cursor, st.integers(0, 10**9 - 1), st.integers(0, 2**64 - 1))


@given(cursor=cursors, parts=st.lists(st.text()))
def test_a_formatted_cursor_is_parsed_back(cursor: Cursor, parts: list[str]) -> None:
    fingerprint = query_fingerprint(*parts)
    assert parse_cursor(format_cursor(cursor, fingerprint), fingerprint) == cursor


def test_an_empty_cursor_is_the_first_page() -> None:
    assert parse_cursor("", FINGERPRINT) == Cursor(shown=0, row=0)


def test_fingerprints_are_equal_only_for_the_same_query() -> None:
    assert query_fingerprint("agent 7", "newest", "store") == FINGERPRINT
    others = [("agent 8", "newest", "store"), ("agent 7", "oldest", "store"), ("agent 7", "newest", "other")]
    assert FINGERPRINT not in [query_fingerprint(*other) for other in others]


def test_a_cursor_of_another_query_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cursor: it was issued for different arguments") as raised:
        parse_cursor(format_cursor(Cursor(20, 4711), query_fingerprint("another")), FINGERPRINT)
    assert "next_cursor" in raised.value.hint


def test_cursors_do_not_show_how_far_apart_their_rows_are() -> None:
    masked = [int(format_cursor(Cursor(20, row), FINGERPRINT).split(":")[2], 16) for row in range(1, 1_001)]
    assert len(set(masked)) == 1_000
    assert 0.4 < sum(after > before for before, after in pairwise(masked)) / 999 < 0.6
    assert min(masked) > 1_000
    assert masked[0] != int(format_cursor(Cursor(20, 1), query_fingerprint("another")).split(":")[2], 16)


@pytest.mark.parametrize(
    "text",
    [
        "xyz",
        "c:20",
        f"c:20:{MASKED}:{BEGINNING} ",
        f"c:20:{MASKED}:{BEGINNING}\n",
        f"C:20:{MASKED}:{BEGINNING}",
        f"c:-1:{MASKED}:{BEGINNING}",
        f"c:20:{MASKED}:{BEGINNING}0",
        f"c:1e2:{MASKED}:{BEGINNING}",
        f"c:20:{MASKED}0:{BEGINNING}",
        f"c:20::{BEGINNING}",
        "eyJwYWdlIjoyfQ==",
    ],
)
def test_a_text_that_is_no_cursor_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="cursor: invalid") as raised:
        parse_cursor(text, FINGERPRINT)
    assert text not in raised.value.message


def test_the_forms_that_are_refused_differ_from_one_that_is_not() -> None:
    assert parse_cursor(f"c:20:{MASKED}:{BEGINNING}", FINGERPRINT).shown == 20


@given(st.text() | st.from_regex(r"c:\d{0,20}:[0-9a-f]{0,20}:[0-9a-f]{0,8}", fullmatch=True))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        assert parse_cursor(text, FINGERPRINT)
    except InvalidRequestError:
        assert text
