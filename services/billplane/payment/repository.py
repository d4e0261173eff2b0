"""Every SQL statement of payment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.stripe_dialect import StripePage, fetch_list
from billplane.payment.models import (
    AttemptRow,
    ChargeRow,
    CollectionRow,
    CustomerRow,
    DisputeRow,
    PaymentIntentRow,
    PaymentMethodRow,
    ProcessorEventRow,
    RefundRow,
    TestClockRow,
)

Row = TypeVar(
    "Row", PaymentIntentRow, PaymentMethodRow, AttemptRow, ChargeRow, RefundRow, DisputeRow
)


async def intent(
    tx: ReadTransaction, intent_id: str, *, lock: bool = False
) -> PaymentIntentRow | None:
    """Return an intent of the mode."""
    return await _one(tx, PaymentIntentRow, intent_id, lock=lock)


async def intent_of_request(tx: ReadTransaction, request_key: str) -> PaymentIntentRow | None:
    """Return the intent that a request made."""
    query = _of_mode(tx, PaymentIntentRow).where(PaymentIntentRow.request_key == request_key)
    return (await tx.session.scalars(query)).one_or_none()


async def list_intents(
    tx: ReadTransaction, page: StripePage, customer_id: str
) -> tuple[Sequence[PaymentIntentRow], bool]:
    """Return a page of intents."""
    query = _of_mode(tx, PaymentIntentRow)
    if customer_id:
        query = query.where(PaymentIntentRow.customer_id == customer_id)
    created = PaymentIntentRow.created_at
    return await fetch_list(tx, query, PaymentIntentRow.id, page, created=created)


async def method(
    tx: ReadTransaction, method_id: str, *, lock: bool = False
) -> PaymentMethodRow | None:
    """Return a payment method of the mode."""
    return await _one(tx, PaymentMethodRow, method_id, lock=lock)


async def list_methods(
    tx: ReadTransaction, page: StripePage, customer_id: str
) -> tuple[Sequence[PaymentMethodRow], bool]:
    """Return a page of a customer's methods, or of all."""
    query = _of_mode(tx, PaymentMethodRow)
    if customer_id:
        query = query.where(PaymentMethodRow.customer_id == customer_id)
    return await fetch_list(tx, query, PaymentMethodRow.id, page)


async def method_to_collect_by(tx: ReadTransaction, customer_id: str) -> PaymentMethodRow | None:
    """Return the customer's default method, else the one attached last."""
    row = await tx.session.get(CustomerRow, (tx.tenant_id, customer_id))
    if row is not None and row.default_payment_method_id:
        chosen = await method(tx, row.default_payment_method_id)
        if chosen is not None and chosen.customer_id == customer_id:
            return chosen
    query = _of_mode(tx, PaymentMethodRow).where(PaymentMethodRow.customer_id == customer_id)
    return (await tx.session.scalars(query.order_by(PaymentMethodRow.id.desc()).limit(1))).first()


async def customers(tx: ReadTransaction, customer_ids: Sequence[str]) -> dict[str, CustomerRow]:
    """Return what payment knows of customers, by customer."""
    query = _of_mode(tx, CustomerRow).where(CustomerRow.customer_id.in_(customer_ids))
    return {row.customer_id: row for row in await tx.session.scalars(query)}


async def note_customer(tx: Transaction, customer_id: str, values: dict[str, Any]) -> None:
    """Store what payment knows of a customer: its default method, its words."""
    fresh = {"default_payment_method_id": "", "details": {}, **values, "updated_at": tx.now}
    statement = insert(CustomerRow).values(
        tenant_id=tx.tenant_id, customer_id=customer_id, livemode=tx.livemode, **fresh
    )
    changed = {**values, "updated_at": tx.now}
    if "details" in values:
        changed["details"] = CustomerRow.details.concat(statement.excluded.details)
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "customer_id"], set_=changed)
    )


async def attempt(tx: ReadTransaction, attempt_id: str, *, lock: bool = False) -> AttemptRow | None:
    """Return an attempt of the mode."""
    return await _one(tx, AttemptRow, attempt_id, lock=lock)


async def attempt_of_request(tx: ReadTransaction, request_key: str) -> AttemptRow | None:
    """Return the attempt that a request began."""
    query = _of_mode(tx, AttemptRow).where(AttemptRow.request_key == request_key)
    return (await tx.session.scalars(query)).one_or_none()


