"""Formant's API on loopback: its three GET endpoints over calls that a test adds and removes while it runs.

    async with FakeFormant() as api:
        api.add(conversation(1, started_at))
        api.fault("/recording", 2, 503)
        api.fault("offset=100", 1, faults.html_502)

It does what the documents say and, where asked, what they leave open: any order of the list, no total, rows served
twice, short pages. Faults are in `tests.faults`.
"""

import random
from urllib.parse import unquote

from pydantic import JsonValue

from tests.calls import Row, detail
from tests.calls import conversation as conversation
from tests.calls import many as many
from tests.fake_api import FakeApi, bearer_of
from tests.fake_api import Order as Order
from tests.fake_http import Reply, Request
from tests.faults import error, json_reply


class FakeFormant(FakeApi):
    """The API; a bearer key. Options beside those of `FakeApi`:

    `with_total`: whether the list says it. `repeat_rows`: so many rows come a second time, elsewhere in the list;
    `total_counts_repeats`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.with_total = True
        self.repeat_rows = 0
        self.total_counts_repeats = False
        self._lists: dict[tuple[object, ...], tuple[list[int], int]] = {}

    def refusal(self, status: int, message: str) -> Reply:
        return error(status, message)

    def key_of(self, request: Request) -> str | None:
        return bearer_of(request)

    def detail_of(self, row: Row) -> Row:
        return detail(row)

    def started(self, row: Row) -> float:
        """Epoch milliseconds, from the seconds of the OpenAPI example too."""
        value = row.get("start_timestamp")
        if not isinstance(value, int | float):
            return 0
        return value * 1000 if abs(value) < 1e11 else value

    def forget(self) -> None:
        super().forget()
        self._lists.clear()

    def serve(self, request: Request) -> Reply:
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case _ if request.method != "GET":
                return error(400, "Only GET is served.")
            case ["v1", "conversations"]:
                return self._list(request.query)
            case ["v1", "conversations", conversation_id] if conversation_id in self.place_of:
                return json_reply({"data": self.whole(self.conversations[self.place_of[conversation_id]])})
            case ["v1", "conversations", conversation_id, "recording"] if conversation_id in self.recordings:
                return Reply(body=self.recordings[conversation_id], media_type=self.recording_type)
            case _:
                return error(404, "Not found.")

    def _list(self, query: dict[str, str]) -> Reply:
        try:
            limit, offset = int(query.get("limit", "20")), int(query.get("offset", "0"))
            agent_id = int(query["agent_id"]) if "agent_id" in query else None
        except ValueError:
            return error(400, "limit, offset and agent_id are integers.")
        if not 1 <= limit <= 100 or offset < 0:
            return error(400, "limit is 1 to 100, offset not negative.")
        places, total = self._served(agent_id)
        step = min(limit, self.rows_per_page_cap or limit)
        page = [self.conversations[place] for place in places[offset : offset + step]]
        data: JsonValue = [self.whole(row) if self.list_carries_detail else row for row in page]
        body: Row = {"data": data, "has_more": offset + len(page) < len(places)}
        return json_reply(body | {"total": total} if self.with_total else body)

    def _served(self, agent_id: int | None) -> tuple[list[int], int]:
        """The whole list as it is paged through, as places in `conversations`, and its total."""
        options = (agent_id, self.order, self.repeat_rows)
        if options not in self._lists:
            self._lists[options] = self._listed(agent_id)
        places, repeats = self._lists[options]
        return places, len(places) - (0 if self.total_counts_repeats else repeats)

    def _listed(self, agent_id: int | None) -> tuple[list[int], int]:
        wanted = (
            (place, row) for place, row in enumerate(self.conversations) if agent_id in (None, row.get("agent_id"))
        )
        keyed = [(self.sort_key(row), place) for place, row in wanted]
        if self.order != "as_held":
            keyed.sort()
        places = [place for _, place in keyed]
        chance = random.Random(len(places))
        repeated = chance.sample(places, min(self.repeat_rows, len(places)))
        for place in repeated:
            places.insert(chance.randrange(len(places)), place)
        return places, len(repeated)
