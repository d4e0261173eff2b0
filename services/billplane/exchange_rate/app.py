"""The wiring of exchange_rate."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.chassis.http_client import HttpClient
from billplane.chassis.runtime import Runtime
from billplane.exchange_rate.invariants import rates_belong_to_a_feed
from billplane.exchange_rate.jobs import jobs
from billplane.exchange_rate.rest import rest
from billplane.exchange_rate.rpc import rpc
from billplane.exchange_rate.settings import ExchangeRateSettings
from billplane.protos.exchange_rate.v1.events_pb2 import RatesStale, RatesUpdated


async def open_client(runtime: Runtime) -> HttpClient:
    """Open the client that fetches sources."""
    settings: ExchangeRateSettings = runtime.settings  # type: ignore[assignment]
    return HttpClient(settings.outgoing_allow_list, settings.fetch_timeout_seconds)


app = ServiceApp(
    name="exchange_rate",
    title="Exchange rates",
    description="Rates with a source and an age; crosses and conversions as of a date.",
    settings=ExchangeRateSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/exchange_rate_feeds"),
        Route("/v1/exchange_rates"),
        Route("/v1/currencies"),
    ],
    messages=[fact(RatesUpdated, "feed"), fact(RatesStale, "feed")],
    jobs=jobs,
    invariants=[rates_belong_to_a_feed],
    kept_grpc_ports=[50054],
    start=open_client,
    finders=["due_feeds"],
)
