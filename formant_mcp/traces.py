"""Spans for OpenTelemetry: the SDK makes one for each message, providers.http one for each request to the provider."""

import os

from formant_mcp import __version__

_SECONDS = 2.0  # for sending, also at the end of the program


def start_traces() -> bool:
    """Sends spans to where the variables of OpenTelemetry say; False if what sends them is not installed.

    Spans have no arguments, addresses or answers. Variables: opentelemetry.io/docs/languages/sdk-configuration.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return False
    from opentelemetry.trace import set_tracer_provider

    own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "formant-mcp"}
    provider = TracerProvider(resource=Resource.create({**own, "service.version": __version__}))
    is_set = os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=None if is_set else _SECONDS)))
    set_tracer_provider(provider)
    return True