async def open_attempt(tx: ReadTransaction, subject_id: str) -> AttemptRow | None:
    """Return the attempt that runs on an intent or a refund."""
    query = _of_mode(tx, AttemptRow).where(
        AttemptRow.subject_id == subject_id, AttemptRow.finished_at.is_(None)
    )
    found = await tx.session.scalars(query.execution_options(populate_existing=True))
    return found.one_or_none()


async def attempt_of_reference(
    tx: ReadTransaction, processor: str, reference: str
) -> AttemptRow | None:
    """Return the attempt to charge that a processor knows by a name."""
    query = _of_mode(tx, AttemptRow).where(
        AttemptRow.processor == processor,
        AttemptRow.reference == reference,
        AttemptRow.kind == "confirm",
    )
    return (await tx.session.scalars(query)).first()


async def attempts(tx: ReadTransaction, intent_id: str) -> Sequence[AttemptRow]:
    """Return what was tried for an intent, in order."""
    query = _of_mode(tx, AttemptRow).where(AttemptRow.payment_intent_id == intent_id)
    return (await tx.session.scalars(query.order_by(AttemptRow.number))).all()


async def next_attempt_number(tx: ReadTransaction, intent_id: str) -> int:
    """Return the number of the next attempt; the intent is locked."""
    query = select(func.coalesce(func.max(AttemptRow.number), 0)).where(
        AttemptRow.tenant_id == tx.tenant_id, AttemptRow.payment_intent_id == intent_id
    )
    return int(await tx.session.scalar(query) or 0) + 1


async def charge(tx: ReadTransaction, charge_id: str, *, lock: bool = False) -> ChargeRow | None:
    """Return a charge of the mode."""
    return await _one(tx, ChargeRow, charge_id, lock=lock)


async def charge_of_reference(tx: ReadTransaction, reference: str) -> ChargeRow | None:
    """Return the charge of what a processor knows by a name."""
    query = _of_mode(tx, ChargeRow).where(
        ChargeRow.reference == reference, ChargeRow.status == "succeeded"
    )
    return (await tx.session.scalars(query)).first()


async def list_charges(
    tx: ReadTransaction, page: StripePage, intent_id: str, customer_id: str
) -> tuple[Sequence[ChargeRow], bool]:
    """Return a page of charges."""
    query = _of_mode(tx, ChargeRow)
    if intent_id:
        query = query.where(ChargeRow.payment_intent_id == intent_id)
    if customer_id:
        query = query.where(ChargeRow.customer_id == customer_id)
    return await fetch_list(tx, query, ChargeRow.id, page, created=ChargeRow.created_at)


