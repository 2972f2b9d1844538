"""The cursor family's APIs, as ElevenLabs and as Voiceable document them.

They do what the documents say and, where an option says so, what they leave open or get wrong. A parameter that is in
no document is refused, so that a misspelt one is noticed.
"""

import base64
import json
from bisect import bisect_right
from dataclasses import astuple, dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Literal
from urllib.parse import unquote

from pydantic import JsonValue, TypeAdapter, ValidationError

from formant_mcp.demo.apis.api import Api, Request, Response, Row, json_response

_PARAMETERS = frozenset(
    {"page_size", "cursor", "agent_id", "user_id", "call_successful", "summary_mode"}
    | {"call_start_after_unix", "call_start_before_unix"}
)
_CHOICES = {"call_successful": {"success", "failure", "unknown"}, "summary_mode": {"include", "exclude"}}
_MOST_ROWS, _USUAL_ROWS = 100, 30
_MARK = "=/&+%"  # a client that does not pass a cursor on as it came is refused

_Key = tuple[float, str]


@dataclass(frozen=True)
class _Cursor:
    """Where a page begins: after the row `after`, `step` pages into the list, whose first cursor was at `first`."""

    after: _Key | None = None
    step: int = 0
    first: _Key | None = None
    leads_to_none: bool = False

    def written(self) -> str:
        return _MARK + base64.urlsafe_b64encode(json.dumps(astuple(self)).encode()).decode()

    @staticmethod
    def read(sent: str) -> "_Cursor":
        """Raises ValueError if it is not one of ours."""
        if not sent.startswith(_MARK):
            raise ValueError("cursor")
        try:
            fields = base64.urlsafe_b64decode(sent.removeprefix(_MARK))
            return _Cursor(*_CURSOR.validate_json(fields))
        except ValidationError:
            raise ValueError("cursor") from None


_CURSOR = TypeAdapter(tuple[_Key | None, int, _Key | None, bool])


class CursorApi(Api):
    """The API, whose cursors name the last row that was given: newer calls shift no page. Options beside `Api`'s:

    `bounds_included`: whether a call that starts at a bound is listed. `with_has_more`: whether pages state it.
    `empty_pages`: after each page that is not the last comes one without rows. `cursor_cycle`: the page after so many
    cursors gives the first one again. `refuse_cursors`: any is invalid. `times_as_text`: seconds are sent as text.
    `with_total`: whether the list states its total. `ignored_filters`: parameters that narrow nothing.
    `unsent`: fields that neither rows nor details have.
    """

    root = ""
    key_header = ""
    usual_summary_mode = "exclude"
    recording_type = "audio/mpeg"

    def __init__(self) -> None:
        super().__init__()
        self.bounds_included = True
        self.with_has_more = True
        self.with_total = False
        self.empty_pages = False
        self.cursor_cycle: int | None = None
        self.refuse_cursors = False
        self.times_as_text = False
        self.ignored_filters = frozenset[str]()
        self.unsent = frozenset[str]()
        self._lists: dict[tuple[object, ...], list[tuple[_Key, int]]] = {}

    def page(self, rows: list[JsonValue], next_cursor: str | None, more: Row) -> JsonValue:
        """A page in the provider's form; `more` is `has_more` and `total`, where they are sent."""
        raise NotImplementedError

    def one(self, conversation: JsonValue) -> JsonValue:
        """One conversation in the provider's form."""
        return conversation

    def key_of(self, request: Request) -> str | None:
        return request.headers.get(self.key_header)

    def forget(self) -> None:
        super().forget()
        self._lists.clear()

    def serve(self, request: Request) -> Response:
        rest = request.path.removeprefix(self.root)
        if request.method != "GET" or rest == request.path:
            return self.refusal(404, "Not found.")
        match [unquote(part) for part in rest.split("/")[1:]]:
            case []:
                return self._list(request.query)
            case [conversation_id]:
                if (conversation := self.conversation(conversation_id)) is not None:
                    return json_response(self.one(self._as_sent(conversation)))
            case [conversation_id, "audio"]:
                if (recording := self.recording_of(conversation_id)) is not None:
                    return Response(body=recording, media_type=self.recording_type)
            case _:
                pass
        return self.refusal(404, "Conversation not found.")

    def _list(self, query: dict[str, str]) -> Response:
        try:
            size = _checked(query)
            cursor = _Cursor.read(query["cursor"]) if "cursor" in query else _Cursor()
        except ValueError as error:
            return self.refusal(422, f"{error} should be valid.")
        if self.refuse_cursors and "cursor" in query:
            return self.refusal(422, "cursor should be valid.")
        listed = self._listed(query)
        begin = bisect_right(listed, cursor.after, key=lambda entry: entry[0]) if cursor.after else 0
        step = 0 if cursor.leads_to_none else min(size, self.rows_per_page_cap or size)
        end = min(begin + step, len(listed))
        given = listed[begin:end]
        has_more = end < len(listed) or cursor.step == self.cursor_cycle
        next_cursor = self._next(cursor, given).written() if has_more else None
        with_summary = query.get("summary_mode", self.usual_summary_mode) == "include"
        rows = [self._row(self.conversations[place], with_summary) for _, place in given]
        more: Row = {"has_more": has_more} if self.with_has_more else {}
        more |= {"total": len(listed)} if self.with_total else {}
        return json_response(self.page(rows, next_cursor, more))

    def _next(self, cursor: _Cursor, given: list[tuple[_Key, int]]) -> _Cursor:
        if cursor.step == self.cursor_cycle:
            return _Cursor(cursor.first, 1, cursor.first, self.empty_pages)
        after = given[-1][0] if given else cursor.after
        return _Cursor(after, cursor.step + 1, cursor.first or after, self.empty_pages and bool(given))

    def _listed(self, query: dict[str, str]) -> list[tuple[_Key, int]]:
        """The whole list, narrowed and sorted: keys and places in `conversations`."""
        no_filters = {"cursor", "page_size", "summary_mode"} | self.ignored_filters
        filters = {name: value for name, value in query.items() if name not in no_filters}
        options = (self.order, self.bounds_included, *sorted(filters.items()))
        if options not in self._lists:
            wanted = ((place, row) for place, row in enumerate(self.conversations) if self._is_wanted(row, filters))
            self._lists[options] = sorted(
                ((float(self.sort_key(row)), self.id_of(row)), place) for place, row in wanted
            )
        return self._lists[options]

    def _is_wanted(self, row: Row, filters: dict[str, str]) -> bool:
        slack = 0 if self.bounds_included else 1
        started_at = self.started(row)
        after, before = filters.get("call_start_after_unix"), filters.get("call_start_before_unix")
        return (
            (after is None or started_at >= int(after) + slack)
            and (before is None or started_at <= int(before) - slack)
            and filters.get("agent_id") in (None, row.get("agent_id"))
            and filters.get("call_successful") in (None, row.get("call_successful"))
            and filters.get("user_id") in (None, self.whole(row).get("user_id") if "user_id" in filters else None)
        )

    def _row(self, row: Row, with_summary: bool) -> JsonValue:
        sent = self.whole(row) if self.list_carries_detail else row
        return self._as_sent(
            {name: value for name, value in sent.items() if with_summary or name != "transcript_summary"}
        )

    def _as_sent(self, conversation: Row) -> JsonValue:
        conversation = {name: value for name, value in conversation.items() if name not in self.unsent}
        return _seconds_as_text(conversation) if self.times_as_text else conversation


