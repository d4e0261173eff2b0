"""Usage that changed after its period was billed: the difference goes on the next invoice.

Events that came late, and events that were voided or corrected, change what a period costs. It is
rated once more, and what differs from what its invoices say is a line of the next one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from billplane.chassis.rpc import to_timestamp
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources import usage_queries
from billplane.subscription import domain
from billplane.subscription.models import BilledPeriodRow
from billplane.subscription.peers import Peers
from billplane.subscription.repository import BilledPeriod, segments_of

# Fees do not change with usage; what is topped up or capped does.
_KINDS = ("usage", "commitment", "cap")
Charge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose usage it is: its id and the other names that events carry, and its currency."""

    names: Sequence[str]
    currency_code: str


async def late_lines(
    peers: Peers,
    billed: Sequence[BilledPeriod],
    plan_id: str,
    anchor: datetime,
    customer: Customer,
    at: datetime,
) -> list[pricing_pb2.RatedLine]:
    """Return what is missing on the invoices of periods whose usage has changed, by charge.

    A period is rated by the versions and at the rate of its own invoice, so that a tier that late
    usage reaches costs what it would have cost. What an earlier invoice has put right is counted
    as billed, so that nothing is put right twice.

    Shape: `billed` is in the order of time; amounts are below zero where too much was billed.
    """
    changed = await peers.changed_periods(
        customer.names[0],
        customer.names[1:],
        [(each.row.starts_at, each.row.ends_at, each.read_at) for each in billed],
    )
    invoices: dict[str, invoice_pb2.Invoice] = {}
    lines: list[pricing_pb2.RatedLine] = []
    for number in changed:
        for each in billed[number:]:
            if each.row.invoice_id not in invoices:
                invoices[each.row.invoice_id] = await peers.invoice(each.row.invoice_id)
        row = billed[number].row
        own = invoices[row.invoice_id]
        if own.state == "voided" or own.currency_code != customer.currency_code:
            continue
        later = [invoices[each.row.invoice_id] for each in billed[number:]]
        for segment in segments_of(row, plan_id):
            lines += await _of_segment(peers, row, segment, anchor, customer, own, later, at)
    return lines


def within_room(
    lines: Sequence[pricing_pb2.RatedLine], room_minor: int
) -> list[pricing_pb2.RatedLine]:
    """Return the lines with what fits on a document that must not go below zero.

    What is left of an amount to give back is found again by the next document.
    """
    room_minor += sum(line.amount_minor for line in lines if line.amount_minor > 0)
    back = [line for line in lines if line.amount_minor < 0]
    amounts = domain.fitting([line.amount_minor for line in back], room_minor)
    for line, amount_minor in zip(back, amounts, strict=True):
        line.amount_minor = amount_minor
    return [line for line in lines if line.amount_minor]


async def _of_segment(
    peers: Peers,
    row: BilledPeriodRow,
    segment: domain.Segment,
    anchor: datetime,
    customer: Customer,
    own: invoice_pb2.Invoice,
    later: Sequence[invoice_pb2.Invoice],
    at: datetime,
) -> list[pricing_pb2.RatedLine]:
    """Return the difference of one stretch of a period, which one plan billed."""
    plan = await peers.plan(segment.plan_id, segment.plan_version)
    starts_at, ends_at = segment.starts_at, segment.ends_at
    usage = [
        pricing_pb2.ChargeUsage(
            charge=query.charge,
            rows=await peers.usage(
                query, customer.names[0], customer.names[1:], starts_at, ends_at
            ),
        )
        for query in usage_queries(plan.spec, starts_at=starts_at, ends_at=ends_at)
    ]
    if not usage:
        return []
    nominal = domain.period_at(plan.spec.interval, anchor, row.starts_at)
    converted = plan.spec.currency != own.currency_code
    rated = await peers.rated(
        pricing_pb2.RatePeriodRequest(
            plan_id=plan.id,
            version=plan.version,
            starts_at=to_timestamp(starts_at),
            ends_at=to_timestamp(ends_at),
            nominal_starts_at=to_timestamp(row.nominal_starts_at or nominal.nominal_starts_at),
            nominal_ends_at=to_timestamp(row.nominal_ends_at or nominal.nominal_ends_at),
            usage=usage,
            target_currency=own.currency_code,
            rate=own.conversion.rate if converted else "",
            rate_id=own.conversion.rate_id if converted else "",
            at=to_timestamp(at),
            customer_id=customer.names[0],
        )
    )
    owed = _by_charge(rated.lines)
    billed = _by_charge(_lines_of(later, starts_at, ends_at))
    described = {(line.kind, line.charge): line.description for line in rated.lines}
    described |= {
        (line.kind, line.charge): line.description
        for line in reversed(_lines_of([own], starts_at, ends_at))
    }
    span = _span(starts_at, ends_at, ZoneInfo(plan.spec.interval.time_zone))
    categories = {line.charge: line.tax_category for line in own.lines}
    categories |= {line.charge: line.tax_category for line in rated.lines}
    return [
        _line(charge, owed[charge] - billed[charge], described, categories, span, segment)
        for charge in sorted(owed.keys() | billed.keys())
        if owed[charge] != billed[charge]
    ]


def _line(
    charge: Charge,
    amount_minor: int,
    described: Mapping[Charge, str],
    categories: Mapping[str, str],
    span: str,
    segment: domain.Segment,
) -> pricing_pb2.RatedLine:
    kind, name = charge
    what = "late usage" if amount_minor > 0 else "usage put right"
    return pricing_pb2.RatedLine(
        charge=name,
        kind=kind,
        description=f"{described.get(charge, name)}, {what} of {span}",
        amount_minor=amount_minor,
        tax_category=categories.get(name, ""),
        starts_at=to_timestamp(segment.starts_at),
        ends_at=to_timestamp(segment.ends_at),
    )


def _span(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    first = starts_at.astimezone(zone).date()
    last = (ends_at - timedelta(microseconds=1)).astimezone(zone).date()
    return f"{first} to {last}"


def _lines_of(
    invoices: Sequence[invoice_pb2.Invoice], starts_at: datetime, ends_at: datetime
) -> list[invoice_pb2.InvoiceLine]:
    """Return what invoices that stand say of a stretch of time, by the lines' own start."""
    return [
        line
        for invoice in invoices
        if invoice.state != "voided"
        for line in invoice.lines
        if starts_at <= line.starts_at.ToDatetime(tzinfo=UTC) < ends_at
    ]


def _by_charge(
    lines: Sequence[pricing_pb2.RatedLine] | Sequence[invoice_pb2.InvoiceLine],
) -> Counter[Charge]:
    found: Counter[Charge] = Counter()
    for line in lines:
        if line.kind in _KINDS:
            found[line.kind, line.charge] += line.amount_minor
    return found
