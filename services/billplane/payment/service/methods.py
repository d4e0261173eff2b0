"""Payment methods: found, made, attached."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.stripe_dialect import StripePage
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.payment import peers, repository
from billplane.payment.errors import (
    CardRefused,
    PaymentMethodNotFound,
    PaymentMethodUnexpectedState,
    ProcessorUnavailable,
)
from billplane.payment.models import PaymentMethodRow
from billplane.payment.providers.base import Method, MethodRefused, OutcomeUnknown
from billplane.payment.service.state import state_of


@dataclass(frozen=True, slots=True)
class NewMethod:
    """A payment method to be: a token of the processor's."""

    token: str
    billing_details: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


async def create_method(call: Call, new: NewMethod) -> PaymentMethodRow:
    """Make a payment method of a processor's token.

    Raises: CardRefused, PaymentMethodNotFound, ProcessorUnavailable, ScopeMissing.
    """
    call.principal.require("payment_methods:write")
    found = await look_up(call, new.token)
    tx = await call.last()
    row = store(tx, found, state_of(call.runtime).processor.name, new)
    await tx.session.flush()
    return row


async def look_up(call: Call, token: str) -> Method:
    """Ask the processor for a token.

    Raises: CardRefused, PaymentMethodNotFound, ProcessorUnavailable.
    """
    try:
        return await state_of(call.runtime).processor.find_method(token)
    except MethodRefused as refusal:
        if refusal.unknown:
            raise PaymentMethodNotFound(refusal.failure.message, field="/payment_method") from None
        raise CardRefused(refusal.failure) from None
    except OutcomeUnknown as error:
        raise ProcessorUnavailable(str(error), retry_after_seconds=1) from None


def processor_name(tx: Transaction) -> str:
    """Return the processor that new methods belong to."""
    return state_of(tx.runtime).processor.name


def store(
    tx: Transaction, found: Method, processor: str, new: NewMethod, customer_id: str = ""
) -> PaymentMethodRow:
    """Store a method that the processor knows."""
    row = PaymentMethodRow(
        tenant_id=tx.tenant_id,
        id=ids.new("pm"),
        livemode=tx.livemode,
        processor=processor,
        token=found.token,
        card=asdict(found.card),
        customer_id=customer_id,
        detached=False,
        billing_details=dict(new.billing_details),
        tags=dict(new.metadata),
        created_at=tx.now,
    )
    tx.session.add(row)
    return row


async def get_method(tx: ReadTransaction, method_id: str) -> PaymentMethodRow:
    """Return a payment method.

    Raises: PaymentMethodNotFound, ScopeMissing.
    """
    tx.authorize("payment_methods:read")
    return await held_method(tx, method_id)


async def held_method(
    tx: ReadTransaction, method_id: str, *, lock: bool = False
) -> PaymentMethodRow:
    """Return a payment method, locked where it is to change.

    Raises: PaymentMethodNotFound.
    """
    row = await repository.method(tx, method_id, lock=lock)
    if row is None:
        raise PaymentMethodNotFound(
            f"No such PaymentMethod: '{method_id}'", field="/payment_method"
        )
    return row


async def list_methods(
    tx: ReadTransaction, page: StripePage, customer_id: str
) -> tuple[Sequence[PaymentMethodRow], bool]:
    """Return a page of methods.

    Raises: ScopeMissing.
    """
    tx.authorize("payment_methods:read")
    return await repository.list_methods(tx, page, customer_id)


async def update_method(tx: Transaction, method_id: str, changes: dict[str, Any]) -> Any:
    """Change a method's words.

    Raises: PaymentMethodNotFound, ScopeMissing.
    """
    tx.authorize("payment_methods:write")
    row = await held_method(tx, method_id, lock=True)
    if "metadata" in changes:
        row.tags = merged(row.tags, changes["metadata"])
    if changes.get("billing_details"):
        row.billing_details = {**row.billing_details, **changes["billing_details"]}
    return row


async def attach_method(call: Call, method_id: str, customer: str) -> PaymentMethodRow:
    """Give a customer a payment method; what waited for one is collected soon.

    Raises: PaymentMethodNotFound, PaymentMethodUnexpectedState, CustomerNotFound, ScopeMissing.
    """
    call.principal.require("payment_methods:write")
    async with call.reading() as reading:
        known = await repository.method(reading, method_id)
    found = await look_up(call, method_id) if known is None else None
    customer_id = await peers.customer_id(call, customer)
    tx = await call.last()
    if found is not None:
        processor = state_of(call.runtime).processor.name
        row = store(tx, found, processor, NewMethod(method_id), customer_id)
        await tx.session.flush()
    else:
        row = await held_method(tx, method_id, lock=True)
        check_usable(row, customer_id)
        row.customer_id = customer_id
    await wake_collections(tx, customer_id)
    return row


def check_usable(row: PaymentMethodRow, customer_id: str) -> None:
    """Refuse a method that is gone or another's.

    Raises: PaymentMethodUnexpectedState.
    """
    if row.detached:
        raise PaymentMethodUnexpectedState(
            "This PaymentMethod was detached from its customer and may not be used again.",
            field="/payment_method",
        )
    if row.customer_id and row.customer_id != customer_id:
        raise PaymentMethodUnexpectedState(
            "The payment method belongs to a customer; give that customer with it.",
            field="/payment_method",
        )


async def detach_method(tx: Transaction, method_id: str) -> PaymentMethodRow:
    """Take a payment method from its customer, for good.

    Raises: PaymentMethodNotFound, PaymentMethodUnexpectedState, ScopeMissing.
    """
    tx.authorize("payment_methods:write")
    row = await held_method(tx, method_id, lock=True)
    if not row.customer_id:
        raise PaymentMethodUnexpectedState(
            "The payment method is attached to no customer.", field="/payment_method"
        )
    known = (await repository.customers(tx, [row.customer_id])).get(row.customer_id)
    if known is not None and known.default_payment_method_id == row.id:
        none = {"default_payment_method_id": ""}
        await repository.note_customer(tx, row.customer_id, none)
    row.customer_id, row.detached = "", True
    return row


async def set_default_method(tx: Transaction, customer_id: str, method_id: str) -> None:
    """Choose by what a customer's invoices are collected; empty for none.

    Raises: PaymentMethodNotFound, PaymentMethodUnexpectedState.
    """
    if method_id:
        row = await held_method(tx, method_id)
        if row.customer_id != customer_id:
            raise PaymentMethodUnexpectedState(
                "Attach the payment method to the customer first.",
                field="/invoice_settings/default_payment_method",
            )
    await repository.note_customer(tx, customer_id, {"default_payment_method_id": method_id})
    if method_id:
        await wake_collections(tx, customer_id)


async def wake_collections(tx: Transaction, customer_id: str) -> None:
    """Let invoices that waited for a payment method be collected."""
    for row in await repository.collections_waiting(tx, customer_id):
        row.state = "due"
        row.next_attempt_at = await repository.clock_now(tx, row.test_clock_id)
        row.updated_at = tx.now
    state_of(tx.runtime).wake.set()
