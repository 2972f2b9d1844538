"""The filters as arguments of a tool: forgiving in form (numbers for ids, lists as JSON text), strict in meaning."""

import json
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from formant_mcp.errors import InvalidRequestError
from formant_mcp.filters import Filters
from formant_mcp.query.conditions import read_condition, read_contact
from formant_mcp.query.dates import read_since, read_until

NO_BOUND = -1.0


def _as_text(value: object) -> object:
    """Assistants send ids as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_list(value: object) -> object:
    """Assistants send lists as JSON text, and a single value as itself."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except (json.JSONDecodeError, RecursionError):
                return value
        return [value] if value.strip() else []
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _as_number(value: object) -> object:
    """Yes and no are not numbers, though Python takes them for 1 and 0."""
    return None if isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Texts = Annotated[list[Text], BeforeValidator(_as_list)]
Seconds = Annotated[float, BeforeValidator(_as_number)]


class Arguments(BaseModel):
    """What a tool takes. What it does not take is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class FilterArguments(Arguments):
    """The filters, the same for every tool that takes them; what stands in braces is worded for each provider."""

    agent_id: Text = Field("", description="Only this agent's calls.")
    status: Texts = Field(
        [], description="Any of these ways to end, e.g. {statuses}; for all failures use call_successful."
    )
    call_successful: Literal["any", "success", "failure"] = Field(
        "any", description="success: connected and ended normally; failure: ended otherwise; running calls are neither."
    )
    since: str = Field(
        "", description="Started from: 2026-11-20, 2026-11-20T18:00, today, yesterday, or so long ago: 24h, 7d, 2w."
    )
    until: str = Field("", description="Started to, same forms; a date alone includes that whole day.")
    min_duration_seconds: Seconds = Field(
        NO_BOUND, ge=-1, allow_inf_nan=False, description="Minimum duration in seconds, inclusive; -1 for no limit."
    )
    max_duration_seconds: Seconds = Field(
        NO_BOUND, ge=-1, allow_inf_nan=False, description="Maximum duration in seconds, inclusive; -1 for no limit."
    )
    contact_number: Text = Field("", description="Whole number or its last digits, any spelling.")
    failure_reason: str = Field("", description="Exactly this reason, case aside.")
    user_id: Text = Field("", description="{user_id}")
    results: Texts = Field(
        [],
        description="Conditions on result fields, all of them (= != < <= > >= exists missing): {results}.",
    )

    def filters(self, now: datetime, zone: ZoneInfo) -> Filters:
        """The same, read: dates in `zone`, conditions and numbers understood.

        Raises:
            InvalidRequestError: a value cannot be read or a range is impossible.
        """
        low = _bound("min_duration_seconds", self.min_duration_seconds)
        high = _bound("max_duration_seconds", self.max_duration_seconds)
        since, until = read_since(self.since, now, zone), read_until(self.until, now, zone)
        if since and until and since > until:
            raise InvalidRequestError("since lies after until.", "Swap them, or leave one out.")
        if low is not None and high is not None and low > high:
            raise InvalidRequestError("min_duration_seconds is greater than max_duration_seconds.", "Swap them.")
        status = tuple(word.strip() for text in self.status for word in text.split(",") if word.strip())
        if self.status and not status:
            raise InvalidRequestError("status: there is no status in it.", "Give some, or leave it out.")
        return Filters(
            agent_id=self.agent_id,
            status=status,
            call_successful=self.call_successful,
            since=since,
            until=until,
            min_duration_seconds=low,
            max_duration_seconds=high,
            contact_digits=read_contact(self.contact_number),
            failure_reason=self.failure_reason,
            user_id=self.user_id,
            results=tuple(read_condition(text) for text in self.results),
        )


def _bound(argument: str, value: float) -> float | None:
    if NO_BOUND < value < 0:
        raise InvalidRequestError(f"{argument}: no call lasts less than nothing.", "Give seconds, or -1 for no bound.")
    return None if value == NO_BOUND else value
