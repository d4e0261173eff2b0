"""The wiring of tax."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.protos.tax.v1.events_pb2 import TaxCalculated
from billplane.tax.invariants import calculations_add_up
from billplane.tax.rest import rest
from billplane.tax.rpc import rpc

app = ServiceApp(
    name="tax",
    title="Tax",
    description="What is owed to whom: EU VAT with dated rates, reverse charge, own stacked rules.",
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/tax_calculations"),
        Route("/v1/tax_ids"),
        Route("/v1/tax_rules"),
        Route("/v1/tax_settings"),
    ],
    messages=[fact(TaxCalculated, "tax_calculation")],
    invariants=[calculations_add_up],
    kept_rest_ports=[8001],
)
