"""HTTP requests with timeouts, retries, a shared rate limit and our own errors. Nothing else uses the network."""

import logging
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping, Set
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

import anyio
import httpx
from opentelemetry.trace import Span, SpanKind, get_tracer
from pydantic import JsonValue
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from formant_mcp import __version__
from formant_mcp.errors import (
    ASK_AGAIN,
    CHECK_ADDRESS,
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    DamagedResponseError,
    FormantError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeoutError,
    RetryableError,
    ServiceError,
    UnexpectedStatusError,
)
from formant_mcp.providers.json_body import parse_json, says_not_found
from formant_mcp.providers.rate_limit import Monotonic, Permit, RateLimiter, Sleep, WallClock, too_many_requests

MOST_TRIES = 5
MOST_SECONDS = 120.0
LEAST_SECONDS_TO_READ = 10.0  # for a response, also to a request that had to wait
MOST_BYTES = 100_000_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOCATION = "formant_mcp.location"
_LONGEST_SEGMENT = 256
_LONGEST_ERROR_BODY = 65_536
_TIMEOUT = httpx.Timeout(connect=10, read=30, write=10, pool=None)
_BACKOFF = wait_random_exponential(multiplier=1, max=30)  # full jitter: from 0 up to 1, 2, 4, 8 seconds
_ASK_LATER = "This address has answered before, so the provider, or a gateway before it, may have failed. Retry later."
_RANGE = re.compile(r"bytes 0-(\d{1,18})/(\d{1,18})", re.ASCII | re.IGNORECASE)

