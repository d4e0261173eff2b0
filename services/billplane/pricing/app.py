"""The wiring of pricing."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.auth import internal_seed
from billplane.chassis.events import fact
from billplane.chassis.http_client import HttpClient
from billplane.chassis.runtime import Runtime
from billplane.chassis.sealing import Sealer
from billplane.pricing.invariants import (
    plans_ask_for_what_they_run,
    stored_specs_are_valid,
    versions_have_no_gaps,
    versions_have_their_prices,
)
from billplane.pricing.rest import rest
from billplane.pricing.rpc import rpc
from billplane.pricing.service.external import PriceSources
from billplane.pricing.service.rating import RatingState
from billplane.pricing.settings import PricingSettings
from billplane.protos.pricing.v1.events_pb2 import PlanPublished


async def start_rating(runtime: Runtime) -> RatingState:
    """Make what rating keeps."""
    settings: PricingSettings = runtime.settings  # type: ignore[assignment]
    client = HttpClient(settings.outgoing_allow_list, settings.price_timeout_seconds)
    sealer = Sealer("price_secrets", internal_seed(runtime.settings))
    return RatingState(settings.rating_threads, PriceSources(client, sealer))


app = ServiceApp(
    name="pricing",
    title="Pricing",
    description="Plans, their immutable versions, and what usage and fees cost.",
    settings=PricingSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/external_prices"),
        Route("/v1/plans"),
        Route("/v1/price_secrets"),
        Route("/v1/prices"),
        Route("/v1/quotes"),
    ],
    messages=[fact(PlanPublished, "plan")],
    invariants=[
        versions_have_no_gaps,
        versions_have_their_prices,
        plans_ask_for_what_they_run,
        stored_specs_are_valid,
    ],
    depends_on=["exchange_rate", "subscription"],
    kept_grpc_ports=[50053],
    start=start_rating,
)
