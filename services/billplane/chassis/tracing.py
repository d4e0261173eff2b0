"""Traces: spans of requests and calls, exported when a collector is named."""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from billplane.chassis.settings import Settings


def configure(settings: Settings) -> None:
    """Set up the process's tracer; without a collector spans still give logs their trace id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "billplane"}))
    if settings.otlp_endpoint:
        # Imported here: the exporter costs memory that a laptop does not spend.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
