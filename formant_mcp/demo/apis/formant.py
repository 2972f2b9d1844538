"""Formant's API: the three GET endpoints of its guide's page "Conversations" and its OpenAPI document."""

import random
from urllib.parse import unquote

from pydantic import JsonValue

from formant_mcp.demo.apis.api import Api, Request, Response, Row, bearer_of, json_response

_ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication_error",
    403: "permission_denied",
    404: "not_found",
    409: "duplicate_request",
    429: "rate_limit_exceeded",
}
_MOST_ROWS, _USUAL_ROWS = 100, 20


class FormantApi(Api):
    """The API; a bearer key. Options beside those of `Api`:

    `with_total`: whether the list states it. `repeat_rows`: so many rows come a second time, elsewhere in the list;
    `total_counts_repeats`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.with_total = True
        self.repeat_rows = 0
        self.total_counts_repeats = False
        self._lists: dict[tuple[object, ...], tuple[list[int], int]] = {}

    def refusal(self, status: int, message: str) -> Response:
        return error(status, message)

    def key_of(self, request: Request) -> str | None:
        return bearer_of(request)

    def started(self, row: Row) -> float:
        """Epoch milliseconds, from the seconds of the OpenAPI example too."""
        value = row.get("start_timestamp")
        if not isinstance(value, int | float):
            return 0
        return value * 1000 if abs(value) < 1e11 else value

    def forget(self) -> None:
        super().forget()
        self._lists.clear()

    def serve(self, request: Request) -> Response:
        if request.method != "GET":
            return error(400, "Only GET is served.")
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case ["v1", "conversations"]:
                return self._list(request.query)
            case ["v1", "conversations", conversation_id]:
                if (conversation := self.conversation(conversation_id)) is not None:
                    return json_response({"data": conversation})
            case ["v1", "conversations", conversation_id, "recording"]:
                if (recording := self.recording_of(conversation_id)) is not None:
                    return Response(body=recording, media_type=self.recording_type)
            case _:
                pass
        return error(404, "Not found.")

    def _list(self, query: dict[str, str]) -> Response:
        try:
            limit, offset = int(query.get("limit", _USUAL_ROWS)), int(query.get("offset", 0))
            agent_id = int(query["agent_id"]) if "agent_id" in query else None
        except ValueError:
            return error(400, "limit, offset and agent_id are integers.")
        if not 1 <= limit <= _MOST_ROWS or offset < 0:
            return error(400, f"limit is 1 to {_MOST_ROWS}, offset not negative.")
        places, total = self._served(agent_id)
        step = min(limit, self.rows_per_page_cap or limit)
        page = [self.conversations[place] for place in places[offset : offset + step]]
        data: JsonValue = [self.whole(row) if self.list_carries_detail else row for row in page]
        body: Row = {"data": data, "has_more": offset + len(page) < len(places)}
        return json_response(body | {"total": total} if self.with_total else body)

    def _served(self, agent_id: int | None) -> tuple[list[int], int]:
        """The whole list as it is paged through, as places in `conversations`, and its total."""
        options = (agent_id, self.order, self.repeat_rows)
        if options not in self._lists:
            self._lists[options] = self._listed(agent_id)
        places, repeats = self._lists[options]
        return places, len(places) - (0 if self.total_counts_repeats else repeats)

    def _listed(self, agent_id: int | None) -> tuple[list[int], int]:
        keyed = [
            (self.sort_key(row), place)
            for place, row in enumerate(self.conversations)
            if agent_id in (None, row.get("agent_id"))
        ]
        if self.order != "as_held":
            keyed.sort()
        places = [place for _, place in keyed]
        chance = random.Random(len(places))
        repeated = chance.sample(places, min(self.repeat_rows, len(places)))
        for place in repeated:
            places.insert(chance.randrange(len(places)), place)
        return places, len(repeated)


def error(status: int, message: str) -> Response:
    """An error in the documented form."""
    kind = _ERROR_TYPES.get(status, "internal_error")
    return json_response({"error": {"message": message, "type": kind}}, status)
