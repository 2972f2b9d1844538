"""VoiceOS' API: pages by index, whole conversations, recordings at an address of their own.

Source: VoiceOS' reference. A parameter that is in no document is refused, so that a misspelt one is noticed.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Api, Body, Request, Response, Row, bearer_of, json_response

_PARAMETERS = frozenset({"status", "created_before", "created_after", "index", "limit"})
_STATUSES = frozenset({"started", "ended", "queued"})
_MOST_ROWS = 100
FILES = "/files/"
_SIGNATURE = "a/b="  # to be sent as it was given, percent-encoded


class VoiceOsApi(Api):
    """The API; a bearer key. Options beside those of `Api`:

    `created_at`: when calls were created, by id; the others, when they started. `bounds_included`: whether a call
    created at a bound is listed. `with_has_more`: whether pages state it. `empty_pages`: after each page that is not
    the last comes one without rows. `refuse_cursors`: any index but 1 is invalid. `counts_from_zero`: the index that
    an answer states is one less than was requested. `audio_url`: the address that responses give for recordings.
    """

    id_field = "id"
    recording_type = "audio/mpeg"

    def __init__(self) -> None:
        super().__init__()
        self.list_carries_detail = True
        self.created_at: dict[str, datetime] = {}
        self.bounds_included = True
        self.with_has_more = True
        self.empty_pages = False
        self.refuse_cursors = False
        self.counts_from_zero = False
        self.audio_url = ""

    def refusal(self, status: int, message: str) -> Response:
        wrong: JsonValue = {"message": message}
        if status == 422:
            wrong = [{"loc": ["query", message.partition(" ")[0]], "msg": message, "type": "value_error"}]
        return json_response({"detail": wrong}, status)

    def key_of(self, request: Request) -> str | None:
        return bearer_of(request)

    def started(self, row: Row) -> float:
        """When it was created, which every call has."""
        if self.id_of(row) in self.created_at:
            return self.created_at[self.id_of(row)].timestamp()
        value = row.get("started_at")
        return _instant(value).timestamp() if isinstance(value, str) else 0

    def serve(self, request: Request) -> Response:
        if request.method != "GET":
            return self.refusal(405, "Method not allowed.")
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case ["conversations"]:
                return self._list(request.query)
            case ["conversations", conversation_id]:
                if (conversation := self.conversation(conversation_id)) is not None:
                    return json_response(conversation)
            case ["conversations", conversation_id, "recording"]:
                if self.recording_of(conversation_id) is not None:
                    return json_response({"recording_url": signed(self.audio_url, conversation_id)})
            case _:
                pass
        return self.refusal(404, "Not found.")

    def _list(self, query: dict[str, str]) -> Response:
        try:
            index, limit = _checked(query)
            rows = self._listed(query)
        except ValueError as error:
            return self.refusal(422, f"{error} should be valid.")
        if self.refuse_cursors and index > 1:
            return self.refusal(422, "index should be valid.")
        size = min(limit, self.rows_per_page_cap or limit)
        place, is_empty = divmod(index - 1, 2) if self.empty_pages else (index - 1, 0)
        page = [] if is_empty else rows[place * size : (place + 1) * size]
        items: JsonValue = [self._row(row) for row in page]
        body: Row = {"items": items, "index": index - 1 if self.counts_from_zero else index}
        return json_response(body | {"has_more": (place + 1) * size < len(rows)} if self.with_has_more else body)

    def _listed(self, query: dict[str, str]) -> list[Row]:
        after = _bound(query, "created_after", float("-inf"))
        before = _bound(query, "created_before", float("inf"))
        rows = [
            row
            for row in self.conversations
            if query.get("status") in (None, row.get("status"))
            and after <= self.started(row) <= before
            and (self.bounds_included or self.started(row) not in (after, before))
        ]
        return rows if self.order == "as_held" else sorted(rows, key=self.sort_key)

    def _row(self, row: Row) -> Row:
        return row if self.list_carries_detail else {name: row[name] for name in row if name != "messages"}


class VoiceOsFiles:
    """The host of the recordings, where each has a signed address. It refuses requests with a key.

    `expired`: no signature is valid any longer.
    """

    def __init__(self, recording_of: Callable[[str], Body | None], media_type: str) -> None:
        self.expired = False
        self._recording_of, self._media_type = recording_of, media_type

    def respond(self, request: Request) -> Response:
        """The response to one request."""
        if "authorization" in request.headers:
            return Response(400, b"Only one way of authorization is allowed.", "text/plain")
        recording = self._recording_of(unquote(request.path.removeprefix(FILES)))
        if request.query.get("X-Signature") != _SIGNATURE or self.expired or recording is None:
            return Response(403, b"Access denied.", "text/plain")
        return Response(body=recording, media_type=self._media_type)


def signed(url: str, conversation_id: str) -> str:
    """The address of a recording at that host."""
    return f"{url}{FILES}{quote(conversation_id, safe='')}?X-Signature={quote(_SIGNATURE, safe='')}"


def _checked(query: dict[str, str]) -> tuple[int, int]:
    """Index and limit. Raises ValueError with the name of the first parameter that is not as documented."""
    for name, value in query.items():
        is_positive = value.isascii() and value.isdigit() and int(value) > 0
        if (
            name not in _PARAMETERS
            or (name == "status" and value not in _STATUSES)
            or (name in ("index", "limit") and not is_positive)
        ):
            raise ValueError(name)
    limit = int(query.get("limit", _MOST_ROWS))
    if limit > _MOST_ROWS:
        raise ValueError("limit")
    return int(query.get("index", 1)), limit


def _bound(query: dict[str, str], name: str, otherwise: float) -> float:
    return _instant(query[name]).timestamp() if name in query else otherwise


def _instant(sent: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC."""
    moment = datetime.fromisoformat(sent)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
