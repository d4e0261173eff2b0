"""Rows as gRPC shows them."""

from collections.abc import Sequence
from datetime import datetime

from billplane.chassis.rpc import to_timestamp
from billplane.protos.subscription.v1 import subscription_pb2 as pb
from billplane.subscription.models import (
    BillingRunRow,
    CustomerRow,
    InvoiceItemRow,
    SubscriptionRow,
)
from billplane.subscription.service.items import NewItem
from billplane.subscription.service.periods import next_version, paused_since, pending_plan


def customer_message(row: CustomerRow) -> pb.Customer:
    """Show a customer."""
    return pb.Customer(
        id=row.id,
        external_id=row.external_id or "",
        name=row.name,
        email=row.email,
        address=pb.Address(**row.address),
        tax_ids=[pb.TaxId(**item) for item in row.tax_ids],
        tax_type=row.tax_type,
        user_type=row.user_type,
        currency_code=row.currency_code,
        locale=row.locale,
        payment_terms_days=row.payment_terms_days,
        time_zone=row.time_zone,
        test_clock_id=row.test_clock_id or "",
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
    )


def subscription_message(row: SubscriptionRow) -> pb.Subscription:
    """Show a subscription."""
    pending = pending_plan(row)
    trial = row.billing_starts_at if row.billing_starts_at > row.starts_at else None
    return pb.Subscription(
        id=row.id,
        customer_id=row.customer_id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        state=row.state,
        starts_at=to_timestamp(row.starts_at),
        trial_ends_at=to_timestamp(trial),
        current_period_starts_at=to_timestamp(row.period_starts_at),
        current_period_ends_at=to_timestamp(row.period_ends_at),
        cancel_at=to_timestamp(row.cancel_at),
        ended_at=to_timestamp(row.ended_at),
        coupon_codes=row.coupon_codes,
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
        plan_name=row.plan_name,
        next_plan=pb.PendingPlan(**pending) if pending else None,
        paused_at=to_timestamp(paused_since(row)),
        next_plan_version=next_version(row, row.period_ends_at) or 0,
        dated_versions=[
            pb.DatedVersion(
                version=int(item["version"]),
                effective_at=to_timestamp(datetime.fromisoformat(item["effective_at"])),
            )
            for item in row.dated_versions
        ],
    )


def run_message(row: BillingRunRow) -> pb.BillingRun:
    """Show a billing run."""
    return pb.BillingRun(
        id=row.id,
        state=row.state,
        periods=row.periods,
        invoiced=row.invoiced,
        failed=len(row.errors),
        created_at=to_timestamp(row.created_at),
        finished_at=to_timestamp(row.finished_at),
    )


def item_message(row: InvoiceItemRow) -> pb.InvoiceItem:
    """Show an item."""
    return pb.InvoiceItem(
        id=row.id,
        customer_id=row.customer_id,
        subscription_id=row.subscription_id or "",
        kind=row.kind,
        charge=row.charge,
        description=row.description,
        quantity=row.quantity,
        unit=row.unit,
        unit_amount=row.unit_amount,
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        tax_category=row.tax_category,
        starts_at=to_timestamp(row.starts_at),
        ends_at=to_timestamp(row.ends_at),
        invoice_id=row.invoice_id or "",
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
    )


def new_items(
    items: Sequence[NewItem], customer_id: str, subscription_id: str
) -> list[pb.InvoiceItem]:
    """Show what a change would credit and charge."""
    return [
        pb.InvoiceItem(
            customer_id=customer_id,
            subscription_id=subscription_id,
            kind=item.kind,
            charge=item.charge,
            description=item.description,
            quantity=item.quantity,
            unit=item.unit,
            unit_amount=item.unit_amount,
            amount_minor=item.amount_minor,
            tax_category=item.tax_category,
            starts_at=to_timestamp(item.starts_at),
            ends_at=to_timestamp(item.ends_at),
        )
        for item in items
    ]