_log = logging.getLogger(__name__)
_tracer = get_tracer(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Download:
    """A response being received.

    `address`: where it comes from. `location`: where it redirects to, '' if it does not. `size`: of the body in bytes,
    None if not announced. `is_part`: it may be only part of the file. The media type of the header is not kept: the
    bytes decide.
    """

    status: int
    address: httpx.URL
    location: str
    size: int | None
    is_part: bool
    chunks: AsyncIterator[bytes]


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class HttpClient:
    """GET requests to one address, with one set of headers.

    Connection errors, timeouts, 429, 5xx and responses damaged in transit (cut off, empty, a web page) are retried, up
    to 5 tries and 120 seconds in all, after Retry-After or else a random, growing wait. Everything it raises is in
    `formant_mcp.errors` and never holds a body, a URL or a header.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        documented_per_minute: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = anyio.sleep,
        now: WallClock = utc_now,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.address = httpx.URL(base_url)
        self._new_without_key = partial(HttpClient, "", {}, transport=transport, sleep=sleep, now=now)
        self._without_key: HttpClient | None = None
        self._has_answered = False
        self.most_tries = MOST_TRIES
        self.last_date = ""  # the header of the last response
        self._in_turn = anyio.Lock()  # one response is handed on in a turn of the loop: requests are sent in between
        self._monotonic = monotonic
        self.rate_limit = RateLimiter(
            sleep=sleep, now=now, monotonic=monotonic, documented_per_minute=documented_per_minute
        )
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"User-Agent": f"formant-mcp/{__version__}", **headers},
            transport=transport,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,
            event_hooks={"response": [_keep_location]},
        )

    async def get_json(self, name: str, path: str, params: Mapping[str, str | int] | None = None) -> JsonValue:
        """The JSON at `path`; the log says `name` instead, because a path holds ids.

        Raises:
            NotFoundError: the API itself says so; a 404 from anything else, such as a gateway, is unexpected.
        """
        deadline = self._monotonic() + MOST_SECONDS

        async def read(response: httpx.Response) -> JsonValue:
            body = bytearray()
            async for chunk in self._chunks_in_time(response, deadline):
                body += chunk
            return parse_json(bytes(body), self._address_hint)

        target = f"{path}?{urlencode(params)}" if params else path
        sent = await self._request(_Get(name, target, deadline, read))
        self._has_answered = True
        async with self._in_turn:
            return sent

    def for_address(self, address: str) -> "HttpClient":
        """The client for that address or path: this one for its own origin, one without the key elsewhere."""
        if _origin(self.address.join(address)) == _origin(self.address):
            return self
        if self._without_key is None:
            self._without_key = self._new_without_key()
            self._without_key._has_answered = True  # FORMANT_BASE_URL is right: it returned that address
        return self._without_key

    @asynccontextmanager
    async def stream(self, path: str, accepted: Set[int] = frozenset()) -> AsyncGenerator[Download, None]:
        """Streams the bytes at `path`; redirects and statuses in `accepted` are not errors.

        Only opening is retried and counts as in flight; reading the bytes may raise too.
        """

        async def leave_open(response: httpx.Response) -> httpx.Response:
            return response

        deadline, accepted = self._monotonic() + MOST_SECONDS, accepted | _REDIRECTS
        response = await self._request(_Get("recording", path, deadline, leave_open, accepted, believes_404=True))
        try:
            async with aclosing(_chunks(response, self._address_hint)) as chunks:
                location = response.extensions.get(_LOCATION, "")
                is_part = response.status_code == 206 and not _is_all(response.headers.get("content-range", ""))
                yield Download(response.status_code, response.url, location, _size(response), is_part, chunks)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
        if self._without_key is not None:
            await self._without_key.aclose()

    async def _request(self, get: "_Get[T]") -> T:
        def is_over(state: RetryCallState) -> bool:
            return state.attempt_number >= self.most_tries or self._monotonic() + state.upcoming_sleep > get.deadline

        def log_retry(state: RetryCallState) -> None:
            _log.debug("GET %s: retry %d in %.1f s", get.name, state.attempt_number, state.upcoming_sleep)

        retrying = AsyncRetrying(
            sleep=self.rate_limit.wait,
            retry=retry_if_exception_type(RetryableError),
            wait=_wait,
            stop=is_over,
            reraise=True,
            before_sleep=log_retry,
        )
        async for attempt in retrying:
            with attempt:
                return await self._try(get)
        raise AssertionError("tenacity either returns or raises")

    @property
    def _address_hint(self) -> str:
        """The next step if the address may be wrong; one that has answered before is not."""
        return _ASK_LATER if self._has_answered else CHECK_ADDRESS

    async def _try(self, get: "_Get[T]") -> T:
        """Sends one request, in a span of its own: where spans are collected, they show what a call waits for."""
        attributes = {"http.request.method": "GET", "server.address": self.address.host}
        with _tracer.start_as_current_span(
            f"GET {get.name}", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            return await self._send(get, span)

    async def _send(self, get: "_Get[T]", span: Span) -> T:
        requested_at = self._monotonic()
        async with self.rate_limit.permit(get.deadline) as permit:
            sent_at, outcome = self._monotonic(), "cancelled"
            try:
                with _translate_httpx_errors(self._address_hint):
                    response = await self._client.send(self._client.build_request("GET", get.path), stream=True)
                outcome = str(response.status_code)
                span.set_attribute("http.response.status_code", response.status_code)
                retry_after_seconds = await _close_on_error(response, partial(self._update_rate_limit, permit))
                if response.is_success or response.status_code in get.accepted:
                    return await _close_on_error(response, get.receive)
                is_own = (
                    get.believes_404
                    or response.status_code != 404
                    or await _close_on_error(response, partial(self._is_apis_own, deadline=get.deadline))
                )
            except (ConnectionFailedError, InvalidResponseError) as error:
                outcome = type(error).__name__
                raise
            finally:
                taken, waited = self._monotonic() - sent_at, sent_at - requested_at
                _log.debug("GET %s: %s, %d ms, waited %d ms", get.name, outcome, taken * 1000, waited * 1000)
            await response.aclose()
        if not is_own:
            message = "Not found (404): a wrong address, or a gateway before the API failed."
            raise UnexpectedStatusError(message, self._address_hint)
        raise error_for_status(response.status_code, retry_after_seconds, self._address_hint)

    async def _is_apis_own(self, response: httpx.Response, deadline: float) -> bool:
        """Whether the API itself sent a 404. Its body is read for this alone, up to the length of an error."""
        body = bytearray()
        async with aclosing(self._chunks_in_time(response, deadline)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > _LONGEST_ERROR_BODY:
                    return False
        return says_not_found(bytes(body))

    async def _chunks_in_time(self, response: httpx.Response, deadline: float) -> AsyncGenerator[bytes, None]:
        """The body, until the request's deadline: each chunk may come in time, and the last one never."""
        ends_at = max(deadline, self._monotonic() + LEAST_SECONDS_TO_READ)
        async for chunk in _chunks(response, self._address_hint):
            yield chunk
            if self._monotonic() > ends_at:
                raise RequestTimeoutError("The API sends its response too slowly.", "Retry later.")

    async def _update_rate_limit(self, permit: Permit, response: httpx.Response) -> float | None:
        self.last_date = response.headers.get("date", "")
        return await self.rate_limit.update_from_response(permit, response.status_code, response.headers)


@dataclass(frozen=True, slots=True)
class _Get(Generic[T]):
    """One request, its deadline on the monotonic clock, and how its response is read.

    `name` is for the log; statuses in `accepted` are not errors; `believes_404`: a 404 counts, whoever sends it.
    """

    name: str
    path: str
    deadline: float
    receive: Callable[[httpx.Response], Awaitable[T]]
    accepted: Set[int] = frozenset()
    believes_404: bool = False


def path_segment(value: str, name: str = "conversation_id") -> str:
    """The id as exactly one path segment, everything but unreserved characters percent-encoded (RFC 3986).

    Raises:
        InvalidRequestError: it is empty, `.`, `..`, longer than 256 characters or has invisible characters.
    """
    if value in {"", ".", ".."} or len(value) > _LONGEST_SEGMENT or not value.isprintable():
        raise InvalidRequestError(
            f"Invalid {name} (1–{_LONGEST_SEGMENT} printable characters).",
            "Take one from list_conversations.",
        )
    return quote(value, safe="")


async def _close_on_error(response: httpx.Response, receive: Callable[[httpx.Response], Awaitable[T]]) -> T:
    try:
        return await receive(response)
    except BaseException:
        await response.aclose()
        raise


async def _chunks(response: httpx.Response, address_hint: str) -> AsyncGenerator[bytes, None]:
    size = 0
    with _translate_httpx_errors(address_hint):
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MOST_BYTES:
                raise InvalidResponseError(
                    f"The response is larger than {MOST_BYTES // 1_000_000} MB, the most that is accepted.", ASK_AGAIN
                )
            yield chunk


@contextmanager
def _translate_httpx_errors(address_hint: str) -> Generator[None, None, None]:
    try:
        yield
    except httpx.TimeoutException:
        raise RequestTimeoutError("The API did not respond in time.", "Check the network and retry.") from None
    except httpx.DecodingError:
        raise DamagedResponseError("The response could not be decompressed.", ASK_AGAIN) from None
    except httpx.RequestError:
        raise ConnectionFailedError("The connection to the API failed.", f"Check the network. {address_hint}") from None


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    retry_after_seconds = failure.retry_after_seconds if isinstance(failure, RetryableError) else None
    return retry_after_seconds or _BACKOFF(state)


def error_for_status(
    status: int, retry_after_seconds: float | None = None, address_hint: str = CHECK_ADDRESS
) -> FormantError:
    """The error for a status. A body is never used for its message."""
    match status:
        case 400 | 409 | 422:
            error = ConflictError if status == 409 else InvalidRequestError
            return error(f"The API refused the request ({status}).", "Check the arguments.")
        case 401:
            return AuthenticationError(
                "The key was refused.",
                "Check FORMANT_API_KEY, and that FORMANT_PROVIDER, FORMANT_REGION and FORMANT_BASE_URL fit it.",
            )
        case 403:
            return PermissionDeniedError(
                "This API key lacks permission (403).", "Ask the account's owner for a key that has it."
            )
        case 404:
            return NotFoundError("Not found (404).", address_hint)
        case 429:
            return too_many_requests(retry_after_seconds)
        case _ if status >= 500:
            hint = f"Retry in {math.ceil(retry_after_seconds)} s." if retry_after_seconds else "Retry later."
            return ServiceError(f"The API failed ({status}).", hint, retry_after_seconds=retry_after_seconds)
        case _ if 300 <= status < 400:
            return UnexpectedStatusError(f"The address redirects elsewhere ({status}).", address_hint)
        case _:
            return UnexpectedStatusError(f"The API does not document the status it sent ({status}).", address_hint)


async def _keep_location(response: httpx.Response) -> None:
    """Moves a redirect's address out of the headers: httpx would parse it, and raise its own error on a bad one."""
    if response.status_code in _REDIRECTS:
        response.extensions[_LOCATION] = response.headers.pop("location", "")


def _size(response: httpx.Response) -> int | None:
    """The announced length of the body; None if it is compressed, because the length is then another."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and "content-encoding" not in response.headers else None


def _is_all(content_range: str) -> bool:
    """Whether a byte range is the whole file (RFC 9110, 14.4)."""
    match = _RANGE.fullmatch(content_range.strip())
    return match is not None and int(match[1]) + 1 == int(match[2])


def _origin(address: httpx.URL) -> tuple[str, str, int | None]:
    return address.scheme, address.host, address.port
