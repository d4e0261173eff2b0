"""The wiring of discount."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.discount.invariants import (
    documents_are_counted,
    redemptions_are_counted,
    shares_add_up,
)
from billplane.discount.rest import rest
from billplane.discount.rpc import rpc
from billplane.protos.discount.v1.events_pb2 import DiscountApplied, DiscountReversed

app = ServiceApp(
    name="discount",
    title="Discount",
    description="Coupons and rules: whom they serve, what they take off, where it was applied.",
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/coupons"),
        Route("/v1/discount_rules"),
        Route("/v1/discount_calculations"),
        Route("/v1/discount_applications"),
    ],
    messages=[
        fact(DiscountApplied, "discount_application"),
        fact(DiscountReversed, "discount_application"),
    ],
    invariants=[redemptions_are_counted, documents_are_counted, shares_add_up],
    depends_on=["subscription"],
    kept_rest_ports=[8002],
)
