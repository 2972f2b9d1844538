"""`formant-mcp export`: the tool's rows, to a file or to stdout."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from formant_mcp.command_line.parser import parse
from formant_mcp.command_line.syntax import Call
from formant_mcp.queries.arguments import FilterArguments
from tests.command import Done, run
from tests.stdio_process import environment


def export(folder: Path, *arguments: str) -> Done:
    """Runs the command on the sample account."""
    return run(folder, "--demo", "export", *arguments)


def test_a_file_has_the_same_rows_as_stdout(tmp_path: Path) -> None:
    filters = ("--since", "7d", "--call-successful", "failure", "--agent-id", "123")
    to_file = export(tmp_path, *filters, "-o", "calls.csv")
    assert to_file.status == 0, to_file.error
    assert to_file.out == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "calls.csv").read_text("utf-8-sig"), newline="")))
    printed = run(tmp_path, "--demo", "export", *filters, "--format", "jsonl")
    objects = [json.loads(line) for line in printed.out.splitlines()]
    assert len(rows) == len(objects) > 5
    assert {row["agent_id"] for row in rows} == {"123"}
    assert [row["status"] for row in rows] == [call["status"] for call in objects]
    assert "writing: " in printed.error
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_no_file_is_overwritten_and_nothing_is_requested(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("mine")
    done = export(tmp_path, "-o", "calls.csv")
    assert done.status == 2
    assert "exists already" in done.error
    assert "loading" not in done.error
    assert (tmp_path / "calls.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--since", "nonsense"), 2, "--since is not a valid date"),
        (("--format", "xlsx"), 2, "csv or jsonl"),
        (("--include", "audio"), 2, "results, transcript"),
        (("--statsu", "x"), 2, "unknown option --statsu. Did you mean --status?"),
        (("--status",), 2, "--status needs a value"),
        (("-o", "/nowhere/calls.csv"), 2, "There is no folder /nowhere. Create it, or choose another with -o."),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = export(tmp_path, *arguments)
    assert done.status == status
    assert said in done.error
    assert done.out == ""


def test_the_columns_that_lack_values_are_named(tmp_path: Path) -> None:
    alone, whole = (export(tmp_path, "--since", "7d", "-o", "-", "--include", include) for include in ("", "results"))
    note = "calls are not loaded: failure_reason, trace_id may be empty; --include results loads them."
    assert (alone.status, note in alone.error, note in whole.error) == (0, True, False)
    rows = list(csv.DictReader(io.StringIO(whole.out.removeprefix("\ufeff"), newline="")))
    assert all(row["trace_id"] for row in rows)


def test_the_values_that_exist_are_named_where_none_matches(tmp_path: Path) -> None:
    done = export(tmp_path, "--status", "broken")
    assert done.status == 0
    assert "Existing values: busy, completed," in done.error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_stdout_on_a_full_disk_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "formant_mcp", "--demo", "export"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, env=environment(tmp_path), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = "The export cannot be written to stdout: its disk is full. Free some space, or choose a file with -o."
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (1, said)


def test_every_filter_is_an_option() -> None:
    call = parse(["export"])
    assert isinstance(call, Call)
    assert FilterArguments.model_fields.keys() <= call.options.keys()
