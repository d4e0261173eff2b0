"""Changes of plan: what they credit and charge, now or when the period ends."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources.billing_plan import BillingPlanSpec
from billplane.subscription import domain, repository
from billplane.subscription.errors import (
    PlanArchived,
    PlanUnchanged,
    SubscriptionBusy,
    SubscriptionEndedAlready,
    SubscriptionNotActive,
)
from billplane.subscription.models import CustomerRow, InvoiceItemRow, SubscriptionRow
from billplane.subscription.peers import Peers, Plan, peers_of
from billplane.subscription.service import billing, items
from billplane.subscription.service.documents import Work, conversion_on, fees_request
from billplane.subscription.service.items import NewItem
from billplane.subscription.service.periods import (
    bills_in_advance,
    put_on_plan,
    segment_starts_at,
    set_period,
)
from billplane.subscription.service.subscriptions import announce, check_priced, versions_for

At = Literal["now", "period_end"]
Proration = Literal["create", "none", "always_invoice"]

_Paid = pricing_pb2.RatedLine | invoice_pb2.InvoiceLine | InvoiceItemRow

AT: Final = ("now", "period_end")
PRORATIONS: Final = ("create", "none", "always_invoice")


@dataclass(frozen=True, slots=True)
class Change:
    """A subscription on the way to another plan, as it was read.

    Shape: `period` is the one after the change; `items` what it credits and charges;
        `dated_versions` the versions of the plan that come into effect later.
    """

    row: SubscriptionRow
    customer: CustomerRow
    plan: Plan
    at: At
    proration: Proration
    effective_at: datetime
    period: domain.Period
    items: Sequence[NewItem]
    dated_versions: Sequence[dict[str, Any]]

    @property
    def next_plan(self) -> dict[str, Any]:
        """What the row keeps of the plan until its period ends."""
        plan = {
            "plan_id": self.plan.id,
            "plan_name": self.plan.name,
            "plan_version": self.plan.version,
        }
        return plan | {"dated_versions": list(self.dated_versions)}

    @property
    def cuts(self) -> bool:
        """True when the current period ends with the change, because the interval differs."""
        return self.at == "now" and self.period.starts_at > self.row.period_starts_at

    @property
    def credit_minor(self) -> int:
        """Sum of what is credited, at most 0."""
        return sum(item.amount_minor for item in self.items if item.amount_minor < 0)

    @property
    def charge_minor(self) -> int:
        """Sum of what is charged."""
        return sum(item.amount_minor for item in self.items if item.amount_minor > 0)

    @property
    def billed(self) -> Literal["now", "next_invoice", "never"]:
        """Tell when the items are billed."""
        if self.cuts or (self.items and self.proration == "always_invoice"):
            return "now"
        return "next_invoice" if self.items else "never"


async def preview_change(
    call: Call, subscription_id: str, *, plan: str, at: str, proration: str
) -> Change:
    """Return what change_plan would do; store nothing.

    Raises: as change_plan.
    """
    call.principal.require("subscriptions:read")
    return await _prepare(call, subscription_id, plan, at, proration)


async def change_plan(
    call: Call, subscription_id: str, *, plan: str, at: str, proration: str
) -> SubscriptionRow:
    """Put a subscription on the newest version in effect of another plan, or of its own.

    Usage before the change is billed by the plan it was used on. What has ended and is not billed
    yet is billed first.

    Raises: SubscriptionNotFound, SubscriptionEndedAlready, SubscriptionNotActive, PlanArchived,
        PlanUnchanged, CurrencyNotPriced, SubscriptionBusy, Invalid, the peers' errors.
    Idempotent by: the request id.
    """
    call.principal.require("subscriptions:write")
    await call.begin()
    if at != "period_end":
        await bill_first(call, subscription_id)
    change = await _prepare(call, subscription_id, plan, at, proration)
    tx = await call.last()
    row = await same_row(tx, change.row)
    if change.at == "period_end":
        row.next_plan = change.next_plan
    else:
        _switch(tx, row, change)
    await announce(tx, row)
    return row


def _switch(tx: Transaction, row: SubscriptionRow, change: Change) -> None:
    spec = change.plan.spec
    for new in change.items:
        items.add(tx, change.customer, row, new, change.customer.currency_code)
    row.next_plan, row.next_plan_version = None, None
    row.dated_versions = list(change.dated_versions)
    row.prepaid_invoices = []  # what they paid for is credited, or is not to be
    if change.effective_at < row.billing_starts_at:
        put_on_plan(row, change.plan)
        row.interval = spec.interval.model_dump(mode="json")
        row.advance_due = bills_in_advance(spec)
        set_period(row, change.period)
        return
    if change.cuts:
        # The part that is over becomes a period of its own; the next one is the new plan's.
        row.period_ends_at = change.effective_at
        row.next_plan = change.next_plan
        return
    before = segment_starts_at(row)
    if before < change.effective_at:
        segment = domain.Segment(row.plan_id, row.plan_version, before, change.effective_at)
        row.segments = [*row.segments, segment.to_json()]
    put_on_plan(row, change.plan)
    if change.period.ends_at != row.period_ends_at:
        row.anchor_at = change.effective_at
        set_period(row, change.period)
    row.interval = spec.interval.model_dump(mode="json")
    if change.items and change.proration == "always_invoice":
        row.items_due = f"items:{row.id}:{ids.new('doc')}"


async def _prepare(call: Call, subscription_id: str, plan: str, at: str, proration: str) -> Change:
    wanted_at, wanted_proration = _checked(at, proration)
    work = await billing.load_for(call, subscription_id)
    row, now = work.row, work.now
    check_live(row)
    wanted_from = row.period_ends_at if wanted_at == "period_end" else now
    found, upcoming = await peers_of(call).plan_at(plan, wanted_from)
    if found.state == "archived":
        raise PlanArchived(f"the plan {found.name} is no longer sold", field="/plan")
    check_priced(found.spec, work.customer.currency_code)
    if (found.id, found.version) == (row.plan_id, row.plan_version):
        raise PlanUnchanged(f"the subscription is on {found.name} already", field="/plan")
    change = Change(
        row, work.customer, found, wanted_at, wanted_proration, now, work.period, [],
        versions_for(work.customer, upcoming),
    )  # fmt: skip
    if wanted_at == "period_end":
        if row.cancel_at is not None:
            raise SubscriptionEndedAlready("the subscription ends with its period")
        following = replace(work, row=_on_next(row, found), following=found)
        return replace(change, effective_at=row.period_ends_at, period=following.next_period())
    if now < row.billing_starts_at:
        opened = domain.period_at(found.spec.interval, row.billing_starts_at, row.billing_starts_at)
        return replace(change, period=opened)
    if now >= row.period_ends_at:
        raise busy(row)
    return await _prorated(peers_of(call), work, change)


async def _prorated(peers: Peers, work: Work, change: Change) -> Change:
    """Add the period after the change, and what the rest of the current one costs."""
    period, now, found = work.period, work.now, change.plan
    if found.spec.interval != work.plan.spec.interval:
        if now > period.starts_at:
            cut = domain.Period(period.starts_at, now, *period_nominal(period))
            held = replace(work, row=_on_next(work.row, found), following=found, period=cut)
            change = replace(change, period=held.next_period())
        else:
            change = replace(change, period=domain.period_at(found.spec.interval, now, now))
    if change.proration == "none":
        return change
    credited = await unused_items(peers, work, now)
    if change.cuts:
        return replace(change, items=credited)  # the new plan's fees are the next period's
    charged = await _rest_items(peers, work, found, change.period)
    return replace(change, items=[*credited, *charged])


def period_nominal(period: domain.Period) -> tuple[datetime, datetime]:
    """Return the whole period that a period is part of."""
    return period.nominal_starts_at, period.nominal_ends_at


async def unused_items(peers: Peers, work: Work, at: datetime) -> list[NewItem]:
    """Credit what was paid in advance for the days from an instant on.

    What is on an invoice is credited as it was paid, after discounts, so that the credit is not
    lowered by them again; what still waits for one is credited as it waits.
    """
    fees = prorated_fees(work.plan.spec)
    zone = ZoneInfo(work.plan.spec.interval.time_zone)
    since = segment_starts_at(work.row)
    found = await _first_fees(peers, work, fees, at) if work.row.advance_due else []
    for invoice_id in work.row.prepaid_invoices:
        invoice = await peers.invoice(invoice_id)
        for line in invoice.lines if invoice.state != "voided" else ():
            starts = line.starts_at.ToDatetime(tzinfo=UTC)
            ends = line.ends_at.ToDatetime(tzinfo=UTC)
            if line.kind != "recurring" or line.charge not in fees or starts != since:
                continue
            unused = domain.unused_minor(line.net_minor, starts, ends, at, zone)
            if unused:
                source = {"invoice_id": invoice_id}
                found.append(_credit("proration", line, -unused, at, ends, source))
    for item in work.items:
        if item.kind != "recurring" or item.charge not in fees or item.starts_at != since:
            continue
        unused = domain.unused_minor(item.amount_minor, item.starts_at, item.ends_at, at, zone)
        if unused:
            source = {"item_id": item.id}
            found.append(_credit("recurring", item, -unused, at, item.ends_at, source))
    return found


async def _first_fees(peers: Peers, work: Work, fees: set[str], at: datetime) -> list[NewItem]:
    """Credit first fees that are not billed yet, for a preview: a change bills them first."""
    period, zone = work.period, ZoneInfo(work.plan.spec.interval.time_zone)
    conversion = await conversion_on(peers, work, work.plan, at)
    rated = await peers.rated(fees_request(work, work.plan, period, conversion))
    unused = [
        (line, domain.unused_minor(line.amount_minor, period.starts_at, period.ends_at, at, zone))
        for line in rated.lines
        if line.charge in fees
    ]
    return [
        _credit("proration", line, -minor, at, period.ends_at, {})
        for line, minor in unused
        if minor
    ]


def prorated_fees(spec: BillingPlanSpec) -> set[str]:
    """Return the charges that are paid in advance and by the day."""
    return {
        charge.name
        for charge in spec.charges
        if charge.recurring is not None
        and charge.recurring.billed == "InAdvance"
        and charge.recurring.prorate
    }


def _credit(
    kind: str,
    line: _Paid,
    amount_minor: int,
    starts_at: datetime,
    ends_at: datetime,
    detail: dict[str, str],
) -> NewItem:
    return NewItem(
        kind=kind,
        charge=line.charge,
        description=f"Unused time: {line.description}"[:255],
        amount_minor=amount_minor,
        starts_at=starts_at,
        ends_at=ends_at,
        tax_category=line.tax_category,
        detail=detail,
    )


async def _rest_items(peers: Peers, work: Work, plan: Plan, period: domain.Period) -> list[NewItem]:
    """Charge a plan's fees in advance for what is left of a period."""
    if not bills_in_advance(plan.spec):
        return []
    rest = replace(period, starts_at=work.now)
    conversion = await conversion_on(peers, work, plan, work.now)
    rated = await peers.rated(fees_request(work, plan, rest, conversion))
    return [
        NewItem(
            kind="recurring",
            charge=line.charge,
            description=f"Remaining time: {line.description}"[:255],
            amount_minor=line.amount_minor,
            starts_at=rest.starts_at,
            ends_at=rest.ends_at,
            quantity=line.quantity,
            unit=line.unit,
            unit_amount=line.unit_amount,
            tax_category=line.tax_category,
            detail=json.loads(line.detail_json or "{}"),
        )
        for line in rated.lines
    ]


