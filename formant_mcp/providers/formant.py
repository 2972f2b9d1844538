"""Formant's API: the three read-only endpoints of its guide's page "Conversations"."""

import re
from typing import Literal

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import NO_FILTERS, Filters
from formant_mcp.models import Page
from formant_mcp.providers.formant_json import parse_detail, parse_page
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.providers.rest import PAGE_SIZE, QueryParams, RestProvider

_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


class FormantProvider(RestProvider):
    """Formant as an `OffsetProvider`."""

    spec = PROVIDERS["formant"]
    pagination: Literal["offset"] = "offset"
    conversations_path = "/v1/conversations"
    parse_conversation = staticmethod(parse_detail)

    async def list_page(self, offset: int, filters: Filters = NO_FILTERS) -> Page:
        """The page that starts at row `offset`; of the filters, the API applies only `agent_id`.

        Raises:
            InvalidRequestError: `agent_id` is not a whole number.
        """
        params: QueryParams = {"limit": PAGE_SIZE, "offset": offset}
        if filters.agent_id:
            if not _INTEGER.fullmatch(filters.agent_id):
                raise InvalidRequestError(
                    "agent_id must be a whole number: Formant's agents have no other ids.",
                    "summarize_results without group_by lists the agents.",
                )
            params["agent_id"] = filters.agent_id
        return parse_page(await self.list_json(params))
