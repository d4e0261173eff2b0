"""REST bodies of billing_core."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from billplane.chassis.fields import Flag, Instant, Integer
from billplane.chassis.rest import Body, Resource
from billplane.money import MINOR_MAX
from billplane.resources.common import Currency

Text = Annotated[str, StringConstraints(max_length=255)]
LongText = Annotated[str, StringConstraints(max_length=1000)]
Metadata = Annotated[dict[Text, Text], Field(max_length=50)]
Amount = Annotated[Integer, Field(ge=1, le=MINOR_MAX)]
AmountOrZero = Annotated[Integer, Field(ge=0, le=MINOR_MAX)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
Seconds = Annotated[Integer, Field(ge=1, le=31 * 86_400)]
CreditKind = Literal["promotional", "purchased"]
OperationKind = Literal["top_up", "grant", "adjust", "expire", "charge", "commit", "refund"]
PRIORITY_USUAL, PRIORITY_MAX = 100, 1_000_000


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must not contain control characters")
    return text


def _other_than_zero(amount: int) -> int:
    if amount == 0:
        raise ValueError("must not be 0")
    return amount


Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)
]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"\S")]
Change = Annotated[Integer, Field(ge=-MINOR_MAX, le=MINOR_MAX), AfterValidator(_other_than_zero)]


class AutoTopUp(Body):
    """Below what a wallet is filled, and by how much."""

    below_minor: AmountOrZero
    amount_minor: Amount


class WalletBody(Body):
    """A wallet to be."""

    customer_id: Identifier
    currency_code: Currency
    overdraft_minor: AmountOrZero = 0
    low_balance_minor: AmountOrZero | None = None
    auto_top_up: AutoTopUp | None = None
    metadata: Metadata = Field(default_factory=dict)


class WalletChangeBody(Body):
    """What is to be different; null switches off."""

    low_balance_minor: AmountOrZero | None = None
    auto_top_up: AutoTopUp | None = None
    metadata: Metadata | None = None


class TopUpBody(Body):
    """Money that was paid: by a payment, or added by hand for a reason."""

    amount_minor: Amount
    payment_intent_id: Text = ""
    manual_reason: LongText = ""
    reference: Text = ""


class GrantBody(Body):
    """Credit to give; the lower the priority, the sooner it is used."""

    amount_minor: Amount
    kind: CreditKind
    priority: Annotated[Integer, Field(ge=0, le=PRIORITY_MAX)] = PRIORITY_USUAL
    expires_at: Instant | None = None
    reference: Text = ""
    description: LongText = ""


class AdjustBody(Body):
    """A correction; a negative amount takes."""

    amount_minor: Change
    reason: Reason
    reference: Text = ""


class PriceBody(Body):
    """A quantity of a meter on a plan."""

    plan: Identifier
    meter: Identifier
    quantity: Quantity


class ChargeBody(Body):
    """What to take: an amount, or the price of a usage."""

    amount_minor: Amount | None = None
    price: PriceBody | None = None
    currency_code: Currency | None = None
    reference: Text = ""
    description: LongText = ""
    invoice_id: Text = ""
    partial: Flag = False


class ReserveBody(Body):
    """What to set aside: an amount, or the price of a usage."""

    amount_minor: Amount | None = None
    price: PriceBody | None = None
    currency_code: Currency | None = None
    ttl_seconds: Seconds | None = None
    reference: Text = ""
    description: LongText = ""


class CommitBody(Body):
    """How much of what is set aside is taken, and whether the rest is freed."""

    amount_minor: Amount | None = None
    final: Flag = False
    reference: Text = ""


class RefundBody(Body):
    """How much of what was taken is given back; all that is left of it by default."""

    amount_minor: Amount | None = None
    reason: LongText = ""
    reference: Text = ""


class Credit(Resource):
    """Credit with a priority and an end."""

    id: str
    kind: CreditKind
    granted_minor: int
    remaining_minor: int
    priority: int
    expires_at: datetime | None


class Balance(Resource):
    """What a wallet holds, in the order in which credits are used."""

    wallet_id: str
    currency_code: str
    posted_minor: int
    reserved_minor: int
    available_minor: int
    credits: list[Credit]
    as_of: datetime


class Wallet(Resource):
    """A customer's prepaid balance in a currency."""

    id: str
    livemode: bool
    customer_id: str
    currency_code: str
    state: Literal["opening", "active", "closed"]
    overdraft_minor: int
    low_balance_minor: int | None
    auto_top_up: AutoTopUp | None
    metadata: dict[str, str]
    balance: Balance
    created_at: datetime


class WalletList(Resource):
    """A page of wallets."""

    data: list[Wallet]
    next_cursor: str | None


class Operation(Resource):
    """Something that moved a balance: a positive amount added, a negative one took."""

    id: str
    wallet_id: str
    kind: OperationKind
    state: Literal["pending", "done"]
    amount_minor: int
    currency_code: str
    charged_minor: int | None
    charged_currency_code: str | None
    refunded_minor: int
    reference: str
    description: str
    reservation_id: str | None
    refunded_operation_id: str | None
    invoice_id: str | None
    payment_intent_id: str | None
    credit_note_id: str | None
    transaction_id: str | None
    rate_id: str | None
    created_at: datetime


class OperationList(Resource):
    """A page of operations."""

    data: list[Operation]
    next_cursor: str | None


class Moved(Resource):
    """The operation and the balance after it; no operation where there was nothing to take."""

    operation: Operation | None
    balance: Balance | None


class Granted(Moved):
    """The operation, the credit and the balance after it."""

    credit: Credit


class Reservation(Resource):
    """Money set aside."""

    id: str
    wallet_id: str
    state: Literal["open", "committed", "released", "expired"]
    amount_minor: int
    committed_minor: int
    remaining_minor: int
    currency_code: str
    reference: str
    description: str
    rate_id: str | None
    expires_at: datetime
    created_at: datetime


class Reserved(Resource):
    """The reservation and the balance after it."""

    reservation: Reservation
    balance: Balance


class Committed(Reserved):
    """The operation, the reservation and the balance after it."""

    operation: Operation


class Released(Reserved):
    """What was freed, the reservation and the balance after it."""

    released_minor: int
