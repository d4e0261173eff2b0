"""The one source of time; code reads `tx.now`, tests inject a fixed clock."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        return datetime.now(UTC)  # tidy: allow datetime.now: the one place that reads it


class FixedClock:
    """A clock that moves only when told to."""

    def __init__(self, instant: datetime) -> None:
        self._instant = instant.astimezone(UTC)

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self._instant

    def advance(self, by: timedelta) -> None:
        """Move forward."""
        self._instant += by
