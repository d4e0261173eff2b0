"""REST bodies of ledger."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from billplane.chassis.fields import Flag, Instant, Integer
from billplane.chassis.rest import Body, Resource
from billplane.money import MINOR_MAX
from billplane.resources.common import Currency

Text = Annotated[str, StringConstraints(max_length=255)]
LongText = Annotated[str, StringConstraints(max_length=1000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Metadata = Annotated[dict[Text, Text], Field(max_length=50)]
Amount = Annotated[Integer, Field(ge=1, le=MINOR_MAX)]
AmountOrZero = Annotated[Integer, Field(ge=0, le=MINOR_MAX)]
AccountType = Literal["asset", "liability", "income", "expense", "equity"]
Direction = Literal["debit", "credit"]
Phase = Literal["posted", "pending", "released"]
State = Literal["pending", "posted", "voided", "expired"]
Kind = Literal["record", "hold", "commit", "release", "expire", "reverse"]


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must not contain control characters")
    return text


Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)
]


class AccountBody(Body):
    """An account to be."""

    name: Name
    type: AccountType
    currency: Currency
    allow_negative: Flag = False
    credit_limit_minor: AmountOrZero | None = None
    external_id: Identifier | None = None
    metadata: Metadata = Field(default_factory=dict)


class Balance(Resource):
    """An account's balances, positive on the side that its type grows on."""

    account_id: str
    currency: str
    balance_minor: int
    pending_minor: int
    pending_in_minor: int
    pending_out_minor: int
    available_minor: int
    entry_count: int


class Account(Resource):
    """An account and its balances."""

    id: str
    external_id: str | None
    livemode: bool
    name: str
    type: AccountType
    currency: str
    allow_negative: bool
    credit_limit_minor: int | None
    metadata: dict[str, str]
    balance_minor: int
    pending_minor: int
    pending_in_minor: int
    pending_out_minor: int
    available_minor: int
    entry_count: int
    created_at: datetime


class AccountList(Resource):
    """A page of accounts."""

    data: list[Account]
    next_cursor: str | None


class PostingBody(Body):
    """One leg; the currency is the transaction's unless it says another."""

    account_id: Name
    direction: Direction
    amount_minor: Amount
    currency_code: Currency | None = None


class TransactionBody(Body):
    """A transaction to be; pending, it only reserves."""

    postings: list[PostingBody] = Field(min_length=2, max_length=200)
    currency_code: Currency
    description: LongText = ""
    external_id: Identifier | None = None
    pending: Flag = False
    expires_at: Instant | None = None
    rate_id: Text = ""
    metadata: Metadata = Field(default_factory=dict)


class CommitBody(Body):
    """How much of a hold is posted, and whether the rest is given back."""

    amount_minor: Amount | None = None
    final: Flag = False


class ReverseBody(Body):
    """Why a transaction is reversed."""

    description: LongText = ""


class Posting(Resource):
    """One leg."""

    account_id: str
    direction: Direction
    amount_minor: int
    currency_code: str


class Transaction(Resource):
    """A transaction."""

    id: str
    kind: Kind
    state: State
    currency_code: str
    postings: list[Posting]
    external_id: str | None
    description: str
    metadata: dict[str, str]
    parent_id: str | None
    rate_id: str
    recorded_at: datetime
    posted_at: datetime | None
    expires_at: datetime | None
    committed_minor: int
    remaining_minor: int
    balances: list[Balance] | None = None


class TransactionList(Resource):
    """A page of transactions."""

    data: list[Transaction]
    next_cursor: str | None


class Entry(Resource):
    """What a transaction did to an account, and the balances after it."""

    transaction_id: str
    number: int
    direction: Direction
    phase: Phase
    amount_minor: int
    currency_code: str
    balance_minor: int
    pending_in_minor: int
    pending_out_minor: int
    recorded_at: datetime


class EntryList(Resource):
    """A page of entries."""

    data: list[Entry]
    next_cursor: str | None


class TrialBalanceLine(Resource):
    """The sums of some accounts: of one line of the chart, or of a type's others."""

    type: AccountType
    line: str | None
    account_count: int
    debit_minor: int
    credit_minor: int


class TrialBalance(Resource):
    """The sums of the books in one currency."""

    currency: str
    debit_minor: int
    credit_minor: int
    lines: list[TrialBalanceLine]


class TrialBalanceList(Resource):
    """The sums of the books, one a currency."""

    data: list[TrialBalance]