async def bill_first(call: Call, subscription_id: str) -> None:
    """Bill what is due, so that a change meets a period that is open.

    Raises: SubscriptionNotFound, SubscriptionBusy, whatever the peers refuse.
    """
    check_live((await billing.load_for(call, subscription_id)).row)
    await billing.bill_before_change(call, subscription_id)


async def same_row(tx: Transaction, read: SubscriptionRow) -> SubscriptionRow:
    """Return the subscription, locked, if it is as it was when the change was worked out.

    Raises: SubscriptionBusy.
    """
    row = await repository.lock_subscription(tx, read.id)
    if row is None or _marks(row) != _marks(read):
        raise busy(read)
    return row


def busy(row: SubscriptionRow) -> SubscriptionBusy:
    """Tell that somebody else is at a subscription."""
    return SubscriptionBusy(f"the subscription {row.id} is being billed or changed; try again")


def _marks(row: SubscriptionRow) -> tuple[object, ...]:
    return (
        row.plan_id, row.plan_version, row.period_starts_at, row.period_ends_at,
        row.cancel_at, row.ended_at, row.advance_due, row.items_due, row.document,
        len(row.segments), len(row.pauses), list(row.prepaid_invoices),
    )  # fmt: skip


def check_live(row: SubscriptionRow) -> None:
    """Refuse what has ended or is paused.

    Raises: SubscriptionEndedAlready, SubscriptionNotActive.
    """
    if row.ended_at is not None or row.state == "canceled":
        raise SubscriptionEndedAlready(f"the subscription {row.id} has ended")
    if row.state == "paused":
        raise SubscriptionNotActive(f"the subscription {row.id} is paused; resume it first")


def _checked(at: str, proration: str) -> tuple[At, Proration]:
    faults = []
    if at not in AT:
        faults.append(FieldError("/at", "FIELD_INVALID", f"expected one of {', '.join(AT)}"))
    if proration not in PRORATIONS:
        expected = ", ".join(PRORATIONS)
        faults.append(FieldError("/proration", "FIELD_INVALID", f"expected one of {expected}"))
    if faults:
        raise Invalid(faults)
    return at, proration  # type: ignore[return-value]


def _on_next(row: SubscriptionRow, plan: Plan) -> SubscriptionRow:
    """Return a row that tells where a change leads, never stored."""
    held = {"plan_id": plan.id, "plan_name": plan.name, "plan_version": plan.version}
    values = {
        attribute.key: getattr(row, attribute.key)
        for attribute in SubscriptionRow.__mapper__.column_attrs
    }
    return SubscriptionRow(**values | {"next_plan": held})
