"""The rules of a wallet: what is available, what is used first, which accounts move."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PROMOTIONAL, PURCHASED = "promotional", "purchased"
TOP_UP, GRANT, ADJUST, EXPIRE = "top_up", "grant", "adjust", "expire"
CHARGE, COMMIT, REFUND = "charge", "commit", "refund"
RESERVE, RELEASE, RUN_OUT = "reserve", "release", "run_out"
# What moves a balance; the others only set money aside, or free it.
MOVEMENTS = (TOP_UP, GRANT, ADJUST, EXPIRE, CHARGE, COMMIT, REFUND)
REFUNDABLE = (CHARGE, COMMIT)
# What a ledger that refuses does not undo: the money came in, or has to go.
KEPT = (EXPIRE, RELEASE, RUN_OUT)

Side = Literal["debit", "credit"]


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of a credit."""

    id: str
    remaining_minor: int
    priority: int
    expires_at: datetime | None
    created_at: datetime

    def over(self, now: datetime) -> bool:
        """True from the instant of its end on."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Move:
    """What an operation did to one credit: positive adds, negative takes."""

    credit_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a wallet holds: reservations are backed first by credits that are over."""

    posted_minor: int
    reserved_minor: int
    lots: Sequence[Lot]

    def over_minor(self, now: datetime) -> int:
        """Return what is left of credits that are over."""
        return sum(lot.remaining_minor for lot in self.lots if lot.over(now))

    def available_minor(self, now: datetime) -> int:
        """Return what may be taken now without overdraft.

        A credit that ends while a reservation needs it stays for that reservation alone.
        """
        return self.posted_minor - max(self.reserved_minor, self.over_minor(now))

    def plain_minor(self) -> int:
        """Return what belongs to no credit; negative while overdrawn."""
        return self.posted_minor - sum(lot.remaining_minor for lot in self.lots)


def order(lots: Iterable[Lot]) -> list[Lot]:
    """Return credits in the order in which they are used: priority, then end, then age."""
    return sorted(
        lots,
        key=lambda lot: (
            lot.priority,
            lot.expires_at is None,
            lot.expires_at or lot.created_at,
            lot.created_at,
            lot.id,
        ),
    )


def retire(holdings: Holdings, now: datetime) -> list[Move]:
    """Return what credits lose that are over, beyond what reservations still need."""
    room = holdings.over_minor(now) - holdings.reserved_minor
    return _take([lot for lot in order(holdings.lots) if lot.over(now)], room)


def take(holdings: Holdings, amount_minor: int, now: datetime) -> list[Move]:
    """Return what a charge takes from credits that are not over; the rest is plain money."""
    return _take([lot for lot in order(holdings.lots) if not lot.over(now)], amount_minor)


def take_reserved(holdings: Holdings, amount_minor: int, now: datetime) -> list[Move]:
    """Return what a commit takes from credits: first what is kept only for reservations."""
    lots = order(holdings.lots)
    return _take(sorted(lots, key=lambda lot: not lot.over(now)), amount_minor)


def settle(holdings: Holdings, now: datetime) -> list[Move]:
    """Return what credits that came in give for plain money that is owed."""
    return take(holdings, -holdings.plain_minor(), now)


def restore(moves: Sequence[Move], given_before_minor: int, amount_minor: int) -> list[Move]:
    """Return what a refund puts back into the credits that an operation took from.

    What was taken last comes back first; plain money was taken last of all.
    Shape: `moves` in the order in which the operation took, negative; `given_before_minor` counts
    what earlier refunds put back into credits, and `amount_minor` what this one does.
    """
    found = []
    skip = given_before_minor
    for move in reversed(moves):
        taken = -move.amount_minor
        skipped = min(skip, taken)
        skip -= skipped
        part = min(taken - skipped, amount_minor)
        if part > 0:
            found.append(Move(move.credit_id, part))
            amount_minor -= part
    return found


def refund_of_credits(taken_minor: int, in_credits_minor: int, refunded_minor: int) -> int:
    """Return how much of what was refunded so far went back into credits."""
    return max(0, refunded_minor - (taken_minor - in_credits_minor))


def share(amount_minor: int, part_minor: int, whole_minor: int) -> int:
    """Return a part of an amount in proportion, rounded down; the whole gives all of it."""
    return amount_minor * part_minor // whole_minor


def _take(lots: Iterable[Lot], amount_minor: int) -> list[Move]:
    moves = []
    for lot in lots:
        part = min(lot.remaining_minor, amount_minor)
        if part > 0:
            moves.append(Move(lot.id, -part))
            amount_minor -= part
    return moves


@dataclass(frozen=True, slots=True)
class Leg:
    """One posting, the account by its name in the chart."""

    account: str
    side: Side
    amount_minor: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class Money:
    """What an operation moves: the wallet's side, and what it is in another currency."""

    wallet_id: str
    currency_code: str
    amount_minor: int
    other_minor: int = 0
    other_currency_code: str = ""

    @property
    def crosses(self) -> bool:
        """True when the two sides have different currencies."""
        return self.other_currency_code not in ("", self.currency_code)


def wallet_account(wallet_id: str) -> str:
    """Return the name of a wallet's account."""
    return f"wallet:{wallet_id}"


def source_of(kind: str, *, paid: bool = False, credit_kind: str = "") -> str:
    """Return which account of the chart stands against the wallet's."""
    if kind == TOP_UP:
        return "unapplied_payments" if paid else "cash:manual"
    if kind == GRANT:
        return "promotions" if credit_kind == PROMOTIONAL else "cash:manual"
    if kind == EXPIRE:
        return "promotions" if credit_kind == PROMOTIONAL else "revenue"
    if kind == ADJUST:
        return "adjustments"
    return "revenue"


def legs(money: Money, account: str, *, takes: bool) -> list[Leg]:
    """Return the postings between a wallet and an account, over the clearing accounts if need be.

    Source: a wallet is money owed to its customer, a liability: a debit takes from it.
    """
    wallet_side: Side = "debit" if takes else "credit"
    other_side: Side = "credit" if takes else "debit"
    own, other = money.currency_code, money.other_currency_code
    first = Leg(wallet_account(money.wallet_id), wallet_side, money.amount_minor, own)
    if not money.crosses:
        return [first, Leg(f"{account}:{own}", other_side, money.amount_minor, own)]
    found = [first, Leg(f"fx_clearing:{own}", other_side, money.amount_minor, own)]
    if money.other_minor:
        found += [
            Leg(f"fx_clearing:{other}", wallet_side, money.other_minor, other),
            Leg(f"{account}:{other}", other_side, money.other_minor, other),
        ]
    return found
