"""Usage that came after its period was billed: the difference goes on the next invoice."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from billplane.chassis.rpc import to_timestamp
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources import usage_queries
from billplane.subscription import domain
from billplane.subscription.models import BilledPeriodRow
from billplane.subscription.peers import Peers

# Fees do not change with usage; what is topped up or capped does.
_KINDS = ("usage", "commitment", "cap")


async def late_lines(
    peers: Peers,
    before: BilledPeriodRow,
    plan_id: str,
    anchor: datetime,
    names: Sequence[str],
    at: datetime,
) -> list[pricing_pb2.RatedLine]:
    """Rate the period before once more and return what is missing on its invoice, by charge.

    The period is rated by the version and at the rate of its own invoice, so that a tier that late
    usage reaches costs what it would have cost. Usage later still is not looked for.
    """
    plan = await peers.plan(plan_id, before.plan_version)
    usage = [
        pricing_pb2.ChargeUsage(
            charge=query.charge,
            rows=await peers.usage(query, names[0], names[1:], before.starts_at, before.ends_at),
        )
        for query in usage_queries(plan.spec, starts_at=before.starts_at, ends_at=before.ends_at)
    ]
    if not usage:
        return []
    invoice = await peers.invoice(before.invoice_id)
    if invoice.state == "voided":
        return []
    nominal = domain.period_at(plan.spec.interval, anchor, before.starts_at)
    rated = await peers.rated(
        pricing_pb2.RatePeriodRequest(
            plan_id=plan.id,
            version=plan.version,
            starts_at=to_timestamp(before.starts_at),
            ends_at=to_timestamp(before.ends_at),
            nominal_starts_at=to_timestamp(nominal.nominal_starts_at),
            nominal_ends_at=to_timestamp(nominal.nominal_ends_at),
            usage=usage,
            target_currency=invoice.currency_code,
            rate=invoice.conversion.rate,
            rate_id=invoice.conversion.rate_id,
            at=to_timestamp(at),
        )
    )
    owed = _by_charge(rated.lines)
    billed = _by_charge(_own_lines(invoice, before.starts_at))
    described = {(line.kind, line.charge): line.description for line in rated.lines}
    return [
        pricing_pb2.RatedLine(
            charge=charge,
            kind=kind,
            description=f"{described.get((kind, charge), charge)}, late usage",
            amount_minor=owed[kind, charge] - billed[kind, charge],
            tax_category=_category(rated.lines, charge),
            starts_at=to_timestamp(before.starts_at),
            ends_at=to_timestamp(before.ends_at),
        )
        for kind, charge in sorted(owed.keys() | billed.keys())
        if owed[kind, charge] != billed[kind, charge]
    ]


def _own_lines(invoice: invoice_pb2.Invoice, starts_at: datetime) -> list[invoice_pb2.InvoiceLine]:
    """Return an invoice's lines of its own period: not those for usage that was late then."""
    return [line for line in invoice.lines if line.starts_at.ToDatetime(tzinfo=UTC) >= starts_at]


def _by_charge(
    lines: Sequence[pricing_pb2.RatedLine] | Sequence[invoice_pb2.InvoiceLine],
) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for line in lines:
        if line.kind in _KINDS:
            found[line.kind, line.charge] += line.amount_minor
    return found


def _category(lines: Sequence[pricing_pb2.RatedLine], charge: str) -> str:
    return next((line.tax_category for line in lines if line.charge == charge), "")
