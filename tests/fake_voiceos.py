"""VoiceOS' API on loopback: pages by index, whole conversations, recordings that lie at an address of their own.

    async with FakeVoiceOs() as api, FakeAudioHost(api.recordings) as audio:
        api.add(voiceos_call(1, started_at))
        api.audio_url = audio.url

It does what the documents say and, where asked, what they leave open: see the options. A parameter that is in no
document is refused, so that a misspelt one is noticed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from pydantic import JsonValue

from tests.calls import Row
from tests.fake_api import FakeApi, bearer_of
from tests.fake_http import LoopbackServer, Reply, Request
from tests.faults import json_reply

_PARAMETERS = frozenset({"status", "created_before", "created_after", "index", "limit"})
_STATUSES = frozenset({"started", "ended", "queued"})
_MOST_ROWS = 100
_FILES = "/files"


class FakeVoiceOs(FakeApi):
    """The API; a bearer key. Options beside those of `FakeApi`:

    `created_at`: when calls were created, by id; the others, when they started. `bounds_included`: whether a call
    created at a bound is listed. `with_has_more`: whether pages say so. `empty_pages`: behind each page that is not
    the last comes one without rows. `refuse_cursors`: any index but 1 is invalid. `counts_from_zero`: the index that
    an answer states is one less than was asked. `audio_url`: where recordings are said to lie; here, where empty.
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

    def refusal(self, status: int, message: str) -> Reply:
        wrong: JsonValue = {"message": message}
        if status == 422:
            wrong = [{"loc": ["query", message.partition(" ")[0]], "msg": message, "type": "value_error"}]
        return json_reply({"detail": wrong}, status)

    def key_of(self, request: Request) -> str | None:
        return bearer_of(request) if not request.path.startswith(_FILES) else self.key

    def detail_of(self, row: Row) -> Row:
        return row

    def started(self, row: Row) -> float:
        """When it was created: that is what there is of every call."""
        if self.id_of(row) in self.created_at:
            return self.created_at[self.id_of(row)].timestamp()
        value = row.get("started_at")
        return _instant(value).timestamp() if isinstance(value, str) else 0

    def serve(self, request: Request) -> Reply:
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case _ if request.method != "GET":
                return self.refusal(405, "Method not allowed.")
            case ["conversations"]:
                return self._list(request.query)
            case ["conversations", conversation_id] if conversation_id in self.place_of:
                return json_reply(self.whole(self.conversations[self.place_of[conversation_id]]))
            case ["conversations", conversation_id, "recording"] if conversation_id in self.recordings:
                address = f"{self.audio_url or self.url}{_FILES}/{quote(conversation_id, safe='')}?X-Signature=a%2Fb%3D"
                return json_reply({"recording_url": address})
            case ["files", conversation_id] if conversation_id in self.recordings:
                return Reply(body=self.recordings[conversation_id], media_type=self.recording_type)
            case _:
                return self.refusal(404, "Not found.")

    def _list(self, query: dict[str, str]) -> Reply:
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
        return json_reply(body | {"has_more": (place + 1) * size < len(rows)} if self.with_has_more else body)

    def _listed(self, query: dict[str, str]) -> list[Row]:
        after = _instant(query["created_after"]).timestamp() if "created_after" in query else float("-inf")
        before = _instant(query["created_before"]).timestamp() if "created_before" in query else float("inf")
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


class FakeAudioHost(LoopbackServer):
    """Another host, where the recordings lie behind signed addresses. It refuses who shows it a key.

    `expired`: no signature is good any longer.
    """

    def __init__(self, recordings: Mapping[str, bytes], media_type: str = "audio/mpeg") -> None:
        super().__init__()
        self.expired = False
        self._recordings, self._media_type = recordings, media_type

    def answer(self, request: Request) -> Reply:
        conversation_id = unquote(request.path.removeprefix(f"{_FILES}/"))
        if "authorization" in request.headers:
            return Reply(400, b"Only one way of authorization is allowed.", "text/plain")
        is_good = request.query.get("X-Signature") == "a/b=" and not self.expired
        if not is_good or conversation_id not in self._recordings:
            return Reply(403, b"Access denied.", "text/plain")
        return Reply(body=self._recordings[conversation_id], media_type=self._media_type)


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


def _instant(sent: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC."""
    moment = datetime.fromisoformat(sent)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
