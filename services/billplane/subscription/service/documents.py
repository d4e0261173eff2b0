"""The document of one period: usage, fees and waiting items become lines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billplane.chassis.rpc import to_timestamp
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources.usage_windows import UsageQuery, usage_queries
from billplane.subscription import domain
from billplane.subscription.models import (
    CustomerRow,
    InvoiceItemRow,
    SubscriptionRow,
)
from billplane.subscription.peers import Peers, Plan
from billplane.subscription.repository import BilledPeriod
from billplane.subscription.service.late_usage import Customer, late_lines, within_room
from billplane.subscription.service.periods import anchor_of, bills_in_advance
from billplane.subscription.service.subscriptions import check_priced


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the period and the plan that it is billed by."""

    plan: Plan
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Work:
    """Everything known of what is to be billed.

    Shape: `parts` cut the period by plan, the last one is of `plan`; `following` is the plan of
        the next period where it is another version or another plan.
    """

    row: SubscriptionRow
    customer: CustomerRow
    plan: Plan
    period: domain.Period
    now: datetime
    billed: Sequence[BilledPeriod]
    parts: Sequence[Part] = ()
    following: Plan | None = None
    items: Sequence[InvoiceItemRow] = ()

    @property
    def goes_on(self) -> bool:
        """True when another period follows this one without a break."""
        cancel_at = self.row.cancel_at
        ended = cancel_at is not None and cancel_at <= self.period.ends_at
        return not ended and self.pause is None

    @property
    def pause(self) -> dict[str, Any] | None:
        """The pause that begins where the period ends."""
        for pause in self.row.pauses:
            if datetime.fromisoformat(pause["starts_at"]) == self.period.ends_at:
                return dict(pause)
        return None

    @property
    def aliases(self) -> list[str]:
        """Names that usage events may carry instead of the customer's id."""
        return [self.customer.external_id] if self.customer.external_id else []

    def next_period(self) -> domain.Period:
        """Return the period after this one, as the plan that it is billed by cuts time."""
        interval, anchor = self.plan.spec.interval, anchor_of(self.row)
        if self.row.next_plan is not None and self.following is not None:
            switched = self.following.spec.interval
            if switched != interval:
                interval, anchor = switched, self.period.ends_at
        return domain.period_after(interval, anchor, self.period)


async def period_document(
    peers: Peers, work: Work, run_id: str
) -> invoice_pb2.CreateInvoiceRequest:
    """Put the document of a whole period together: each part rated by its plan."""
    row, period = work.row, work.period
    lines: list[invoice_pb2.NewLine] = []
    queries: list[tuple[Part, list[UsageQuery]]] = []
    conversion = None
    for part in work.parts:
        conversion = await _conversion(peers, work, part.plan)
        asked = usage_queries(part.plan.spec, starts_at=part.starts_at, ends_at=part.ends_at)
        queries.append((part, asked))
        usage = [
            pricing_pb2.ChargeUsage(
                charge=query.charge,
                rows=await peers.usage(
                    query, work.customer.id, work.aliases, part.starts_at, part.ends_at
                ),
            )
            for query in asked
        ]
        rated = await peers.rated(_rating(work, part, usage, conversion))
        zone = part.plan.spec.interval.time_zone
        lines += [to_line(line, zone, part.starts_at, part.ends_at) for line in rated.lines]
    zone = work.plan.spec.interval.time_zone
    rest = await _fees_ahead(peers, work, conversion)
    room = sum(line.amount_minor for line in lines) + sum(line.amount_minor for line in rest)
    for line in [*rest, *within_room(await _late(peers, work), room)]:
        lines.append(to_line(line, zone, period.starts_at, period.ends_at))
    document = _document(work, f"run:{row.id}:{period.starts_at.isoformat()}", run_id, lines)
    document.period_starts_at.FromDatetime(period.starts_at)
    document.period_ends_at.FromDatetime(period.ends_at)
    chart = await _chart(peers, work, queries)
    if chart is not None:
        document.chart.CopyFrom(chart)
    _note(document, conversion)
    return document


async def advance_document(
    peers: Peers, work: Work, run_id: str
) -> invoice_pb2.CreateInvoiceRequest:
    """Put the document of the first fees in advance together: it is not the period's own."""
    period = work.period
    conversion = await _conversion(peers, work, work.plan)
    rated = await peers.rated(fees_request(work, work.plan, period, conversion))
    zone = work.plan.spec.interval.time_zone
    lines = [to_line(line, zone, period.starts_at, period.ends_at) for line in rated.lines]
    name = f"advance:{work.row.id}:{period.starts_at.isoformat()}"
    if not work.row.pauses:
        document = _document(work, name, run_id, lines)
    else:  # there was a first one before the pause
        name = f"{name}:{len(work.row.pauses)}"
        document = _document(work, name, run_id, lines)
        document.occasion = name
    _note(document, conversion)
    return document


def items_document(work: Work, name: str, run_id: str) -> invoice_pb2.CreateInvoiceRequest:
    """Put a document of waiting items alone together."""
    document = _document(work, name, run_id, [])
    document.occasion = name
    return document


def add_items(
    document: invoice_pb2.CreateInvoiceRequest, items: Sequence[InvoiceItemRow], zone: str
) -> None:
    """Add items to a document, as its last lines."""
    document.lines.extend(
        invoice_pb2.NewLine(
            charge=item.charge,
            kind=item.kind,
            description=item.description,
            quantity=item.quantity,
            unit=item.unit,
            unit_amount=item.unit_amount,
            amount_minor=item.amount_minor,
            tax_category=item.tax_category,
            starts_at=to_timestamp(item.starts_at),
            ends_at=to_timestamp(item.ends_at),
            tax_on=_last_day(item.ends_at, zone),
            detail_json=json.dumps(item.detail, ensure_ascii=False),
        )
        for item in items
    )


def fees_request(
    work: Work,
    plan: Plan,
    period: domain.Period,
    conversion: exchange_rate_pb2.Rate | None,
) -> pricing_pb2.RatePeriodRequest:
    """Ask for the fees in advance of a period, and nothing else."""
    request = _rating_of(work, plan, period, conversion)
    request.starts_at.FromDatetime(period.starts_at)
    request.ends_at.FromDatetime(period.ends_at)
    request.advance_starts_at.FromDatetime(period.starts_at)
    request.advance_ends_at.FromDatetime(period.ends_at)
    request.advance_only = True
    return request


async def conversion_on(
    peers: Peers, work: Work, plan: Plan, at: datetime
) -> exchange_rate_pb2.Rate | None:
    """Return the rate from a plan's currency into the customer's as of an instant's local date."""
    spec, currency = plan.spec, work.customer.currency_code
    if currency == spec.currency:
        return None
    feed = next(other.rate_feed for other in spec.also_priced_in if other.currency == currency)
    zone = ZoneInfo(spec.interval.time_zone)
    as_of = min(at.astimezone(zone).date(), work.now.astimezone(zone).date())
    return await peers.rate(spec.currency, currency, feed, as_of, work.now)


async def _conversion(peers: Peers, work: Work, plan: Plan) -> exchange_rate_pb2.Rate | None:
    """Return the one rate of the document: as of the period's last local date."""
    check_priced(plan.spec, work.customer.currency_code)
    return await conversion_on(peers, work, plan, work.period.ends_at - timedelta(microseconds=1))


async def _late(peers: Peers, work: Work) -> list[pricing_pb2.RatedLine]:
    """Return what usage of periods that were billed already adds, or takes away, now."""
    if not work.billed:
        return []
    customer = work.customer
    names = [customer.id, *work.aliases]
    return await late_lines(
        peers,
        work.billed,
        work.plan.id,
        anchor_of(work.row),
        Customer(names, customer.currency_code),
        work.now,
    )


async def _fees_ahead(
    peers: Peers, work: Work, conversion: exchange_rate_pb2.Rate | None
) -> list[pricing_pb2.RatedLine]:
    """Return the fees in advance of the next period where another version or plan has it."""
    following = work.following
    if following is None or not work.goes_on:
        return []
    check_priced(following.spec, work.customer.currency_code)
    if not bills_in_advance(following.spec):
        return []
    period = work.next_period()
    if following.spec.currency != work.plan.spec.currency:
        conversion = await conversion_on(peers, work, following, period.ends_at)
    rated = await peers.rated(fees_request(work, following, period, conversion))
    return list(rated.lines)


def _rating(
    work: Work,
    part: Part,
    usage: list[pricing_pb2.ChargeUsage],
    conversion: exchange_rate_pb2.Rate | None,
) -> pricing_pb2.RatePeriodRequest:
    request = _rating_of(work, part.plan, work.period, conversion)
    request.starts_at.FromDatetime(part.starts_at)
    request.ends_at.FromDatetime(part.ends_at)
    request.usage.extend(usage)
    if part is work.parts[-1] and work.goes_on and work.following is None:
        ahead = work.next_period()
        request.advance_starts_at.FromDatetime(ahead.starts_at)
        request.advance_ends_at.FromDatetime(ahead.ends_at)
    return request


def _rating_of(
    work: Work,
    plan: Plan,
    period: domain.Period,
    conversion: exchange_rate_pb2.Rate | None,
) -> pricing_pb2.RatePeriodRequest:
    return pricing_pb2.RatePeriodRequest(
        plan_id=plan.id,
        version=plan.version,
        nominal_starts_at=to_timestamp(period.nominal_starts_at),
        nominal_ends_at=to_timestamp(period.nominal_ends_at),
        target_currency=work.customer.currency_code,
        rate=conversion.rate if conversion else "",
        rate_id=" ".join(conversion.rate_ids) if conversion else "",
        at=to_timestamp(work.now),
        customer_id=work.customer.id,
    )


def _document(
    work: Work, name: str, run_id: str, lines: Sequence[invoice_pb2.NewLine]
) -> invoice_pb2.CreateInvoiceRequest:
    return invoice_pb2.CreateInvoiceRequest(
        request_id=name,
        customer=_snapshot(work.customer),
        subscription_id=work.row.id,
        plan_id=work.plan.id,
        plan_name=work.plan.name,
        currency_code=work.customer.currency_code,
        lines=lines,
        coupon_codes=work.row.coupon_codes,
        at=to_timestamp(work.now),
        time_zone=work.plan.spec.interval.time_zone,
        metadata={"billing_run_id": run_id} if run_id.startswith("run_") else {},
    )


async def _chart(
    peers: Peers, work: Work, queries: Sequence[tuple[Part, list[UsageQuery]]]
) -> invoice_pb2.Chart | None:
    """Return the first usage charge by day; a document without usage has no chart."""
    found = [(part, asked[0]) for part, asked in queries if asked]
    if not found:
        return None
    part, query = found[-1]
    points = await peers.daily_usage(
        query, work.customer.id, work.aliases, work.period.starts_at, work.period.ends_at
    )
    if not points:
        return None
    charge = next(item for item in part.plan.spec.charges if item.name == query.charge)
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


def to_line(
    line: pricing_pb2.RatedLine, zone: str, starts_at: datetime, ends_at: datetime
) -> invoice_pb2.NewLine:
    """Write a rated line as a document's; one without a span of its own has the period's."""
    own = line.ends_at.ToDatetime(tzinfo=ZoneInfo("UTC")) if line.HasField("ends_at") else ends_at
    return invoice_pb2.NewLine(
        charge=line.charge,
        kind=line.kind,
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        unit_amount=line.unit_amount,
        amount_minor=line.amount_minor,
        tax_category=line.tax_category,
        starts_at=line.starts_at if line.HasField("starts_at") else to_timestamp(starts_at),
        ends_at=to_timestamp(own),
        tax_on=_last_day(own, zone),
        detail_json=line.detail_json,
    )


def _last_day(ends_at: datetime, zone: str) -> str:
    """Return the last local day of what ends at an instant."""
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


def _note(document: invoice_pb2.CreateInvoiceRequest, rate: exchange_rate_pb2.Rate | None) -> None:
    if rate is None:
        return
    document.conversion.CopyFrom(
        invoice_pb2.ConversionNote(
            base=rate.base,
            quote=rate.quote,
            rate=rate.rate,
            rate_id=" ".join(rate.rate_ids),
            as_of=rate.as_of,
            source=rate.source,
        )
    )
