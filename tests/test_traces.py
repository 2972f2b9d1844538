"""Spans: off unless configured; a question's requests to the provider are below it, and nothing private is in any."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.calls import conversation_id, many
from tests.command import run_in_child
from tests.examples import some
from tests.fake_formant import FakeFormant
from tests.stdio_process import KEY, calling, request, said, started

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Generator[tuple[str, list[Span], list[bytes]]]:
    """A collector's address, the spans it has received, and their bytes."""
    spans, bodies = list[Span](), list[bytes]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            sent = ExportTraceServiceRequest.FromString(bodies[-1])
            spans.extend(span for of in sent.resource_spans for scope in of.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans, bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_requests_to_the_provider_are_spans_below_the_call_that_needs_them(tmp_path: Path) -> None:
    with collector() as (address, spans, bodies), FakeFormant.in_thread() as api:
        api.key = KEY
        api.conversations = many(250, datetime.now(UTC) - timedelta(hours=2), timedelta(days=10))
        with started(
            tmp_path,
            FORMANT_API_KEY=KEY,
            FORMANT_BASE_URL=api.url,
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            no_proxy="127.0.0.1",
        ) as server:
            server.shake_hands()
            call = calling(2, "get_transcripts", conversation_ids=[conversation_id(0)])
            call["params"]["_meta"] = {"traceparent": f"00-{TRACE}-{PARENT}-01"}  # pyright: ignore
            server.send(call)
            assert "hello" in said(server.receive()).lower()
            secret = "a number 9876543210"
            for number, sent in enumerate(
                (
                    calling(3, secret),
                    request(4, "prompts/get", name=secret),
                    request(5, "resources/read", uri="formant://conversations/secret99"),
                    request(6, "secret 9876543210"),
                ),
                3,
            ):
                server.send(sent)
                assert server.receive()["id"] == number
            server.close_stdin()
            assert server.ends() == 0
            assert server.rest() == ([], b"")
    by_name = {span.name: span for span in spans}
    question = by_name["tools/call get_transcripts"]
    assert (question.trace_id.hex(), question.parent_span_id.hex()) == (TRACE, PARENT)
    sent = [span for span in spans if span.kind == Span.SpanKind.SPAN_KIND_CLIENT]
    assert sent
    assert [span for span in sent if span.trace_id.hex() == TRACE]
    assert question.span_id in {span.parent_span_id for span in sent}
    everything = b"".join(bodies)
    for private in (KEY, conversation_id(0), "Haan", "+91", "9876543210", "secret", "127.0.0.1"):
        assert private.encode() not in everything
    assert b"formant-mcp" in everything


@pytest.mark.parametrize(
    ("has_address", "exporter", "disabled"), some([(True, "none", ""), (True, "", "true"), (False, "", "")], 3)
)
def test_nothing_is_sent_or_imported_unless_configured(
    tmp_path: Path, has_address: bool, exporter: str, disabled: str
) -> None:
    with (
        collector() as (address, spans, _),
        started(
            tmp_path,
            "--demo",
            OTEL_EXPORTER_OTLP_ENDPOINT=address if has_address else "",
            OTEL_TRACES_EXPORTER=exporter,
            OTEL_SDK_DISABLED=disabled,
            no_proxy="127.0.0.1",
        ) as server,
    ):
        server.shake_hands()
        server.send(calling(2, "list_conversations"))
        server.receive()
        maps = Path(f"/proc/{server.process.pid}/maps")
        assert not maps.exists() or "google/_upb" not in maps.read_text()  # what the exporter needs
        server.close_stdin()
        assert server.ends() == 0
    assert spans == []


@pytest.mark.parametrize("command", some([["--demo", "doctor"], ["tour"]], 2))
def test_a_collector_that_does_not_answer_stops_nothing(tmp_path: Path, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run_in_child(tmp_path, *command, OTEL_EXPORTER_OTLP_ENDPOINT=address, no_proxy="127.0.0.1")
    assert done.status == 0, done.out + done.error


@pytest.mark.parametrize("variable", some(["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], 2))
def test_the_variable_that_is_set_is_named_where_nothing_can_send_spans(tmp_path: Path, variable: str) -> None:
    hides = tmp_path / "hides" / "opentelemetry" / "exporter"
    hides.mkdir(parents=True)
    (hides / "__init__.py").touch()
    others = {variable: "http://127.0.0.1:9", "PYTHONPATH": str(tmp_path / "hides")}
    done = run_in_child(tmp_path, "--demo", "list", **others)
    assert (done.status, done.error.splitlines()[0]) == (
        0,
        f"{variable} is set, but what sends spans is not installed. Install the program again with its extra:"
        " `uv tool install '.[traces]'` in a copy of its repository.",
    )
