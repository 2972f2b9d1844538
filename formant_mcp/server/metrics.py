"""Figures for Prometheus: how many calls, how long they took, what was refused; nothing of members or conversations."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIRST_REFUSAL = 400
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)  # seconds


class Metrics:
    """The figures of one server. Labels are names of ours and statuses, so their number is bounded."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._seconds = Histogram(
            "formant_mcp_call_seconds",
            "Calls by tool (or method) and outcome, and how long they took.",
            ("call", "outcome"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._refused = Counter(
            "formant_mcp_refused_requests",
            "Responses with an HTTP error, by status: 401 no valid token, 413 too large, 429 too many, and others.",
            ("status",),
            registry=self._registry,
        )

    def watch(self, running: Callable[[], float], sessions: Callable[[], float]) -> None:
        """Measures these whenever somebody reads the figures."""
        for name, text, measure in (
            ("running_requests", "Requests under way.", running),
            ("sessions", "Open sessions of clients of older eras.", sessions),
        ):
            Gauge(f"formant_mcp_{name}", text, registry=self._registry).set_function(measure)

    def count_call(self, call: str, outcome: str, seconds: float) -> None:
        """Counts a call that has ended."""
        self._seconds.labels(call, outcome).observe(seconds)

    def counting_refusals(self, app: ASGIApp) -> ASGIApp:
        """The same app; its refusals are counted."""
        return _Counted(app, self._refused)

    async def respond(self, _: Request) -> Response:
        """All figures, in Prometheus' text format."""
        return Response(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Counted:
    """An app whose refusals are counted; a class, because Starlette routes only GET to functions."""

    def __init__(self, app: ASGIApp, refused: Counter) -> None:
        self._app = app
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _FIRST_REFUSAL:
                self._refused.labels(message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counting_send)
