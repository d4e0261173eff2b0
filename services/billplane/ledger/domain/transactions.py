"""What a transaction must be before the database is asked; what a balance means."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from billplane.chassis.errors import FieldError, Invalid
from billplane.ledger.errors import TransactionUnbalanced
from billplane.money import MINOR_MAX, CurrencyCode, UnknownCurrency, parse_currency

Direction = Literal["debit", "credit"]
Kind = Literal["record", "hold", "commit", "release", "expire", "reverse"]
POSTINGS_MAX = 200
GROW_BY_DEBIT = frozenset({"asset", "expense"})
OPPOSITE: Mapping[Direction, Direction] = {"debit": "credit", "credit": "debit"}


class Posting(NamedTuple):
    """One leg: `account` is an id, or an external_id until it was looked up."""

    account: str
    direction: Direction
    amount_minor: int
    currency_code: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """What never changes of an account."""

    id: str
    type: str
    currency_code: str


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's balances, positive on the side that its type grows on."""

    account_id: str
    currency_code: str
    balance_minor: int
    pending_in_minor: int
    pending_out_minor: int
    entry_count: int

    @property
    def available_minor(self) -> int:
        """What may still be taken before the balance is used up: a limit is not counted in."""
        return self.balance_minor - self.pending_out_minor

    @property
    def pending_minor(self) -> int:
        """What the balance would change by if everything pending were posted."""
        return self.pending_in_minor - self.pending_out_minor


@dataclass(frozen=True, slots=True)
class TrialLine:
    """What accounts of one type and currency hold; `line` is the chart's, '' for all others."""

    currency_code: str
    type: str
    line: str
    account_count: int
    debit_minor: int
    credit_minor: int


@dataclass(slots=True)
class NewTransaction:
    """What somebody wants recorded; a hold when it is pending."""

    postings: Sequence[Posting]
    currency_code: str
    external_id: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    rate_id: str = ""
    pending: bool = False
    expires_at: datetime | None = None


def read_currency(code: str, where: str) -> CurrencyCode:
    """Read a currency code.

    Raises: Invalid.
    """
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError(where, "CURRENCY_UNKNOWN", str(error))]) from None


def check_shape(new: NewTransaction) -> None:
    """Refuse what can be refused without knowing the accounts.

    Raises: Invalid naming every bad field.
    """
    errors = []
    if not 2 <= len(new.postings) <= POSTINGS_MAX:
        detail = f"a transaction has 2 to {POSTINGS_MAX} postings"
        errors.append(FieldError("/postings", "POSTINGS_OUT_OF_RANGE", detail))
    for index, posting in enumerate(new.postings):
        if not 1 <= posting.amount_minor <= MINOR_MAX:
            detail = f"an amount is 1 to {MINOR_MAX} minor units; the direction is its sign"
            errors.append(
                FieldError(f"/postings/{index}/amount_minor", "AMOUNT_OUT_OF_RANGE", detail)
            )
        if posting.direction not in OPPOSITE:
            detail = "a posting is a debit or a credit"
            errors.append(FieldError(f"/postings/{index}/direction", "FIELD_INVALID", detail))
    if new.expires_at is not None and not new.pending:
        detail = "only a pending transaction expires"
        errors.append(FieldError("/expires_at", "FIELD_INVALID", detail))
    if errors:
        raise Invalid(errors)


def check_currencies(new: NewTransaction, accounts: Mapping[str, Account]) -> list[Posting]:
    """Return the postings by account id, balanced in each currency.

    Raises: Invalid for an account of another currency or a missing rate, TransactionUnbalanced.
    """
    found, errors = [], []
    sums: dict[str, int] = {}
    for index, posting in enumerate(new.postings):
        account = accounts[posting.account]
        currency = posting.currency_code or new.currency_code
        if account.currency_code != currency:
            detail = f"the account {posting.account} is kept in {account.currency_code}"
            where = f"/postings/{index}/account_id"
            errors.append(FieldError(where, "CURRENCY_MISMATCH", detail))
        signed = posting.amount_minor if posting.direction == "debit" else -posting.amount_minor
        sums[currency] = sums.get(currency, 0) + signed
        found.append(Posting(account.id, posting.direction, posting.amount_minor, currency))
    if len(sums) > 1 and not new.rate_id:
        detail = "a transaction in several currencies names the rate between them"
        errors.append(FieldError("/rate_id", "FIELD_REQUIRED", detail))
    if errors:
        raise Invalid(errors)
    off = {currency: difference for currency, difference in sums.items() if difference}
    if off:
        told = ", ".join(f"{difference} {currency}" for currency, difference in off.items())
        raise TransactionUnbalanced(
            f"debits less credits must be 0 in each currency, and are {told} minor units",
            field="/postings",
            metadata=off,
        )
    return found


def is_divisible(postings: Sequence[Posting]) -> bool:
    """True for a hold that can be posted in parts: one debit, one credit, two accounts."""
    return len(postings) == 2 and postings[0].account != postings[1].account


def total_of(postings: Sequence[Posting]) -> int:
    """Return the sum of the debits."""
    return sum(posting.amount_minor for posting in postings if posting.direction == "debit")


def fingerprint(new: NewTransaction, postings: Sequence[Posting]) -> str:
    """Hash the money of a transaction: whoever records it again may describe it otherwise."""
    legs = [[p.account, p.direction, p.amount_minor, p.currency_code] for p in postings]
    content = json.dumps([new.pending, legs], separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def mirrored(postings: Sequence[Posting]) -> list[Posting]:
    """Return the postings that undo some."""
    return [
        Posting(item.account, OPPOSITE[item.direction], item.amount_minor, item.currency_code)
        for item in postings
    ]
