"""What billing_core asks of ledger, payment, pricing, exchange_rate and subscription."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from billplane.billing_core.domain import Leg
from billplane.chassis.call import Call
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.rpc import to_timestamp
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2, exchange_rate_pb2_grpc
from billplane.protos.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from billplane.protos.payment.v1 import payment_pb2, payment_pb2_grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc

_SIDES = {"debit": ledger_pb2.DIRECTION_DEBIT, "credit": ledger_pb2.DIRECTION_CREDIT}


@dataclass(frozen=True, slots=True)
class Account:
    """What the ledger says of a wallet's account, at one of its entries."""

    id: str
    posted_minor: int
    reserved_minor: int
    entries: int


@dataclass(frozen=True, slots=True)
class Posted:
    """What the ledger recorded; no account where it does not tell."""

    transaction_id: str
    account: Account | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as its owner knows it."""

    id: str
    external_id: str
    name: str
    email: str
    locale: str


@dataclass(frozen=True, slots=True)
class Amount:
    """Minor units of a currency, and the stored rates that made them."""

    minor: int
    currency_code: str
    rate_id: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What payment says of an intent."""

    id: str
    state: str
    received_minor: int
    currency_code: str
    customer_id: str
    invoice_id: str
    failure: str


class Asker(Protocol):
    """A transaction or a call: what can ask a peer."""

    @property
    def runtime(self) -> Any:
        """The service's runtime."""

    async def ask(self, method: Any, request: Any) -> Any:
        """Call a peer."""


def _ledger(call: Call) -> "ledger_pb2_grpc.LedgerServiceAsyncStub":
    return ledger_pb2_grpc.LedgerServiceStub(call.runtime.channels.get("ledger"))


async def open_account(
    call: Call, *, name: str, title: str, currency_code: str, overdraft_minor: int
) -> Account:
    """Open a wallet's account, or find it where it was opened before.

    Raises: the peer's error.
    Idempotent by: the name.
    """
    request = ledger_pb2.CreateAccountRequest(
        name=title,
        type=ledger_pb2.ACCOUNT_TYPE_LIABILITY,
        currency_code=currency_code,
        allow_negative=overdraft_minor > 0,
        external_id=name,
    )
    if overdraft_minor:
        request.credit_limit_minor = overdraft_minor
    try:
        opened = await call.ask(_ledger(call).CreateAccount, request)
    except PeerError as error:
        if error.reason != "EXTERNAL_ID_REUSED":
            raise
        found = await call.ask(_ledger(call).GetAccount, ledger_pb2.GetAccountRequest(id=name))
        return _account(found.account.balance)
    return _account(opened.account.balance)


async def account(call: Call, account_id: str) -> Account:
    """Return what the ledger says of an account now."""
    request = ledger_pb2.GetBalanceRequest(account_id=account_id)
    return _account((await call.ask(_ledger(call).GetBalance, request)).balance)


async def record(
    call: Call,
    legs: Sequence[Leg],
    *,
    operation_id: str,
    account_id: str,
    description: str,
    rate_id: str,
    hold: bool = False,
) -> Posted:
    """Post some legs, or reserve them; once an operation.

    Raises: the peer's error.
    Idempotent by: the operation, as request and as external id.
    """
    request = ledger_pb2.HoldTransactionRequest if hold else ledger_pb2.RecordTransactionRequest
    method: Any = _ledger(call).HoldTransaction if hold else _ledger(call).RecordTransaction
    answer = await call.ask(
        method,
        request(
            request_id=operation_id,
            external_id=operation_id,
            currency_code=legs[0].currency_code,
            description=description,
            rate_id=rate_id,
            postings=[
                ledger_pb2.Posting(
                    account_id=leg.account,
                    direction=_SIDES[leg.side],
                    amount_minor=leg.amount_minor,
                    currency_code=leg.currency_code,
                )
                for leg in legs
            ],
        ),
    )
    return Posted(answer.transaction.id, _of_wallet(answer.balances, account_id))


async def commit_hold(
    call: Call, hold_id: str, *, amount_minor: int, final: bool, operation_id: str, account_id: str
) -> Posted:
    """Post a part of a hold; once an operation.

    Raises: the peer's error.
    Idempotent by: the operation, as long as the ledger keeps request ids.
    """
    request = ledger_pb2.CommitHoldRequest(
        request_id=operation_id, id=hold_id, amount_minor=amount_minor, final=final
    )
    answer = await call.ask(_ledger(call).CommitHold, request)
    return Posted(answer.transaction.id, _of_wallet(answer.balances, account_id))


