"""What every error of the store keeps: a next step, and nothing that is nobody else's business."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from formant_mcp.errors import FormantError, StoreError

SECRET = "s3cret phrase"
PASSWORD = quote(SECRET)
_PRIVATE = re.compile(
    rf"{SECRET}|{PASSWORD}|SELECT |INSERT |UPDATE |COPY |\$1|postgresql://(?!user:password@host)|/tmp/|127\.0\.0\.1|::1|localhost|test_[0-9a-f]{{8}}|call-\d"
)


@contextmanager
def refused(words: str, hint: str = "", error: type[FormantError] = StoreError) -> Generator[None]:
    """Expects an error with these words, which says what to do."""
    with pytest.raises(error, match=words) as raised:
        yield
    assert raised.value.hint
    assert hint in raised.value.hint
    assert raised.value.__suppress_context__ or not raised.value.__context__  # a traceback has no error of the driver
    assert_says_nothing(str(raised.value))


def assert_says_nothing(text: str) -> None:
    """No address, password, value or SQL."""
    assert not _PRIVATE.search(text), text
