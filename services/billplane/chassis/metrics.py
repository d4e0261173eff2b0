"""Prometheus metrics that every service has; names begin with `billplane_`."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

REQUESTS = Counter(
    "billplane_http_requests_total", "HTTP requests answered", ["service", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    "billplane_http_request_seconds",
    "Time to answer an HTTP request",
    ["service"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
CALLS = Counter("billplane_rpc_calls_total", "gRPC calls answered", ["service", "method", "code"])
PUBLISHED = Counter(
    "billplane_messages_published_total", "Messages that left the outbox", ["service", "type"]
)
HANDLED = Counter(
    "billplane_messages_handled_total", "Messages handled", ["service", "type", "outcome"]
)
DEAD_LETTERS = Counter(
    "billplane_dead_letters_total", "Messages set aside", ["service", "type", "reason"]
)
OUTBOX_AGE = Gauge(
    "billplane_outbox_age_seconds", "Age of the oldest message not yet published", ["service"]
)
BROKER_STATE = Gauge(
    "billplane_broker_state", "1 for the state a broker's connection is in", ["broker", "state"]
)
JOB_RUNS = Counter(
    "billplane_job_runs_total", "Runs of periodic work", ["service", "job", "outcome"]
)


def exposition() -> tuple[bytes, str]:
    """Return the text format and its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST
