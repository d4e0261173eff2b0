"""What another spec would have charged for usage that was billed: who pays more, who less."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from billplane.chassis import applied
from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rpc import to_timestamp
from billplane.money import minor_units, parse_currency
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.resources import BillingPlanSpec, spec_hash
from billplane.resources.usage_windows import usage_queries
from billplane.subscription import domain, repository
from billplane.subscription.models import BilledPeriodRow, CustomerRow
from billplane.subscription.peers import Peers, Plan, peers_of

PERIODS_MAX: Final = 24
CUSTOMERS_MAX: Final = 2_000
EXAMPLES: Final = 10
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """What one customer paid for its billed periods, and would have paid.

    Units: minor units of the plan's currency, before discounts and tax.
    """

    customer: CustomerRow
    old_minor: int
    new_minor: int


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """The differences of all customers of a plan, the largest first."""

    plan: Plan
    spec_hash: str
    currency_code: str
    differences: Sequence[Difference]
    periods: int
    live: int

    @property
    def up(self) -> int:
        """How many would pay more."""
        return sum(item.new_minor > item.old_minor for item in self.differences)

    @property
    def down(self) -> int:
        """How many would pay less."""
        return sum(item.new_minor < item.old_minor for item in self.differences)

    @property
    def old_total_minor(self) -> int:
        """What all of them paid."""
        return sum(item.old_minor for item in self.differences)

    @property
    def new_total_minor(self) -> int:
        """What all of them would have paid."""
        return sum(item.new_minor for item in self.differences)

    def shown(self, minor: int) -> str:
        """Write minor units in the currency's own unit."""
        places = minor_units(parse_currency(self.currency_code))
        return f"{Decimal(minor).scaleb(-places):f}"


async def preview_plan_change(
    call: Call, *, plan: str, spec_json: str, periods: int
) -> PlanDifference:
    """Rate the newest billed periods of a plan's live subscriptions by another spec.

    Both sides are rated from the usage as it is stored now, so that they differ by price alone.

    Raises: Invalid, the plan's errors, ScopeMissing.
    """
    call.principal.require("subscriptions:read")
    if not 0 <= periods <= PERIODS_MAX:
        raise Invalid([FieldError("/periods", "FIELD_INVALID", f"1 to {PERIODS_MAX} periods")])
    spec = applied.read_spec_json("BillingPlan", spec_json)
    if not isinstance(spec, BillingPlanSpec):
        raise TypeError(f"{type(spec).__name__} is no plan's spec")
    peers = peers_of(call)
    found = await peers.plan(plan)
    async with call.reading() as tx:
        rows = await repository.latest_periods(tx, found.id, periods or 1, CUSTOMERS_MAX)
        live = await repository.count_live_in_mode(tx, found.id)
        now = tx.now
    await peers.flush_usage(now)
    wanted = replace(found, spec=spec)
    room = asyncio.Semaphore(_AT_ONCE)

    async def both(period: BilledPeriodRow, customer: CustomerRow) -> tuple[int, int]:
        async with room:
            old = await _old_minor(peers, found, period, customer)
            return old, await _rated_minor(peers, wanted, period, customer, spec_json)

    amounts = await asyncio.gather(*(both(period, customer) for period, customer in rows))
    return PlanDifference(
        plan=found,
        spec_hash=spec_hash(spec),
        currency_code=spec.currency,
        differences=_by_customer(rows, amounts),
        periods=len(rows),
        live=live,
    )


def _by_customer(
    rows: Sequence[tuple[BilledPeriodRow, CustomerRow]], amounts: Sequence[tuple[int, int]]
) -> list[Difference]:
    customers = {customer.id: customer for _, customer in rows}
    old: dict[str, int] = defaultdict(int)
    new: dict[str, int] = defaultdict(int)
    for (_, customer), (before, after) in zip(rows, amounts, strict=True):
        old[customer.id] += before
        new[customer.id] += after
    found = [Difference(customers[name], old[name], new[name]) for name in old]
    return sorted(found, key=lambda item: (-abs(item.new_minor - item.old_minor), item.customer.id))


async def _old_minor(
    peers: Peers, plan: Plan, period: BilledPeriodRow, customer: CustomerRow
) -> int:
    """Return what a period costs by the plans and versions that billed it."""
    total = 0
    for segment in repository.segments_of(period, plan.id):
        held = await peers.plan(segment.plan_id, segment.plan_version)
        if held.spec.currency != plan.spec.currency:
            continue  # amounts of two currencies are not summed
        total += await _rated_minor(peers, held, period, customer, "", segment)
    return total


async def _rated_minor(
    peers: Peers,
    plan: Plan,
    period: BilledPeriodRow,
    customer: CustomerRow,
    spec_json: str,
    segment: domain.Segment | None = None,
) -> int:
    """Rate a billed period, or a part of it, with its own fees in advance."""
    starts_at = segment.starts_at if segment else period.starts_at
    ends_at = segment.ends_at if segment else period.ends_at
    aliases = [customer.external_id] if customer.external_id else []
    queries = usage_queries(plan.spec, starts_at=starts_at, ends_at=ends_at)
    usage = [
        pricing_pb2.ChargeUsage(
            charge=query.charge,
            rows=await peers.usage(query, customer.id, aliases, starts_at, ends_at),
        )
        for query in queries
    ]
    request = pricing_pb2.RatePeriodRequest(
        plan_id=plan.id,
        version=plan.version,
        starts_at=to_timestamp(starts_at),
        ends_at=to_timestamp(ends_at),
        advance_starts_at=to_timestamp(starts_at),
        advance_ends_at=to_timestamp(ends_at),
        usage=usage,
        spec_json=spec_json,
        customer_id=customer.id,
    )
    if period.nominal_starts_at is not None and period.nominal_ends_at is not None:
        request.nominal_starts_at.FromDatetime(period.nominal_starts_at)
        request.nominal_ends_at.FromDatetime(period.nominal_ends_at)
    return (await peers.rated(request)).subtotal_minor
