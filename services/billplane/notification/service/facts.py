"""Which facts have which events: the table, and what stands in `data.object`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from billplane.chassis.events import MessageType, fact
from billplane.protos.billing_core.v1 import events_pb2 as billing_core
from billplane.protos.discount.v1 import events_pb2 as discount
from billplane.protos.invoice.v1 import events_pb2 as invoice
from billplane.protos.ledger.v1 import events_pb2 as ledger
from billplane.protos.metering.v1 import events_pb2 as metering
from billplane.protos.payment.v1 import events_pb2 as payment
from billplane.protos.subscription.v1 import events_pb2 as subscription

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One event that a fact says."""

    type: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A fact and the events that it says; none where it only counts for the order."""

    message: MessageType
    types: tuple[str, ...]
    build: Callable[[Payload], Sequence[Said]]


def _itself(
    proto: type[Message],
    event_type: str,
    name: str,
    key: str,
    *,
    aggregate: str = "",
    wire_type: str = "",
) -> Source:
    """The fact itself is the object; its id is in the field `key`."""

    def build(payload: Payload) -> Sequence[Said]:
        return [Said(event_type, {"id": payload[key], "object": name, **payload})]

    return Source(fact(proto, aggregate or name, wire_type=wire_type), (event_type,), build)


def _shown(proto: type[Message], aggregate: str, *events: tuple[str, str, str]) -> Source:
    """The fact carries objects as their readers see them: (event type, field, object)."""

    def build(payload: Payload) -> Sequence[Said]:
        return [
            Said(event_type, {"object": name, **json.loads(payload[field])})
            for event_type, field, name in events
            if payload[field]
        ]

    return Source(fact(proto, aggregate), tuple(event[0] for event in events), build)


def _posted(payload: Payload) -> Sequence[Said]:
    """Each transaction of a batch has an event of its own."""
    return [
        Said(
            "ledger.transaction.posted",
            {"id": item["transaction_id"], "object": "ledger.transaction", **item},
        )
        for item in payload["transactions"]
    ]


_INTENT, _CHARGE, _DISPUTE = "payment_intent", "charge", "dispute"
SOURCES: Final = (
    _shown(
        payment.PaymentIntentCreated, _INTENT, ("payment_intent.created", "object_json", _INTENT)
    ),
    _shown(
        payment.PaymentIntentActionRequired,
        _INTENT,
        ("payment_intent.requires_action", "object_json", _INTENT),
    ),
    _shown(
        payment.PaymentIntentCanceled, _INTENT, ("payment_intent.canceled", "object_json", _INTENT)
    ),
    _shown(
        payment.PaymentSucceeded,
        _INTENT,
        ("payment_intent.succeeded", "object_json", _INTENT),
        ("charge.succeeded", "charge_json", _CHARGE),
    ),
    _shown(
        payment.PaymentFailed, _INTENT, ("payment_intent.payment_failed", "object_json", _INTENT)
    ),
    _shown(
        payment.RefundSucceeded,
        _INTENT,
        ("charge.refunded", "charge_json", _CHARGE),
        ("refund.created", "object_json", "refund"),
    ),
    _shown(payment.DisputeOpened, _INTENT, ("charge.dispute.created", "object_json", _DISPUTE)),
    _shown(payment.DisputeClosed, _INTENT, ("charge.dispute.closed", "object_json", _DISPUTE)),
    _itself(
        payment.CreditApplied,
        "credit.applied",
        "credit_application",
        "operation_id",
        aggregate="collection",
    ),
    _itself(
        payment.CollectionExhausted,
        "invoice.payment_failed",
        "invoice",
        "invoice_id",
        aggregate="collection",
    ),
    _shown(
        subscription.CustomerCreated, "customer", ("customer.created", "object_json", "customer")
    ),
    _shown(
        subscription.CustomerUpdated, "customer", ("customer.updated", "object_json", "customer")
    ),
    _shown(
        subscription.CustomerDeleted, "customer", ("customer.deleted", "object_json", "customer")
    ),
    *(
        _itself(proto, f"customer.subscription.{verb}", "subscription", "subscription_id")
        for proto, verb in (
            (subscription.SubscriptionCreated, "created"),
            (subscription.SubscriptionChanged, "updated"),
            (subscription.SubscriptionEnded, "deleted"),
            (subscription.SubscriptionTrialWillEnd, "trial_will_end"),
        )
    ),
    *(
        _itself(proto, f"invoice.{verb}", "invoice", "invoice_id", wire_type=wire_type)
        for proto, verb, wire_type in (
            (invoice.InvoiceCreated, "created", ""),
            (invoice.InvoiceFinalized, "finalized", ""),
            (invoice.InvoicePaid, "paid", ""),
            (invoice.InvoicePastDue, "overdue", "invoice.past_due"),
            (invoice.InvoiceVoided, "voided", ""),
            (invoice.InvoiceUncollectible, "marked_uncollectible", ""),
        )
    ),
    _itself(
        invoice.CreditNoteIssued,
        "credit_note.created",
        "credit_note",
        "credit_note_id",
        aggregate="invoice",
    ),
    _itself(
        discount.DiscountApplied,
        "discount.applied",
        "discount",
        "application_id",
        aggregate="discount_application",
    ),
    _itself(
        discount.DiscountReversed,
        "discount.reversed",
        "discount",
        "application_id",
        aggregate="discount_application",
    ),
    _itself(billing_core.BalanceLow, "balance.low", "wallet", "wallet_id"),
    _itself(
        billing_core.ReservationExpired, "reservation.expired", "reservation", "reservation_id"
    ),
    _itself(metering.UsageThresholdReached, "usage.threshold_reached", "usage_threshold", "id"),
    Source(fact(ledger.TransactionsPosted, "books"), ("ledger.transaction.posted",), _posted),
)
BY_WIRE_TYPE: Final = {source.message.wire_type: source for source in SOURCES}
# What notification itself has to say.
ENDPOINT_DISABLED: Final = "webhook_endpoint.disabled"
EVENT_TYPES: Final = frozenset(
    {ENDPOINT_DISABLED, *(name for source in SOURCES for name in source.types)}
)
