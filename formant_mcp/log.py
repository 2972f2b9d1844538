"""The log on stderr, one line a message, as text or as JSON; and what may be in it."""

import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from formant_mcp import __version__

_OWN = "formant_mcp"
_log = logging.getLogger(_OWN)


def start_log(level: str, *, is_json: bool) -> None:
    """Writes the log to stderr from now on, and there what Python would print of uncaught errors and of warnings.

    Our own loggers' messages never hold a key, nor what callers said or clients sent. Those of all other loggers may
    hold addresses, parameters and bodies, and so may an error's text. So of another logger's message only its level,
    logger and place are written, from WARNING on; of an error, its class and place.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter() if is_json else _TextFormatter())
    handler.addFilter(lambda record: _is_own(record) or record.levelno >= logging.WARNING)
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[level]), handlers=[handler])
    _log.setLevel(level)
    sys.excepthook = lambda _, error, __: _log.critical("%s", described(error))
    sys.unraisablehook = lambda unraisable: _log_uncaught(unraisable.exc_value)
    threading.excepthook = lambda uncaught: _log_uncaught(uncaught.exc_value)
    warnings.showwarning = _show_warning
    # Said of work that was cancelled before it began (by anyio, too), as when the server ends: nothing is wrong.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    _log.debug("version %s, Python %s, %s", __version__, sys.version.partition(" ")[0], sys.platform)


def described(error: BaseException) -> str:
    """An error's class, and where it happened; not its text, which may hold a caller's words."""
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]
    parts: Sequence[BaseException] = getattr(error, "exceptions", ())  # of a group
    of_parts = f" ({'; '.join(described(part) for part in parts)})" if parts else ""
    return f"{type(error).__name__} at {places[-1] if places else '?'}{of_parts}"


def json_line(level: str, text: str, **fields: str) -> str:
    """What a command prints, as a line of the log."""
    record = logging.makeLogRecord({"name": _OWN, "levelname": level, "msg": text, "fields": fields})
    return JsonFormatter().format(record)


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message` and, of our own, the record's `fields` as keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **(getattr(record, "fields", {}) if _is_own(record) else {}),
        }
        return json.dumps(line, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"formant-mcp {record.levelname} {record.name}: {_message(record)}"


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drops a message that cannot be formatted or written: Python would print its arguments."""


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == _OWN


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage() if _is_own(record) else f"a message at {record.pathname}:{record.lineno}"
    error = record.exc_info[1] if record.exc_info else None
    return f"{text} ({described(error)})" if error else text


def _log_uncaught(error: BaseException | None) -> None:
    if error and not isinstance(error, SystemExit):
        _log.error("%s", described(error))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _log.warning("%s at %s:%d", category.__name__, filename, lineno)
