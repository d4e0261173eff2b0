"""Settings of metering."""

from pydantic import Field

from billplane.chassis.settings import Settings


class MeteringSettings(Settings):
    """What metering reads beside the shared settings.

    `BILLPLANE_METERING_REDIS_URL` puts usage on a Redis of its own; it must run with
    `appendfsync always` and `noeviction`.
    """

    flush_seconds: float = Field(default=1.0, gt=0)
    """How long acknowledged events wait before they are moved into Postgres, in seconds."""
    flush_events: int = Field(default=5000, ge=1, le=100_000)
    """Events that are moved at once, and that are moved without waiting for the time."""
    dedupe_seconds: int = Field(default=3600, ge=60)
    """How long an event's id is remembered at the door before Postgres alone decides, in seconds.
    """
    batch_events: int = Field(default=256, ge=1, le=1000)
    """Events of several requests that go to Redis in one call at most."""
    events_waiting_max: int = Field(default=200_000, ge=1)
    """How many events of this process may wait for Postgres before requests are turned away."""
