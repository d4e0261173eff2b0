"""Copies of facts for programs outside, under the names that they know."""

from typing import Any, Final

from billplane.chassis.database import Transaction
from billplane.chassis.events import Event
from billplane.listener.domain import Mirror
from billplane.listener.settings import ListenerSettings

# By wire type. No service of ours reads a copy.
MIRRORS: Final[dict[str, Mirror]] = {
    "tax.calculated": Mirror(rabbitmq="tax_calculated"),
    "discount.applied": Mirror(rabbitmq="discount_applied"),
    "invoice.created": Mirror(rabbitmq="invoice_created"),
    "invoice.finalized": Mirror(rabbitmq="invoice_finalized"),
    "invoice.paid": Mirror(rabbitmq="invoice_paid"),
    "invoice.past_due": Mirror(rabbitmq="invoice_past_due"),
    "invoice.voided": Mirror(rabbitmq="invoice_voided"),
    "credit_note.issued": Mirror(rabbitmq="credit_note_issued"),
    "payment.succeeded": Mirror(rabbitmq="payment_received", kafka="payment.succeeded"),
    "payment.failed": Mirror(rabbitmq="payment_failed", kafka="payment.failed"),
}


def enabled(settings: ListenerSettings) -> bool:
    """Tell whether copies are made: they are wanted, and a broker is there to take them."""
    return settings.mirrors_enabled and bool(
        settings.rabbitmq_url or settings.kafka_bootstrap_servers
    )


async def copy_fact(tx: Transaction, event: Event[Any]) -> None:
    """Send a fact on as it is: same event id, same envelope, at least once.

    Idempotent by: the event id and the name of the copy.
    """
    tx.require_internal()
    settings = tx.runtime.settings
    mirror = MIRRORS[event.metadata.event_type]
    for destination in mirror.destinations(
        rabbitmq=bool(settings.rabbitmq_url), kafka=bool(settings.kafka_bootstrap_servers)
    ):
        await tx.forward(event.envelope, event.metadata, destination)
