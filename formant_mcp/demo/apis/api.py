"""What the APIs share: the calls they hold, their key, the order of their list, recordings.

An API is a function from a request to a response; it uses no sockets and no clock. A provider's own module has its
responses and the form of its errors. Options are attributes. They cover what the documents say and what they leave open
or get wrong; the sample account does not set them.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from pydantic import JsonValue

Row = dict[str, JsonValue]
Order = Literal["newest", "oldest", "none", "as_held"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as received: `path` still percent-encoded, `query` decoded, header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters; of one that is repeated, the last value."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Chunks:
    """A body that is too large to be held at once: `size` bytes in pieces."""

    size: int
    pieces: Iterator[bytes]


Body = bytes | Chunks


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent."""

    status: int = 200
    body: Body = b""
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Api:
    """The API of an account.

    `key`: the accepted one; None accepts every request. `order` of the list: by start, a fixed shuffle (`none`), or as
    held. `list_carries_detail`: rows are whole conversations. `rows_per_page_cap`: pages are this short
    however many rows were requested.
    """

    id_field = "conversation_id"
    recording_type = "audio/wav"

    def __init__(self) -> None:
        self.key: str | None = None
        self.order: Order = "newest"
        self.list_carries_detail = False
        self.rows_per_page_cap: int | None = None
        self._calls: Sequence[Row] = []
        self._details: dict[str, Row] = {}
        self._places: dict[str, int] = {}

    def respond(self, request: Request) -> Response:
        """The response to one request."""
        if not self.admits(request):
            return self.refusal(401, "Invalid or missing API key.")
        return self.serve(request)

    def serve(self, request: Request) -> Response:
        """The response to a request with the right key."""
        raise NotImplementedError

    def refusal(self, status: int, message: str) -> Response:
        """An error in the provider's form."""
        raise NotImplementedError

    def key_of(self, request: Request) -> str | None:
        """The key that a request sends, in the place where the provider expects it."""
        raise NotImplementedError

    def started(self, row: Row) -> float:
        """When a row's call started, as a number to sort by; calls without a start are the oldest."""
        raise NotImplementedError

    def detail_of(self, row: Row) -> Row:
        """The whole conversation for a row, if `add` was given none."""
        return row

    def recording_of(self, conversation_id: str) -> Body | None:
        """A call's recording; None where there is none, or none yet."""
        return None

    def admits(self, request: Request) -> bool:
        """Whether the request's key is accepted."""
        return self.key is None or self.key_of(request) == self.key

    @property
    def conversations(self) -> Sequence[Row]:
        """The calls held. Change them with `add` and `remove`, or assign other ones."""
        return self._calls

    @conversations.setter
    def conversations(self, rows: Sequence[Row]) -> None:
        self.hold(rows)

    def hold(self, rows: Sequence[Row]) -> None:
        """Holds these calls instead of the ones before."""
        self._calls = rows
        self.forget()

    def add(self, row: Row, detail: Row | None = None, at: int = 0) -> None:
        """Adds a call: `row` in lists, `detail` alone (default: what `detail_of` makes of the row)."""
        if detail is not None:
            self._details[self.id_of(row)] = detail
        self.hold([*self._calls[:at], row, *self._calls[at:]])

    def remove(self, conversation_id: str) -> None:
        """Removes a call.

        Raises:
            KeyError: no call has that id.
        """
        place = self.place_of[conversation_id]
        self._details.pop(conversation_id, None)
        self.hold([*self._calls[:place], *self._calls[place + 1 :]])

    def id_of(self, row: Row) -> str:
        """The row's id."""
        return str(row.get(self.id_field))

    def whole(self, row: Row) -> Row:
        """The conversation as it is sent alone."""
        conversation_id = self.id_of(row)
        return self._details[conversation_id] if conversation_id in self._details else self.detail_of(row)

    def conversation(self, conversation_id: str) -> Row | None:
        """The call of that id, whole; None where there is none."""
        place = self.place_of.get(conversation_id)
        return None if place is None else self.whole(self._calls[place])

    def sort_key(self, row: Row) -> float:
        """What the list is ordered by, smallest first."""
        match self.order:
            case "newest":
                return -self.started(row)
            case "oldest":
                return self.started(row)
            case "none":
                return zlib.crc32(self.id_of(row).encode())
            case "as_held":
                return 0

    @property
    def place_of(self) -> dict[str, int]:
        """Where in `conversations` each id is."""
        if not self._places:
            self._places = {self.id_of(row): place for place, row in enumerate(self._calls)}
        return self._places

    def forget(self) -> None:
        """Drops what was computed from the calls held before."""
        self._places = {}


def json_response(body: JsonValue, status: int = 200) -> Response:
    """A response of JSON."""
    return Response(status, json.dumps(body).encode())


def bearer_of(request: Request) -> str | None:
    """The key of a bearer header (RFC 6750)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
