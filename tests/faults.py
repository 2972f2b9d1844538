"""Faults of Formant's API: its documented errors, and others that a test scripts with `FakeFormant.fault`.

A fault is a function from the good reply to what is sent instead.
"""

import json
from collections.abc import Callable
from dataclasses import replace

from formant_mcp.demo.apis import formant
from tests.fake_http import Reply

Fault = Callable[[Reply], Reply]


def error(status: int, message: str) -> Reply:
    """An error in the documented form."""
    return Reply.of(formant.error(status, message))


def failing(status: int) -> Fault:
    """Another status, with the documented error body."""
    return lambda good: replace(error(status, "Scripted fault."), headers=good.headers)


def html_502(good: Reply) -> Reply:
    """A gateway's own page."""
    return Reply(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")


def cut_off_json(good: Reply) -> Reply:
    """Announces the whole length, sends half of it and closes the connection."""
    return replace(good, send_only=len(good.body) // 2)


def truncated_json(good: Reply) -> Reply:
    """Valid HTTP with half of the JSON."""
    return replace(good, body=good.body[: len(good.body) // 2])


def empty_body(good: Reply) -> Reply:
    """A 200 without a body."""
    return replace(good, body=b"")


def not_json(good: Reply) -> Reply:
    """A 200 that claims to be JSON and is not."""
    return replace(good, body=b"<!doctype html><title>Sign in</title>")


def hang_up(good: Reply) -> Reply:
    """The connection closed without an answer."""
    return replace(good, hang_up=True)


def wrong_shape(good: Reply) -> Reply:
    """`data` is an object where a list belongs, and a list where an object does."""
    body = json.loads(good.body)
    return replace(good, body=json.dumps(body | {"data": {} if isinstance(body["data"], list) else []}).encode())


def unreadable_row(good: Reply) -> Reply:
    """The first row of the page has no id."""
    body = json.loads(good.body)
    first, *others = body["data"]
    return replace(good, body=json.dumps(body | {"data": [first | {"conversation_id": None}, *others]}).encode())


def slow(seconds: float) -> Fault:
    """The good reply, late."""
    return lambda good: replace(good, delay_seconds=seconds)


def redirect(to: str) -> Fault:
    """A 302 to another address."""
    return lambda good: Reply(302, headers={"Location": to})


def rate_limit(retry_after: str | None = None, reset: str | None = None) -> Fault:
    """A 429 with these headers, as they are: `Retry-After` and `X-RateLimit-Reset` (documented as ISO 8601)."""
    headers = {"Retry-After": retry_after, "X-RateLimit-Reset": reset}
    sent = {name: value for name, value in headers.items() if value is not None}
    return lambda good: replace(error(429, "Rate limit exceeded."), headers=sent)
