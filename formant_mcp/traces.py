"""Spans for OpenTelemetry: the SDK makes one for each message, providers.http one for each request to the provider."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from formant_mcp import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SECONDS = 2.0  # for sending, also at the end of the program
_FIGURES = ("http.request.method", "http.response.status_code", "rpc.response.status_code", "mcp.protocol.version")
_NAMES = ("gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.prompt.name", "error.type")
_METHOD = re.compile(r"[a-z]{1,20}(?:/[A-Za-z_]{1,30}){1,2}|initialize|ping|GET")
_NAME = re.compile(r"[A-Za-z_]{1,40}|-?\d{1,6}")


def start_traces() -> bool:
    """Sends spans to where the variables of OpenTelemetry say; False if what sends them is not installed.

    Spans have no arguments, ids, addresses or answers: names that may be something else, texts and events are left out.
    Variables: opentelemetry.io/docs/specs/otel/protocol/exporter.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
    except ImportError:
        return False
    from opentelemetry.trace import set_tracer_provider

    class Exporter(OTLPSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return super().export([_reduced(span) for span in spans])

    own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "formant-mcp"}
    provider = TracerProvider(resource=Resource.create({**own, "service.version": __version__}))
    is_set = os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    provider.add_span_processor(BatchSpanProcessor(Exporter(timeout=None if is_set else _SECONDS)))
    set_tracer_provider(provider)
    return True


def _reduced(span: "ReadableSpan") -> "ReadableSpan":
    """The span with the names and figures that may leave the machine."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    attributes = {name: value for name, value in (span.attributes or {}).items() if name in _FIGURES}
    attributes |= {
        name: value for name, value in (span.attributes or {}).items() if name in _NAMES and _NAME.fullmatch(str(value))
    }
    method, *target = span.name.split(" ", 1)
    words = [method if _METHOD.fullmatch(method) else "other", *(word for word in target if _NAME.fullmatch(word))]
    return ReadableSpan(
        name=" ".join(words),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )
