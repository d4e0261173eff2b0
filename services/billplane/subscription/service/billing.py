"""Billing one period: usage and fees become lines, lines become an invoice."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billplane.chassis import logging
from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.rpc import to_timestamp
from billplane.chassis.runtime import Runtime
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources.usage_windows import UsageQuery, usage_queries
from billplane.subscription import domain, repository
from billplane.subscription.errors import SubscriptionBusy, SubscriptionNotFound
from billplane.subscription.models import BilledPeriodRow, CustomerRow, SubscriptionRow
from billplane.subscription.peers import Peers, Plan
from billplane.subscription.service.late_usage import late_lines
from billplane.subscription.service.subscriptions import (
    announce,
    bills_in_advance,
    check_priced,
    period_of,
    set_period,
)

_log = logging.get("subscription")
LEASE = timedelta(seconds=20)

register("billing.after_create_invoice", "billing.after_finalize_invoice")


@dataclass(frozen=True, slots=True)
class Work:
    """Everything known of what is to be billed."""

    row: SubscriptionRow
    customer: CustomerRow
    plan: Plan
    period: domain.Period
    now: datetime
    before: BilledPeriodRow | None

    @property
    def goes_on(self) -> bool:
        """True when another period follows this one."""
        cancel_at = self.row.cancel_at
        return cancel_at is None or cancel_at > self.period.ends_at

    @property
    def aliases(self) -> list[str]:
        """Names that usage events may carry instead of the customer's id."""
        return [self.customer.external_id] if self.customer.external_id else []


async def bill_due(
    runtime: Runtime,
    principal: Principal,
    subscription_id: str,
    *,
    claimer: str,
    run_id: str,
    finalize: bool,
    until: datetime | None,
    grace: timedelta,
) -> int:
    """Bill every period of one subscription that has ended; return how many invoices it took.

    Raises: SubscriptionBusy while another worker has it; whatever the peers refuse. The period
        stays due then.
    Idempotent by: subscription and period start.
    """
    async with runtime.database.write(runtime, principal) as tx:
        if not await repository.claim(tx, subscription_id, claimer, LEASE):
            raise SubscriptionBusy(f"another worker bills {subscription_id}")
    invoices = 0
    while True:
        work = await _load(runtime, principal, subscription_id, run_id)
        horizon = min(until or datetime.max.replace(tzinfo=work.now.tzinfo), work.now)
        if work.row.ended_at is not None:
            return invoices
        if work.row.advance_due and work.row.billing_starts_at <= horizon:
            invoice = await _bill(runtime, principal, work, run_id, finalize, advance_only=True)
            await _advance_billed(runtime, principal, work, invoice)
        elif work.period.ends_at <= (horizon if work.row.test_clock_id else horizon - grace):
            invoice = await _bill(runtime, principal, work, run_id, finalize, advance_only=False)
            await _period_billed(runtime, principal, work, invoice, run_id)
        else:
            return invoices
        invoices += 1


async def preview(
    runtime: Runtime, principal: Principal, subscription_id: str, request_id: str
) -> invoice_pb2.Invoice:
    """Return the invoice of the current period as it would be now; nothing is stored.

    Raises: SubscriptionNotFound, ScopeMissing, whatever the peers refuse.
    """
    principal.require("subscriptions:read")
    own = service_principal(runtime.name, principal.tenant_id, principal.livemode)
    work = await _load(runtime, own, subscription_id, request_id)
    peers = Peers(runtime, own, request_id)
    await peers.flush_usage(work.now)
    request = await _document(peers, work, request_id, advance_only=False)
    return await peers.preview_invoice(request)


async def _load(
    runtime: Runtime, principal: Principal, subscription_id: str, request_id: str
) -> Work:
    async with runtime.database.read(runtime, principal) as tx:
        row = await repository.subscription(tx, subscription_id)
        customer = await repository.customer(tx, row.customer_id) if row else None
        if row is None or customer is None:
            raise SubscriptionNotFound(f"there is no subscription {subscription_id}")
        now = await repository.now_of(tx, row.test_clock_id)
        before = await repository.billed_before(tx, row.id, row.period_starts_at)
    plan = await Peers(runtime, principal, request_id).plan(row.plan_id, row.plan_version)
    return Work(row, customer, plan, period_of(row), now, before)


async def _bill(
    runtime: Runtime,
    principal: Principal,
    work: Work,
    run_id: str,
    finalize: bool,
    *,
    advance_only: bool,
) -> invoice_pb2.Invoice:
    peers = Peers(runtime, principal, run_id)
    request = await _document(peers, work, run_id, advance_only=advance_only)
    invoice = await peers.create_invoice(request)
    faultpoint("billing.after_create_invoice")
    if finalize and invoice.state in ("draft", "finalizing"):
        invoice = await peers.finalize_invoice(invoice.id, work.now)
    faultpoint("billing.after_finalize_invoice")
    return invoice


async def _document(
    peers: Peers, work: Work, run_id: str, *, advance_only: bool
) -> invoice_pb2.CreateInvoiceRequest:
    """Ask for usage, rate and lines, and put the document together."""
    row, customer, plan, period = work.row, work.customer, work.plan, work.period
    check_priced(plan.spec, customer.currency_code)
    zone = plan.spec.interval.time_zone
    conversion = await _conversion(peers, work, zone)
    queries = (
        []
        if advance_only
        else usage_queries(plan.spec, starts_at=period.starts_at, ends_at=period.ends_at)
    )
    usage = [
        pricing_pb2.ChargeUsage(
            charge=query.charge,
            rows=await peers.usage(
                query, customer.id, work.aliases, period.starts_at, period.ends_at
            ),
        )
        for query in queries
    ]
    rated = await peers.rated(_rating(work, usage, conversion, advance_only=advance_only))
    lines = list(rated.lines)
    if not advance_only:
        lines += await _next_version(peers, work, conversion)
        lines += await _late(peers, work)
    kind = "advance" if advance_only else "run"
    starts = period.starts_at.isoformat()
    return invoice_pb2.CreateInvoiceRequest(
        request_id=f"{kind}:{row.id}:{starts}",
        customer=_snapshot(customer),
        subscription_id=row.id,
        plan_id=plan.id,
        plan_name=plan.name,
        # The first invoice of fees in advance is not the period's own invoice.
        period_starts_at=None if advance_only else to_timestamp(period.starts_at),
        period_ends_at=None if advance_only else to_timestamp(period.ends_at),
        currency_code=rated.currency_code,
        lines=[_line(line, zone, period) for line in lines],
        coupon_codes=row.coupon_codes,
        at=to_timestamp(work.now),
        chart=await _chart(peers, work, queries),
        conversion=_note(conversion),
        time_zone=zone,
        metadata={"billing_run_id": run_id} if run_id.startswith("run_") else {},
    )


async def _late(peers: Peers, work: Work) -> list[pricing_pb2.RatedLine]:
    """Return what usage of the period before, billed already, adds now."""
    if work.before is None:
        return []
    names = [work.customer.id, *work.aliases]
    return await late_lines(
        peers, work.before, work.plan.id, work.row.billing_starts_at, names, work.now
    )


def _rating(
    work: Work,
    usage: list[pricing_pb2.ChargeUsage],
    conversion: exchange_rate_pb2.Rate | None,
    *,
    advance_only: bool,
) -> pricing_pb2.RatePeriodRequest:
    row, period = work.row, work.period
    advance: domain.Period | None = None
    if advance_only:
        advance = period
    elif work.goes_on and row.next_plan_version is None:
        advance = domain.period_after(work.plan.spec.interval, row.billing_starts_at, period)
    return pricing_pb2.RatePeriodRequest(
        plan_id=work.plan.id,
        version=work.plan.version,
        starts_at=to_timestamp(period.starts_at),
        ends_at=to_timestamp(period.ends_at),
        nominal_starts_at=to_timestamp(period.nominal_starts_at),
        nominal_ends_at=to_timestamp(period.nominal_ends_at),
        usage=usage,
        target_currency=work.customer.currency_code,
        rate=conversion.rate if conversion else "",
        rate_id=" ".join(conversion.rate_ids) if conversion else "",
        at=to_timestamp(work.now),
        advance_starts_at=to_timestamp(advance.starts_at) if advance else None,
        advance_ends_at=to_timestamp(advance.ends_at) if advance else None,
        advance_only=advance_only,
    )


async def _next_version(
    peers: Peers, work: Work, conversion: exchange_rate_pb2.Rate | None
) -> list[pricing_pb2.RatedLine]:
    """Return the fees in advance of the next period where it runs on another version."""
    version, plan = work.row.next_plan_version, work.plan
    if version is None or not work.goes_on:
        return []
    following = await peers.plan(plan.id, version)
    check_priced(following.spec, work.customer.currency_code)
    if not bills_in_advance(following.spec):
        return []
    period = domain.period_after(plan.spec.interval, work.row.billing_starts_at, work.period)
    ahead = replace(work, plan=following, period=period)
    if following.spec.currency != plan.spec.currency:
        conversion = await _conversion(peers, ahead, following.spec.interval.time_zone)
    rated = await peers.rated(_rating(ahead, [], conversion, advance_only=True))
    return list(rated.lines)


async def _conversion(peers: Peers, work: Work, zone: str) -> exchange_rate_pb2.Rate | None:
    """Return the one rate of the document: as of the period's last local date."""
    spec, currency = work.plan.spec, work.customer.currency_code
    if currency == spec.currency:
        return None
    feed = next(other.rate_feed for other in spec.also_priced_in if other.currency == currency)
    as_of = domain.last_local_date(work.period, zone)
    today = work.now.astimezone(ZoneInfo(zone)).date()
    return await peers.rate(spec.currency, currency, feed, min(as_of, today), work.now)


async def _chart(peers: Peers, work: Work, queries: list[UsageQuery]) -> invoice_pb2.Chart | None:
    """Return the first usage charge by day; a document without usage has no chart."""
    if not queries:
        return None
    query, period = queries[0], work.period
    points = await peers.daily_usage(
        query, work.customer.id, work.aliases, period.starts_at, period.ends_at
    )
    if not points:
        return None
    charge = next(item for item in work.plan.spec.charges if item.name == query.charge)
    zone = ZoneInfo(query.time_zone)
    return invoice_pb2.Chart(
        title=charge.display_name or charge.name,
        unit="",
        points=[
            invoice_pb2.ChartPoint(
                label=starts_at.astimezone(zone).date().isoformat(), quantity=quantity
            )
            for starts_at, quantity in points
        ],
    )


def _line(line: pricing_pb2.RatedLine, zone: str, period: domain.Period) -> invoice_pb2.NewLine:
    tax_on = domain.last_local_date(period, zone).isoformat()
    return invoice_pb2.NewLine(
        charge=line.charge,
        kind=line.kind,
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        unit_amount=line.unit_amount,
        amount_minor=line.amount_minor,
        tax_category=line.tax_category,
        starts_at=line.starts_at if line.HasField("starts_at") else to_timestamp(period.starts_at),
        ends_at=line.ends_at if line.HasField("ends_at") else to_timestamp(period.ends_at),
        tax_on=_tax_on(line, zone) or tax_on,
        detail_json=line.detail_json,
    )


def _tax_on(line: pricing_pb2.RatedLine, zone: str) -> str:
    """Return the last local day of the line's own period."""
    if not line.HasField("ends_at"):
        return ""
    ends_at = line.ends_at.ToDatetime(tzinfo=ZoneInfo("UTC"))
    return (ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date().isoformat()


def _snapshot(customer: CustomerRow) -> invoice_pb2.CustomerSnapshot:
    address: dict[str, Any] = customer.address
    return invoice_pb2.CustomerSnapshot(
        customer_id=customer.id,
        external_id=customer.external_id or "",
        name=customer.name,
        email=customer.email,
        address=invoice_pb2.Address(**address),
        tax_ids=[invoice_pb2.TaxId(**item) for item in customer.tax_ids],
        tax_type=customer.tax_type,
        user_type=customer.user_type,
        locale=customer.locale,
        payment_terms_days=customer.payment_terms_days,
        test_clock_id=customer.test_clock_id or "",
    )


def _note(rate: exchange_rate_pb2.Rate | None) -> invoice_pb2.ConversionNote | None:
    if rate is None:
        return None
    return invoice_pb2.ConversionNote(
        base=rate.base,
        quote=rate.quote,
        rate=rate.rate,
        rate_id=" ".join(rate.rate_ids),
        as_of=rate.as_of,
        source=rate.source,
    )


async def _advance_billed(
    runtime: Runtime, principal: Principal, work: Work, invoice: invoice_pb2.Invoice
) -> None:
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.lock_subscription(tx, work.row.id)
        if row is not None:
            row.advance_due = False
            row.state = "active" if row.state in ("pending", "trialing") else row.state
    _log.info("advance_billed", subscription_id=work.row.id, invoice_id=invoice.id)


async def _period_billed(
    runtime: Runtime,
    principal: Principal,
    work: Work,
    invoice: invoice_pb2.Invoice,
    run_id: str,
) -> None:
    """Note the period and move on to the next, unless another worker did."""
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.lock_subscription(tx, work.row.id)
        if row is None or row.period_starts_at != work.period.starts_at:
            return
        await repository.note_billed(tx, row, invoice.id, run_id)
        if row.cancel_at is not None and row.cancel_at <= row.period_ends_at:
            row.ended_at, row.state = row.cancel_at, "ended"
            await announce(tx, row)
            return
        interval = work.plan.spec.interval
        following = domain.period_after(interval, row.billing_starts_at, work.period)
        set_period(row, following.until(row.cancel_at))
        row.interval = interval.model_dump(mode="json")
        row.state = row.state if row.state in ("canceled", "past_due") else "active"
        # The version whose fees in advance were billed; one that came meanwhile takes its turn.
        version = work.row.next_plan_version
        if version is not None:
            row.plan_version = version
            row.next_plan_version = _later(row.next_plan_version, version)
            await announce(tx, row)


def _later(version: int | None, billed: int) -> int | None:
    return version if version is not None and version > billed else None
