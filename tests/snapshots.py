"""Whole results, committed as files: a change of what users see is a change of a file, to be reviewed.

`UPDATE_SNAPSHOTS=1 .venv/bin/python -m pytest ...` rewrites them.
"""

import difflib
import json
import os
import re
from pathlib import Path

from tests.server_harness import Answer

_CURSOR_MARK = re.compile(r"(c:\d+:)[0-9a-f]{16}:[0-9a-f]{6}")  # of the store, which is new in each test


def assert_same_as_file(path: Path, text: str) -> None:
    """The text equals the file; the failure shows the difference and how to accept it."""
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    difference = difflib.unified_diff(committed.splitlines(), text.splitlines(), "committed", "now", lineterm="", n=1)
    shown = "\n".join(difference)
    assert committed == text, (
        f"{path.name} has changed:\n{shown}\nIf that is meant: UPDATE_SNAPSHOTS=1 with the same tests, and commit it."
    )


def assert_same_answer(path: Path, answer: Answer, *folders: Path) -> None:
    """Text and structure equal the file; paths in `folders` are replaced, as each test has its own."""
    text = f"{answer.text}\n{'=' * 20}\n{json.dumps(answer.structure, ensure_ascii=False, indent=1)}\n"
    for folder in folders:
        text = text.replace(str(folder), "FOLDER")
    assert_same_as_file(path, _CURSOR_MARK.sub(r"\1MARK", text))