async def take_from_charge(tx: Transaction, charge_id: str, amount_minor: int) -> bool:
    """Mark a part of what was captured as going back, when so much is left; tell whether.

    The row decides, whoever else asks at the same moment.
    """
    done = await tx.session.execute(
        update(ChargeRow)
        .where(
            ChargeRow.tenant_id == tx.tenant_id,
            ChargeRow.id == charge_id,
            ChargeRow.amount_refunded_minor + amount_minor <= ChargeRow.amount_captured_minor,
        )
        .values(amount_refunded_minor=ChargeRow.amount_refunded_minor + amount_minor)
        .returning(ChargeRow.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None


async def refund(tx: ReadTransaction, refund_id: str, *, lock: bool = False) -> RefundRow | None:
    """Return a refund of the mode."""
    return await _one(tx, RefundRow, refund_id, lock=lock)


async def refund_of_request(tx: ReadTransaction, request_key: str) -> RefundRow | None:
    """Return the refund that a request made."""
    query = _of_mode(tx, RefundRow).where(RefundRow.request_key == request_key)
    return (await tx.session.scalars(query)).one_or_none()


async def refund_of_reference(tx: ReadTransaction, reference: str) -> RefundRow | None:
    """Return the refund that a processor knows by a name."""
    query = _of_mode(tx, RefundRow).where(RefundRow.reference == reference)
    return (await tx.session.scalars(query)).first()


async def list_refunds(
    tx: ReadTransaction, page: StripePage, intent_id: str, charge_id: str
) -> tuple[Sequence[RefundRow], bool]:
    """Return a page of refunds."""
    query = _of_mode(tx, RefundRow)
    if intent_id:
        query = query.where(RefundRow.payment_intent_id == intent_id)
    if charge_id:
        query = query.where(RefundRow.charge_id == charge_id)
    return await fetch_list(tx, query, RefundRow.id, page, created=RefundRow.created_at)


async def dispute(tx: ReadTransaction, dispute_id: str, *, lock: bool = False) -> DisputeRow | None:
    """Return a dispute of the mode."""
    return await _one(tx, DisputeRow, dispute_id, lock=lock)


async def dispute_of_reference(tx: ReadTransaction, reference: str) -> DisputeRow | None:
    """Return the dispute that a processor knows by a name."""
    query = _of_mode(tx, DisputeRow).where(DisputeRow.reference == reference)
    return (await tx.session.scalars(query)).first()


async def list_disputes(
    tx: ReadTransaction, page: StripePage, intent_id: str, charge_id: str
) -> tuple[Sequence[DisputeRow], bool]:
    """Return a page of disputes."""
    query = _of_mode(tx, DisputeRow)
    if intent_id:
        query = query.where(DisputeRow.payment_intent_id == intent_id)
    if charge_id:
        query = query.where(DisputeRow.charge_id == charge_id)
    return await fetch_list(tx, query, DisputeRow.id, page, created=DisputeRow.created_at)


async def add_processor_event(tx: Transaction, values: dict[str, Any]) -> bool:
    """Store what a processor told; False when it was told before."""
    done = await tx.session.execute(
        insert(ProcessorEventRow)
        .values(
            tenant_id=tx.tenant_id,
            livemode=tx.livemode,
            received_at=tx.now,
            **{"result": "", **values},
        )
        .on_conflict_do_nothing()
        .returning(ProcessorEventRow.id)
    )
    return done.first() is not None


async def processor_event(
    tx: Transaction, processor: str, event_id: str
) -> ProcessorEventRow | None:
    """Return what a processor told, locked."""
    query = _of_mode(tx, ProcessorEventRow).where(
        ProcessorEventRow.processor == processor, ProcessorEventRow.id == event_id
    )
    return (await tx.session.scalars(query.with_for_update())).one_or_none()


async def collection(
    tx: ReadTransaction, invoice_id: str, *, lock: bool = False
) -> CollectionRow | None:
    """Return the collection of an invoice."""
    query = _of_mode(tx, CollectionRow).where(CollectionRow.invoice_id == invoice_id)
    query = query.execution_options(populate_existing=True)
    found = await tx.session.scalars(query.with_for_update() if lock else query)
    return found.one_or_none()


async def collections_waiting(tx: Transaction, customer_id: str) -> Sequence[CollectionRow]:
    """Return a customer's collections that wait for a payment method, locked."""
    query = _of_mode(tx, CollectionRow).where(
        CollectionRow.customer_id == customer_id, CollectionRow.state == "waiting"
    )
    query = query.order_by(CollectionRow.invoice_id).with_for_update()
    return (await tx.session.scalars(query)).all()


async def clock_now(tx: ReadTransaction, test_clock_id: str) -> datetime:
    """Return the time of a test clock, the real one without."""
    if not test_clock_id:
        return tx.now
    row = await tx.session.get(TestClockRow, (tx.tenant_id, test_clock_id))
    return row.now if row is not None else tx.now


async def move_clock(tx: Transaction, test_clock_id: str, now: datetime) -> None:
    """Store where a test clock stands; it never goes back."""
    statement = insert(TestClockRow).values(tenant_id=tx.tenant_id, id=test_clock_id, now=now)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={"now": func.greatest(TestClockRow.now, statement.excluded.now)},
        )
    )


async def take_key(tx: Transaction, lock: int) -> None:
    """Let requests of one key make their object one after the other."""
    await tx.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def _of_mode(tx: ReadTransaction, model: Any) -> Select[Any]:
    return select(model).where(model.tenant_id == tx.tenant_id, model.livemode == tx.livemode)


async def _one(tx: ReadTransaction, model: type[Row], object_id: str, *, lock: bool) -> Row | None:
    query = _of_mode(tx, model).where(model.id == object_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found: Row | None = (await tx.session.scalars(query)).one_or_none()
    return found
