"""Settings of metering."""

from pydantic import Field

from billplane.chassis.settings import Settings


class MeteringSettings(Settings):
    """What metering reads beside the shared settings."""

    flush_seconds: float = Field(default=1.0, gt=0)
    """How often acknowledged events are moved into Postgres, in seconds."""
    flush_events: int = Field(default=5000, ge=100, le=50_000)
    """How many stream entries one flush takes at most."""
    dedupe_seconds: int = Field(default=3600, ge=60)
    """How long an event's id is remembered before Postgres alone decides, in seconds."""
    events_waiting_max: int = 200_000
    """How many events may wait in the stream before requests are turned away."""
