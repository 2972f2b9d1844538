"""The log as JSON, one object a line."""

import json
import logging
from datetime import UTC, datetime


def json_line(level: str, text: str, **fields: str) -> str:
    """What a command prints, as a line of the log."""
    record = logging.makeLogRecord({"name": "formant_mcp", "levelname": level, "msg": text, "fields": fields})
    return JsonFormatter().format(record)


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, a `traceback` if there is one, and the record's `fields` as keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
