"""The wiring of metering."""

import json
from importlib import resources

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.chassis.runtime import Runtime
from billplane.metering.ingest import routes
from billplane.metering.invariants import records_equal_events
from billplane.metering.jobs import jobs
from billplane.metering.rest import rest
from billplane.metering.rpc import rpc
from billplane.metering.service.estimate import Estimates, Plans
from billplane.metering.service.flush import Flusher
from billplane.metering.service.intake import Intake
from billplane.metering.settings import MeteringSettings
from billplane.protos.metering.v1.events_pb2 import UsageThresholdReached

# The hot doors are no FastAPI routes, so their documentation is written down.
OPENAPI = json.loads(
    (resources.files("billplane.metering") / "data" / "openapi.json").read_text("utf-8")
)


class State:
    """What lives as long as the process."""

    def __init__(self, runtime: Runtime) -> None:
        self.intake = Intake(runtime)
        self.flusher = Flusher(runtime, self.intake)
        self.plans = Plans()
        self.estimates = Estimates(runtime, self.flusher, self.plans)

    async def close(self) -> None:
        """Leave nothing that was acknowledged to the next start."""
        await self.flusher.close()
        await self.intake.store.close()


async def start_metering(runtime: Runtime) -> State:
    """Make what takes and moves usage."""
    return State(runtime)


app = ServiceApp(
    name="metering",
    title="Metering",
    description="Usage events in, quantities out; the estimate of the open period.",
    settings=MeteringSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/usage_events", "usage"),
        Route("/v1/usage_events/conflicts"),
        Route("/v1/usage_events/adjustments"),
        Route("/v1/usage_events:void"),
        Route("/v1/usage_events:correct"),
        Route("/v1/usage"),
        Route("/v1/meters"),
        Route("/api/v1/usage", "usage", demo=True),
        Route("/api/v1/billing", demo=True),
    ],
    messages=[fact(UsageThresholdReached, "usage_threshold")],
    jobs=jobs,
    invariants=[records_equal_events],
    depends_on=["pricing", "subscription"],
    asgi=routes,
    start=start_metering,
    finders=["unknown_subjects", "due_threshold_checks"],
    batch_writers=["prepare_incoming", "store_incoming", "note_changes", "make_usage_month"],
    extra={"openapi": OPENAPI},
)
