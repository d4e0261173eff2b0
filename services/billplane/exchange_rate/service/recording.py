"""Rates by hand: recorded, approved by somebody else where they deviate, withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.exchange_rate import domain, repository
from billplane.exchange_rate.errors import (
    ApprovalByAuthor,
    RateDeviates,
    RateNotByHand,
    RateNotFound,
    RateNotHeldBack,
    RateWithdrawn,
)
from billplane.exchange_rate.models import RateRow
from billplane.exchange_rate.service import currencies
from billplane.exchange_rate.service.feeds import spec_of
from billplane.protos.exchange_rate.v1.events_pb2 import RatesUpdated

REASON_MAX = 1000


@dataclass(frozen=True, slots=True)
class StoredRate:
    """A stored rate and what was decided of it.

    `state` is `usable`, `held_back` until somebody approves it, or `withdrawn`.
    """

    row: RateRow
    state: str
    approved_by: str | None


async def stored(tx: ReadTransaction, rows: Sequence[RateRow]) -> list[StoredRate]:
    """Return rates with what was decided of them."""
    decided = await repository.decisions(tx, [row.id for row in rows])
    found = []
    for row in rows:
        kinds = decided.get(row.id, {})
        approval = kinds.get("approval")
        state = "held_back" if row.held_back and approval is None else "usable"
        if "withdrawal" in kinds:
            state = "withdrawn"
        found.append(StoredRate(row, state, approval.actor if approval else None))
    return found


async def record_rate(
    tx: Transaction,
    *,
    base: str,
    quote: str,
    rate: Decimal,
    as_of: date | None,
    until: date | None,
    reason: str,
    propose: bool,
) -> StoredRate:
    """Record a rate by hand; from `as_of` on, and before `until`, it wins over feeds.

    One that differs from the known rate by more than the feed's `maxDeviation` can only be
    proposed: it is used once somebody else has approved it.

    Raises: RateDeviates, Invalid, CurrencyDisabled, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    await currencies.require_enabled(tx, {"base": base, "quote": quote})
    on = as_of or tx.now.date()
    errors = []
    if base == quote:
        errors.append(FieldError("quote", "FIELD_INVALID", "quote is another currency than base"))
    if rate <= 0:
        errors.append(FieldError("rate", "OUT_OF_RANGE", "rate must be above zero"))
    if until is not None and until <= on:
        errors.append(FieldError("until", "FIELD_INVALID", "until must be after as_of"))
    if not reason.strip() or len(reason) > REASON_MAX:
        detail = f"reason is a text of at most {REASON_MAX} characters"
        errors.append(FieldError("reason", "FIELD_REQUIRED", detail))
    if errors:
        raise Invalid(errors)
    held_back = await _deviates(tx, base, quote, rate, on, propose=propose)
    row = RateRow(
        tenant_id=tx.tenant_id,
        id=ids.new("fxr"),
        feed_id=domain.MANUAL,
        base=base,
        quote=quote,
        rate=rate,
        as_of=on,
        until=until,
        held_back=held_back,
        fetched_at=tx.now,
        reason=reason,
        actor=tx.principal.subject,
        livemode=tx.livemode,
    )
    tx.session.add(row)
    if not held_back:
        await _tell(tx, row)
    return StoredRate(row, "held_back" if held_back else "usable", None)


async def _deviates(
    tx: Transaction, base: str, quote: str, rate: Decimal, on: date, *, propose: bool
) -> bool:
    """Tell whether a rate must wait for an approval.

    Raises: RateDeviates unless it is only proposed.
    """
    by_hand = await repository.legs_by_hand(tx, on)
    for feed in await repository.feeds(tx):
        spec = spec_of(feed)
        if spec.max_deviation is None:
            continue
        legs = [*by_hand, *await repository.legs(tx, feed.id, [base, quote], on)]
        known = domain.cross(base, quote, spec.base, legs, on)
        if known is None:
            continue
        jump = domain.deviation(rate, known.value)
        if jump <= spec.max_deviation:
            continue
        if not propose:
            raise RateDeviates(
                f"{rate} is further from {domain.rate_text(known)} than the feed {feed.name}"
                f" allows; propose it, and have somebody else approve it",
                field="rate",
                metadata={
                    "known": domain.rate_text(known),
                    "deviation": f"{jump:.6f}",
                    "max_deviation": f"{spec.max_deviation:f}",
                    "feed": feed.name,
                },
            )
        return True
    return False


async def approve_rate(tx: Transaction, rate_id: str, reason: str = "") -> StoredRate:
    """Have a rate used that was held back: one of a feed, or one that somebody else proposed.

    Raises: RateNotFound, RateNotHeldBack, RateWithdrawn, ApprovalByAuthor, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    found = await _found(tx, rate_id)
    if found.state == "withdrawn":
        raise RateWithdrawn(f"the rate {rate_id} was withdrawn")
    if found.state != "held_back":
        raise RateNotHeldBack(f"the rate {rate_id} is not held back")
    if found.row.actor == tx.principal.subject:
        raise ApprovalByAuthor("who proposed a rate cannot approve it too")
    if not await repository.decide(tx, rate_id, "approval", reason, found.row.as_of):
        raise RateNotHeldBack(f"the rate {rate_id} is not held back")
    await _tell(tx, found.row)
    return StoredRate(found.row, "usable", tx.principal.subject)


async def withdraw_rate(tx: Transaction, rate_id: str, reason: str = "") -> StoredRate:
    """Have a rate by hand used no more, from today on; earlier dates keep it.

    Raises: RateNotFound, RateNotByHand, RateWithdrawn, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    found = await _found(tx, rate_id)
    if found.row.feed_id != domain.MANUAL:
        raise RateNotByHand(f"the rate {rate_id} is of a feed")
    if found.state == "withdrawn" or not await repository.decide(
        tx, rate_id, "withdrawal", reason, tx.now.date()
    ):
        raise RateWithdrawn(f"the rate {rate_id} was withdrawn")
    return StoredRate(found.row, "withdrawn", found.approved_by)


async def get_stored_rate(tx: ReadTransaction, rate_id: str) -> StoredRate:
    """Return a stored rate by its id.

    Raises: RateNotFound, ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    return await _found(tx, rate_id)


async def _found(tx: ReadTransaction, rate_id: str) -> StoredRate:
    row = await repository.rate(tx, rate_id)
    if row is None:
        raise RateNotFound(f"there is no rate {rate_id}")
    (found,) = await stored(tx, [row])
    return found


async def _tell(tx: Transaction, row: RateRow) -> None:
    await tx.publish(
        RatesUpdated(feed_id=row.feed_id, as_of=row.as_of.isoformat(), rate_count=1),
        aggregate_id=row.feed_id,
    )
