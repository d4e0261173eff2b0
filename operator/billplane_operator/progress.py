"""What the operator has done and when, for metrics and for probes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

SECONDS = Histogram(
    "billplane_operator_reconcile_duration_seconds",
    "Time of one look at a resource",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
ERRORS = Counter(
    "billplane_operator_reconcile_errors_total",
    "Looks that ended with something left to do, by reason",
    ["kind", "reason"],
)
DEPTH = Gauge("billplane_operator_queue_depth", "Resources that wait for a look")
DRIFT = Counter(
    "billplane_operator_drift_total",
    "Differences found between what runs and what was applied",
    ["kind"],
)


class Progress:
    """Which looks are in hand, and since when."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._in_hand: dict[object, float] = {}

    @contextmanager
    def look(self, kind: str) -> Iterator[None]:
        """Time one look at a resource."""
        token, began = object(), self._monotonic()
        self._in_hand[token] = began
        try:
            yield
        finally:
            del self._in_hand[token]
            SECONDS.labels(kind).observe(self._monotonic() - began)

    def longest_seconds(self) -> float:
        """Return how long the oldest look has been in hand; 0 when none is."""
        now = self._monotonic()
        return max((now - began for began in self._in_hand.values()), default=0.0)