class ElevenLabsApi(CursorApi):
    """ElevenLabs: https://elevenlabs.io/docs/api-reference/conversations; the key in `xi-api-key`, no total."""

    root = "/v1/convai/conversations"
    key_header = "xi-api-key"

    def page(self, rows: list[JsonValue], next_cursor: str | None, more: Row) -> JsonValue:
        return {"conversations": rows, "next_cursor": next_cursor, **more}

    def refusal(self, status: int, message: str) -> Response:
        wrong: JsonValue = {"status": "error", "message": message}
        if status == 422:
            wrong = [{"loc": ["query", message.partition(" ")[0]], "msg": message, "type": "value_error"}]
        return json_response({"detail": wrong}, status)

    def started(self, row: Row) -> float:
        value = row.get("start_time_unix_secs")
        return value if isinstance(value, int | float) else 0


class VoiceableApi(CursorApi):
    """Voiceable: the key in `X-API-Key`, answers in an envelope, summaries unless excluded, a total.

    `list_name`: what the list inside the envelope is called; with '' it is `data` itself, and the cursor is beside it.
    """

    root = "/conversations"
    key_header = "x-api-key"
    usual_summary_mode = "include"

    def __init__(self) -> None:
        super().__init__()
        self.with_total = True
        self.list_name: Literal["conversations", "items", ""] = "conversations"

    def page(self, rows: list[JsonValue], next_cursor: str | None, more: Row) -> JsonValue:
        paging: Row = {"cursor": next_cursor, **more}
        if not self.list_name:
            return {"status": {"code": 200, "message": "OK"}, "data": rows, **paging}
        return self.one({self.list_name: rows, **paging})

    def one(self, conversation: JsonValue) -> JsonValue:
        return {"status": {"code": 200, "message": "OK"}, "data": conversation}

    def refusal(self, status: int, message: str) -> Response:
        phrase = HTTPStatus(status).phrase
        return json_response({"status": status, "error": phrase, "errors": [message], "details": None}, status)

    def started(self, row: Row) -> float:
        value = row.get("created_at")
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0


def _checked(query: dict[str, str]) -> int:
    """The size of a page. Raises ValueError with the name of the first parameter that is not as documented."""
    for name, value in query.items():
        choices = _CHOICES.get(name)
        is_number = value.isascii() and value.isdigit()
        if (
            name not in _PARAMETERS
            or (choices and value not in choices)
            or (name.endswith("_unix") and not is_number)
            or (name == "page_size" and not (is_number and 1 <= int(value) <= _MOST_ROWS))
        ):
            raise ValueError(name)
    return int(query.get("page_size", _USUAL_ROWS))


def _seconds_as_text(sent: JsonValue) -> JsonValue:
    """The same with every number of seconds as a text, and ISO 8601 times as the seconds of the epoch in digits."""
    if isinstance(sent, list):
        return [_seconds_as_text(value) for value in sent]
    if not isinstance(sent, dict):
        return sent
    texts = {name: _seconds_as_text(value) for name, value in sent.items()}
    texts |= {name: str(value) for name, value in texts.items() if name.endswith("_secs")}
    if isinstance(started_at := texts.get("created_at"), str):
        texts["created_at"] = str(datetime.fromisoformat(started_at).timestamp())
    return texts