async def release_hold(call: Call, hold_id: str, *, operation_id: str, account_id: str) -> Posted:
    """Give back what a hold still reserves; once an operation.

    Raises: the peer's error.
    """
    request = ledger_pb2.ReleaseHoldRequest(request_id=operation_id, id=hold_id)
    answer = await call.ask(_ledger(call).ReleaseHold, request)
    return Posted(answer.hold.id, _of_wallet(answer.balances, account_id))


async def held_and_posted(call: Call, hold_id: str) -> tuple[int, int]:
    """Return what a hold still reserves and what was posted of it."""
    request = ledger_pb2.GetTransactionRequest(id=hold_id)
    hold = (await call.ask(_ledger(call).GetTransaction, request)).transaction
    return hold.remaining_minor, hold.committed_minor


async def find_customer(asker: Asker, name: str) -> Customer | None:
    """Return a customer by id or external id, None for one that nobody knows.

    Raises: the peer's error.
    """
    channel = asker.runtime.channels.get("subscription")
    stub = subscription_pb2_grpc.SubscriptionServiceStub(channel)
    try:
        answer = await asker.ask(stub.GetCustomer, subscription_pb2.GetCustomerRequest(id=name))
    except PeerError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        return None
    found = answer.customer
    return Customer(found.id, found.external_id, found.name, found.email, found.locale)


async def price(
    call: Call, *, plan: str, meter: str, quantity: str, currency_code: str, at: datetime
) -> Amount:
    """Return what a quantity of a meter costs on a plan, in the plan's currency when none is given.

    Raises: the peer's error.
    """
    stub = pricing_pb2_grpc.PricingServiceStub(call.runtime.channels.get("pricing"))
    request = pricing_pb2.CalculatePriceRequest(
        plan_id=plan,
        meter=meter,
        quantity=quantity,
        currency_code=currency_code,
        at=to_timestamp(at),
    )
    answer = await call.ask(stub.CalculatePrice, request)
    return Amount(answer.total_minor, answer.currency_code, answer.rate_id)


async def convert(call: Call, amount: Amount, to: str, at: datetime) -> Amount:
    """Return an amount in another currency, rounded half up, with the rates that it took.

    Raises: the peer's error.
    """
    channel = call.runtime.channels.get("exchange_rate")
    stub = exchange_rate_pb2_grpc.ExchangeRateServiceStub(channel)
    request = exchange_rate_pb2.ConvertRequest(
        amount_minor=amount.minor, currency_code=amount.currency_code, to=to, at=to_timestamp(at)
    )
    answer = await call.ask(stub.Convert, request)
    return Amount(answer.amount_minor, answer.currency_code, ",".join(answer.rate.rate_ids))


def _payment(call: Call) -> "payment_pb2_grpc.PaymentServiceAsyncStub":
    return payment_pb2_grpc.PaymentServiceStub(call.runtime.channels.get("payment"))


async def intent(call: Call, intent_id: str) -> Intent:
    """Return what payment says of an intent.

    Raises: the peer's error.
    """
    request = payment_pb2.GetPaymentIntentRequest(id=intent_id)
    return _intent((await call.ask(_payment(call).GetPaymentIntent, request)).payment_intent)


async def collect_top_up(
    call: Call,
    *,
    wallet_id: str,
    customer_id: str,
    amount_minor: int,
    currency_code: str,
    request_id: str,
) -> Intent:
    """Collect an amount from the customer's default payment method, for a wallet.

    Raises: the peer's error.
    Idempotent by: the request id.
    """
    request = payment_pb2.CreatePaymentIntentRequest(
        request_id=request_id,
        amount_minor=amount_minor,
        currency_code=currency_code,
        customer_id=customer_id,
        confirm=True,
        off_session=True,
        top_up_wallet_id=wallet_id,
    )
    made = await call.ask(_payment(call).CreatePaymentIntent, request, timeout_seconds=30)
    return _intent(made.payment_intent)


def _intent(found: payment_pb2.PaymentIntent) -> Intent:
    return Intent(
        id=found.id,
        state=found.state,
        received_minor=found.amount_received_minor,
        currency_code=found.currency_code.upper(),
        customer_id=found.customer_id,
        invoice_id=found.invoice_id,
        failure=found.decline_code or found.failure_code,
    )


def _account(balance: ledger_pb2.Balance) -> Account:
    return Account(
        balance.account_id, balance.balance_minor, balance.pending_out_minor, balance.entry_count
    )


def _of_wallet(balances: Sequence[ledger_pb2.Balance], account_id: str) -> Account | None:
    return next((_account(item) for item in balances if item.account_id == account_id), None)
