"""Sending an issued invoice to its customer, and collecting it at once."""

from dataclasses import dataclass

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.invoice import domain, peers, render, repository
from billplane.invoice.errors import (
    InvoiceNotIssued,
    InvoiceNotOpen,
    PaymentNotCollected,
    RecipientMissing,
)
from billplane.invoice.models import Invoice
from billplane.invoice.service import drafts, printing
from billplane.money import CurrencyCode
from billplane.protos.notification.v1.events_pb2 import NotifyTask

_PAYABLE = (domain.FINALIZED, domain.PAST_DUE, domain.UNCOLLECTIBLE)
_ISSUED = (*_PAYABLE, domain.PAID)
_UNPAID = {
    "failed": "the payment was declined",
    "requires_action": "the payer has to confirm the payment",
    "no_payment_method": "the customer has no payment method",
    "closed": "the invoice is collected no longer",
}


@dataclass(frozen=True, slots=True)
class Collected:
    """What collecting came to."""

    state: str
    payment_intent_id: str
    left_minor: int


async def send_invoice(tx: Transaction, id_or_number: str, to: str = "") -> Invoice:
    """Send an issued invoice by e-mail, its PDF along with it.

    Raises: InvoiceNotFound, InvoiceNotIssued, RecipientMissing, ScopeMissing.
    Idempotent by: the request; another request sends it again.
    """
    tx.authorize("invoices:write")
    held = await drafts.get_held(tx, id_or_number, lock=True)
    row = held.row
    if row.state not in _ISSUED:
        raise InvoiceNotIssued(f"the invoice is {row.state}", metadata={"state": row.state})
    recipient = to or str(row.customer["email"])
    if not recipient:
        raise RecipientMissing("the customer has no e-mail address", field="/to")
    locale = printing.locale_of(row)
    currency = CurrencyCode(row.currency_code)
    variables = {
        "number": row.number,
        "total": render.money(row.total_minor, currency, locale),
        "due": render.money(drafts.due_minor(row), currency, locale),
        "due_on": render.day(row.due_on, locale) if row.due_on else "",
        "customer_name": str(row.customer["name"]),
        "invoice_id": row.id,
        "attached_invoice_id": row.id,
    }
    task = NotifyTask(
        channel="email",
        to=recipient,
        template="invoice_issued",
        locale=str(row.customer["locale"]),
        variables=variables,
        dedupe_key=f"{row.id}:sent:{tx.request_id or ids.new('req')}",
    )
    await tx.enqueue(task, key=row.id)
    repository.add_history(tx, row, before=row.state, note=f"sent to {recipient}")
    await tx.session.flush()
    return held


async def pay_invoice(call: Call, id_or_number: str) -> Collected:
    """Collect an issued invoice now, by the customer's credit and then the payment method.

    The invoice itself becomes paid by the fact of the payment, a moment later. An attempt that is
    under way already is left alone: the state is `processing` then.

    Raises: InvoiceNotFound, InvoiceNotOpen, PaymentNotCollected, ScopeMissing; payment's errors.
    Idempotent by: the invoice; what is paid is not collected again.
    """
    call.principal.require("invoices:write")
    async with call.reading() as tx:
        row = (await drafts.get_held(tx, id_or_number)).row
    if row.state == domain.PAID:
        return Collected("paid", "", 0)
    if row.state not in _PAYABLE:
        raise InvoiceNotOpen(f"the invoice is {row.state}", metadata={"state": row.state})
    done = await peers.collect(call, row.id)
    if done.state not in ("paid", "processing"):
        raise PaymentNotCollected(
            _UNPAID.get(done.state, "the payment did not succeed"),
            metadata={
                "state": done.state,
                "payment_intent_id": done.payment_intent_id,
                "failure_code": done.failure_code,
                "decline_code": done.decline_code,
                "next_action_url": done.next_action_url,
            },
        )
    return Collected(done.state, done.payment_intent_id, done.left_minor)
