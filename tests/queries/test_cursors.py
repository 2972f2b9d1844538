"""Cursors: where a list goes on, for the same question on the same store alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formant_mcp.errors import InvalidRequestError
from formant_mcp.queries.cursors import Cursor, format_cursor, parse_cursor, query_fingerprint

MARK = query_fingerprint("agent 7", "newest", "store")
cursors = st.builds(Cursor, st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))


@given(cursor=cursors, parts=st.lists(st.text()))
def test_a_cursor_reads_as_it_was_written(cursor: Cursor, parts: list[str]) -> None:
    mark = query_fingerprint(*parts)
    assert parse_cursor(format_cursor(cursor, mark), mark) == cursor


def test_no_cursor_is_the_first_page() -> None:
    assert parse_cursor("", MARK) == Cursor(shown=0, row=0)


def test_the_same_question_has_the_same_mark_and_another_question_another() -> None:
    assert query_fingerprint("agent 7", "newest", "store") == MARK
    others = [("agent 8", "newest", "store"), ("agent 7", "oldest", "store"), ("agent 7", "newest", "other")]
    assert MARK not in [query_fingerprint(*other) for other in others]


def test_a_cursor_of_another_question_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cursor: it was issued for different arguments") as raised:
        parse_cursor(format_cursor(Cursor(20, 4711), query_fingerprint("another")), MARK)
    assert "next_cursor" in raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "xyz",
        "c:20",
        f"c:20:4711:{MARK} ",
        f"c:20:4711:{MARK}\n",
        f"C:20:4711:{MARK}",
        f"c:-1:4711:{MARK}",
        f"c:20:4711:{MARK}0",
        f"c:1e2:4711:{MARK}",
        f"c:20:{'9' * 19}:{MARK}",
        f"c:20::{MARK}",
        "eyJwYWdlIjoyfQ==",
    ],
)
def test_what_this_server_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="cursor: invalid") as raised:
        parse_cursor(text, MARK)
    assert text not in raised.value.message


@given(st.text() | st.from_regex(r"c:\d{0,20}:\d{0,20}:[0-9a-f]{0,8}", fullmatch=True))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        assert parse_cursor(text, MARK)
    except InvalidRequestError:
        assert text
