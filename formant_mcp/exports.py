"""Exports: conversations as a table for spreadsheets or as JSON lines, in the only folder that tools write them to."""

import csv
import io
import json
import os
import re
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from anyio import to_thread
from pydantic import JsonValue

from formant_mcp.analysis.signals import SIGNALS
from formant_mcp.analysis.signals import Value as Measured
from formant_mcp.errors import InvalidRequestError
from formant_mcp.files import disk_errors, finish, make_private, open_temporary, take_name, write
from formant_mcp.models import Conversation, Turn
from formant_mcp.queries.export import ExportedCall

ExportFormat = Literal["csv", "jsonl"]
Include = Literal["results", "signals", "transcript"]

FIELDS = (
    "conversation_id",
    "agent_id",
    "agent_name",
    "contact_number",
    "user_id",
    "direction",
    "status",
    "call_successful",
    "failure_reason",
    "started_at",
    "ended_at",
    "duration_seconds",
    "trace_id",
)
MEDIA_TYPES = {".csv": "text/csv", ".jsonl": "application/jsonl"}
_OTHER_FOLDER = "set FORMANT_EXPORTS_DIR to another folder and restart the server"
_BYTE_ORDER_MARK = "\ufeff"  # spreadsheets take a file without it for one of an older encoding
# A cell that begins like this is a formula for spreadsheets (OWASP, "CSV Injection"); a number with a sign is not.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]\d[\d.]*")


@dataclass(frozen=True, slots=True)
class SavedExport:
    """An export on disk."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Table:
    """How an export is written: the format, what it includes, its result fields, and the zone of its times."""

    format: ExportFormat
    include: frozenset[Include]
    paths: Sequence[str]
    zone: ZoneInfo

    @property
    def columns(self) -> list[str]:
        """The names of the columns; of JSON lines, the keys of each object."""
        if self.format == "jsonl":
            return [*FIELDS, *(name for name in get_args(Include) if name in self.include)]
        results = [f"results.{path}" for path in self.paths] if "results" in self.include else []
        signals = [f"signals.{name}" for name in SIGNALS] if "signals" in self.include else []
        return [*FIELDS, *results, *signals, *(["transcript"] if "transcript" in self.include else [])]

    def header(self) -> bytes:
        """The beginning of the file."""
        return (_BYTE_ORDER_MARK + _csv_lines([self.columns])).encode() if self.format == "csv" else b""

    def lines(self, calls: Sequence[ExportedCall]) -> bytes:
        """The lines of these calls."""
        if self.format == "csv":
            return _csv_lines([self._cells(call) for call in calls]).encode(errors="replace")
        objects = (json.dumps(self._object(call), ensure_ascii=False) + "\n" for call in calls)
        return "".join(objects).encode(errors="replace")

    def _cells(self, call: ExportedCall) -> list[str]:
        fields = ("" if value is None else str(value) for value in self._fields(call.conversation).values())
        cells = [defused(cell) for cell in fields]
        if "results" in self.include:
            cells += [defused(call.values.get(path, "")) for path in self.paths]
        if "signals" in self.include:
            cells += [_cell(call.signals.get(name)) for name in SIGNALS]
        if "transcript" in self.include:
            cells.append(defused("\n".join(map(_spoken, call.turns))))
        return cells

    def _object(self, call: ExportedCall) -> dict[str, JsonValue]:
        sent: dict[str, JsonValue] = {
            name: value for name, value in self._fields(call.conversation).items() if value is not None
        }
        if "results" in self.include and call.conversation.results is not None:
            sent["results"] = call.conversation.results
        if "signals" in self.include and call.signals:
            sent["signals"] = {**call.signals}
        if "transcript" in self.include and call.conversation.has_detail:
            sent["transcript"] = [_turn(turn) for turn in call.turns]
        return sent

    def _fields(self, call: Conversation) -> dict[str, JsonValue]:
        return {
            "conversation_id": call.conversation_id,
            "agent_id": call.agent_id,
            "agent_name": call.agent_name,
            "contact_number": call.contact_number,
            "user_id": call.user_id,
            "direction": call.direction,
            "status": call.status,
            "call_successful": call.outcome,
            "failure_reason": call.failure_reason,
            "started_at": self._local(call.started_at),
            "ended_at": self._local(call.ended_at),
            "duration_seconds": call.duration_seconds,
            "trace_id": call.trace_id,
        }

    def _local(self, moment: datetime | None) -> str | None:
        return moment and moment.astimezone(self.zone).isoformat(timespec="seconds")


class ExportsFolder:
    """Writes exports in `folder` and nowhere else. The first one creates it, private to its owner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, table: Table, pages: AsyncIterable[Sequence[ExportedCall]], name: str) -> SavedExport:
        """Writes all pages to a new file, which appears whole or not at all.

        Raises:
            StoreError: the folder cannot be created or written to, or others can write to it.
        """
        with disk_errors(f"The export cannot be saved in {self._folder}", _OTHER_FOLDER):
            make_private(self._folder, _OTHER_FOLDER)

        def keep(temporary: Path, file: FileIO) -> Path:
            return finish(temporary, file, name, f".{table.format}")[0]

        return await _save(self._folder, _OTHER_FOLDER, table, pages, keep)


async def save_as(path: Path, table: Table, pages: AsyncIterable[Sequence[ExportedCall]]) -> SavedExport:
    """Writes all pages to that file, an absolute path; it appears whole or not at all.

    Raises:
        StoreError: it cannot be written. InvalidRequestError: it exists.
    """

    def keep(temporary: Path, file: FileIO) -> Path:
        os.fsync(file.fileno())
        file.close()
        if not take_name(temporary, path):
            raise file_exists(path)
        return path

    return await _save(path.parent, "choose another file with -o", table, pages, keep)


def file_exists(path: Path) -> InvalidRequestError:
    """The error for an export to a file that exists: none is overwritten."""
    return InvalidRequestError(f"{path} exists already.", "Choose another name, or move it away.")


async def _save(
    folder: Path,
    other: str,
    table: Table,
    pages: AsyncIterable[Sequence[ExportedCall]],
    keep: Callable[[Path, FileIO], Path],
) -> SavedExport:
    problems = partial(disk_errors, f"The export cannot be saved in {folder}", other)
    with problems():
        temporary, file = open_temporary(folder)
    rows = 0
    try:
        with problems():
            await to_thread.run_sync(write, file, table.header())
        async for calls in pages:
            rows += len(calls)
            with problems():
                await to_thread.run_sync(write, file, table.lines(calls))
        with problems():
            path = await to_thread.run_sync(keep, temporary, file)
            return SavedExport(path, rows, path.stat().st_size)
    finally:
        with suppress(OSError):  # an earlier error matters more than one in the clean-up
            file.close()
            temporary.unlink(missing_ok=True)


def defused(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _cell(value: Measured | None) -> str:
    """A signal as conditions write it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _csv_lines(rows: Sequence[Sequence[str]]) -> str:
    """Lines as in RFC 4180."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _spoken(turn: Turn) -> str:
    at = "" if turn.seconds is None else f" {int(turn.seconds) // 60}:{int(turn.seconds) % 60:02d}"
    return f"{turn.index} {turn.role}{at} {turn.text}"


def _turn(turn: Turn) -> dict[str, JsonValue]:
    sent: dict[str, JsonValue] = {"index": turn.index, "role": turn.role}
    return sent | ({} if turn.seconds is None else {"seconds": turn.seconds}) | {"text": turn.text}
