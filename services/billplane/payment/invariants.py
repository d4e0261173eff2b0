"""What must always be true of payments."""

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.payment.models import (
    AttemptRow,
    ChargeRow,
    CollectionRow,
    PaymentIntentRow,
    RefundRow,
)


async def refunds_add_up(session: AsyncSession) -> list[Violation]:
    """Check that what a charge gave back is the sum of its refunds, within what was captured."""
    given = (
        select(func.coalesce(func.sum(RefundRow.amount_minor), 0))
        .where(
            RefundRow.tenant_id == ChargeRow.tenant_id,
            RefundRow.charge_id == ChargeRow.id,
            RefundRow.status != "failed",
        )
        .scalar_subquery()
    )
    query = select(ChargeRow, given).where(
        or_(
            ChargeRow.amount_refunded_minor != given,
            ChargeRow.amount_refunded_minor > ChargeRow.amount_captured_minor,
        )
    )
    return [
        Violation(
            "refunds_add_up",
            row.tenant_id,
            row.id,
            f"refunds {int(total)}, noted {row.amount_refunded_minor}",
        )
        for row, total in await session.execute(query)
    ]


async def intents_equal_charges(session: AsyncSession) -> list[Violation]:
    """Check that what an intent received is what its charges captured."""
    captured = (
        select(func.coalesce(func.sum(ChargeRow.amount_captured_minor), 0))
        .where(
            ChargeRow.tenant_id == PaymentIntentRow.tenant_id,
            ChargeRow.payment_intent_id == PaymentIntentRow.id,
        )
        .scalar_subquery()
    )
    succeeded = PaymentIntentRow.state == "succeeded"
    query = select(PaymentIntentRow, captured).where(
        or_(
            PaymentIntentRow.amount_received_minor != captured,
            succeeded != (PaymentIntentRow.amount_received_minor > 0),
        )
    )
    return [
        Violation(
            "intents_equal_charges",
            row.tenant_id,
            row.id,
            f"{row.state}: received {row.amount_received_minor}, captured {int(total)}",
        )
        for row, total in await session.execute(query)
    ]


async def an_intent_pays_once(session: AsyncSession) -> list[Violation]:
    """Check that no intent has two charges that hold or took money."""
    query = (
        select(ChargeRow.tenant_id, ChargeRow.payment_intent_id, func.count())
        .where(ChargeRow.status == "succeeded", ChargeRow.canceled.is_(False))
        .group_by(ChargeRow.tenant_id, ChargeRow.payment_intent_id)
        .having(func.count() > 1)
    )
    return [
        Violation("an_intent_pays_once", tenant, intent, f"{count} charges")
        for tenant, intent, count in await session.execute(query)
    ]


async def what_runs_has_an_attempt(session: AsyncSession) -> list[Violation]:
    """Check that an intent is processing, or waits for its payer, exactly while an attempt is."""
    open_ = (
        select(func.count())
        .where(
            AttemptRow.tenant_id == PaymentIntentRow.tenant_id,
            AttemptRow.payment_intent_id == PaymentIntentRow.id,
            AttemptRow.kind == "confirm",
            AttemptRow.finished_at.is_(None),
        )
        .scalar_subquery()
    )
    running = PaymentIntentRow.state.in_(("processing", "requires_action"))
    query = select(PaymentIntentRow, open_).where(running != (open_ == 1))
    return [
        Violation("what_runs_has_an_attempt", row.tenant_id, row.id, f"{row.state}, {count} open")
        for row, count in await session.execute(query)
    ]


async def collections_add_up(session: AsyncSession) -> list[Violation]:
    """Check that what was collected of an invoice is what its intents received."""
    received = (
        select(func.coalesce(func.sum(PaymentIntentRow.amount_received_minor), 0))
        .where(
            PaymentIntentRow.tenant_id == CollectionRow.tenant_id,
            PaymentIntentRow.invoice_id == CollectionRow.invoice_id,
        )
        .scalar_subquery()
    )
    query = select(CollectionRow, received).where(CollectionRow.collected_minor != received)
    return [
        Violation(
            "collections_add_up",
            row.tenant_id,
            row.invoice_id,
            f"collected {row.collected_minor}, received {int(total)}",
        )
        for row, total in await session.execute(query)
    ]
