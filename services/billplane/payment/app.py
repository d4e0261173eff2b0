"""The wiring of payment."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.chassis.runtime import Runtime
from billplane.payment.consumers import APPLY, consumers
from billplane.payment.invariants import (
    an_intent_pays_once,
    collections_add_up,
    intents_equal_charges,
    refunds_add_up,
    what_runs_has_an_attempt,
)
from billplane.payment.jobs import jobs
from billplane.payment.rest import rest
from billplane.payment.rpc import rpc
from billplane.payment.service.state import State
from billplane.payment.settings import PaymentSettings
from billplane.protos.payment.v1 import events_pb2


async def start(runtime: Runtime) -> State:
    """Open the processors."""
    return State(runtime)


app = ServiceApp(
    name="payment",
    title="Payments",
    description="Payment intents, refunds, disputes and collection, in the dialect of Stripe.",
    settings=PaymentSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/payment_intents", dialect="stripe"),
        Route("/v1/payment_methods", dialect="stripe"),
        Route("/v1/refunds", dialect="stripe"),
        Route("/v1/charges", dialect="stripe"),
        Route("/v1/disputes", dialect="stripe"),
        Route("/v1/customers", dialect="stripe"),
        Route("/payments/payment_intents", dialect="stripe"),
        # Processors and payers have no key: a signature or a secret address lets them in.
        Route("/payments/webhooks", limit="none", public=True, dialect="stripe"),
        Route("/payments/authentications", limit="none", public=True, dialect="stripe"),
    ],
    messages=[
        fact(events_pb2.PaymentIntentCreated, "payment_intent"),
        fact(events_pb2.PaymentIntentActionRequired, "payment_intent"),
        fact(events_pb2.PaymentIntentCanceled, "payment_intent"),
        fact(events_pb2.PaymentSucceeded, "payment_intent"),
        fact(events_pb2.PaymentFailed, "payment_intent"),
        fact(events_pb2.CreditApplied, "collection"),
        fact(events_pb2.CollectionExhausted, "collection"),
        fact(events_pb2.RefundSucceeded, "payment_intent"),
        fact(events_pb2.DisputeOpened, "payment_intent"),
        fact(events_pb2.DisputeClosed, "payment_intent"),
        APPLY,
    ],
    consumers=consumers,
    jobs=jobs,
    invariants=[
        refunds_add_up,
        intents_equal_charges,
        an_intent_pays_once,
        what_runs_has_an_attempt,
        collections_add_up,
    ],
    depends_on=["billing_core", "subscription"],
    kept_rest_ports=[8004, 8082],
    start=start,
    finders=[
        "stale_attempts",
        "stale_authorizations",
        "due_collections",
        "owner_of_reference",
        "owner_of_challenge",
    ],
)
