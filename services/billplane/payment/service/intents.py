"""Payment intents: made, changed, confirmed, captured, given up."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.idempotency import fingerprint
from billplane.chassis.stripe_dialect import StripePage
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.money import UnknownCurrency, parse_currency
from billplane.payment import peers, repository
from billplane.payment.domain import Step, StepRefused, after
from billplane.payment.errors import (
    AttemptRunning,
    PaymentIntentNotFound,
    PaymentIntentUnexpectedState,
    PaymentMethodMissing,
)
from billplane.payment.models import AttemptRow, PaymentIntentRow, PaymentMethodRow
from billplane.payment.providers.base import Method
from billplane.payment.service import attempts, facts, methods
from billplane.payment.service.methods import NewMethod
from billplane.payment.service.objects import intent_object
from billplane.payment.service.outcomes import Done
from billplane.payment.service.state import state_of


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How an intent is to be confirmed."""

    method: NewMethod | None = None
    off_session: bool = False
    return_url: str = ""
    error_on_requires_action: bool = False
    test_default: bool = False
    """Pay by the test Visa where there is no method, in test mode only."""


@dataclass(frozen=True, slots=True)
class NewIntent:
    """A payment intent to be; with a confirmation it is tried at once."""

    amount_minor: int
    currency_code: str
    customer: str = ""
    method: NewMethod | None = None
    capture_method: str = "automatic"
    details: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    top_up_wallet_id: str = ""
    confirmation: Confirmation | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A payment method as it was named: one of ours, or what the processor knows by a token."""

    method_id: str = ""
    found: Method | None = None
    new: NewMethod | None = None


async def create_intent(call: Call, new: NewIntent) -> Done | PaymentIntentRow:
    """Make an intent; one that is confirmed at once answers with where its attempt has come to.

    Raises: Invalid, CustomerNotFound, PaymentMethodNotFound, CardRefused, ScopeMissing.
    Idempotent by: the request's key.
    """
    call.principal.require("payment_intents:write")
    currency = currency_of(new.currency_code)
    customer_id = await peers.customer_id(call, new.customer) if new.customer else ""
    chosen = await _choose(call, new.method)
    if new.confirmation is None:
        tx = await call.last()
        row = await _add(tx, call, new, currency, customer_id)
        await _use(tx, row, chosen)
        await facts.tell_intent(tx, "created", row)
        await tx.session.flush()
        return row
    async with call.writing() as tx:
        await _take_turns(tx, call)
        begun = await attempts.begun_by(tx, call)
        if begun is None:
            row = await _add(tx, call, new, currency, customer_id)
            method = await _use(tx, row, chosen)
            if method is None and new.top_up_wallet_id:
                # A wallet is filled by what the customer's invoices are collected by.
                method = await repository.method_to_collect_by(tx, customer_id)
                if method is not None:
                    _step(row, "attach")
                    row.payment_method_id = method.id
            # As its readers see it first: nothing has been tried.
            await facts.tell_intent(tx, "created", row)
            begun = await _begin(tx, call, row, method, new.confirmation)
    return await attempts.drive(call, begun, again=begun.state in ("unknown", "pending"))


async def _take_turns(tx: Transaction, call: Call) -> None:
    """Let requests of the same key come one after the other, until each knows what was begun."""
    if call.key:
        print_ = fingerprint("KEY", f"{tx.tenant_id}:{tx.livemode}", call.key.encode())
        await repository.take_key(tx, int(print_[:15], 16))


def currency_of(code: str) -> str:
    """Return a currency by its code in either case.

    Raises: Invalid.
    """
    try:
        return str(parse_currency(code.upper()))
    except UnknownCurrency:
        raise Invalid(
            [FieldError("/currency", "CURRENCY_UNKNOWN", f"Invalid currency: {code[:10]}")]
        ) from None


async def _choose(call: Call, method: NewMethod | None) -> Chosen | None:
    if method is None:
        return None
    async with call.reading() as tx:
        if await repository.method(tx, method.token) is not None:
            return Chosen(method_id=method.token)
    return Chosen(found=await methods.look_up(call, method.token), new=method)


async def _use(
    tx: Transaction, row: PaymentIntentRow, chosen: Chosen | None
) -> PaymentMethodRow | None:
    """Give an intent the method that was chosen, or return the one it has."""
    if chosen is None:
        if not row.payment_method_id:
            return None
        return await methods.held_method(tx, row.payment_method_id)
    if chosen.found is not None and chosen.new is not None:
        method = methods.store(tx, chosen.found, row.processor, chosen.new)
        await tx.session.flush()
    else:
        method = await methods.held_method(tx, chosen.method_id, lock=True)
    methods.check_usable(method, row.customer_id)
    if row.customer_id and row.details.get("setup_future_usage"):
        method.customer_id = row.customer_id
    _step(row, "attach")
    row.payment_method_id = method.id
    return method


async def _add(
    tx: Transaction, call: Call, new: NewIntent, currency: str, customer_id: str
) -> PaymentIntentRow:
    intent_id = ids.new("pi")
    row = PaymentIntentRow(
        tenant_id=tx.tenant_id,
        id=intent_id,
        livemode=tx.livemode,
        state="requires_payment_method",
        amount_minor=new.amount_minor,
        amount_capturable_minor=0,
        amount_received_minor=0,
        currency_code=currency,
        customer_id=customer_id,
        payment_method_id="",
        capture_method="manual" if new.capture_method == "manual" else "automatic",
        details=dict(new.details),
        tags={key: value for key, value in new.metadata.items() if value},
        invoice_id="",
        top_up_wallet_id=new.top_up_wallet_id,
        processor=state_of(tx.runtime).processor.name,
        latest_charge_id="",
        client_secret=f"{intent_id}_secret_{secrets.token_hex(12)}",
        cancellation_reason="",
        request_key=attempts.request_key(call),
        created_at=tx.now,
    )
    tx.session.add(row)
    await tx.session.flush()
    return row


async def confirm_intent(call: Call, intent_id: str, how: Confirmation) -> Done:
    """Try to collect an intent.

    Raises: PaymentIntentNotFound, PaymentIntentUnexpectedState, PaymentMethodMissing,
        PaymentMethodNotFound, CardRefused, AttemptRunning, ScopeMissing.
    Idempotent by: the request's key.
    """
    call.principal.require("payment_intents:write")
    method = how.method
    if method is None and how.test_default and not call.principal.livemode:
        async with call.reading() as reading:
            if not (await held_intent(reading, intent_id)).payment_method_id:
                method = NewMethod("pm_card_visa")
    chosen = await _choose(call, method)
    async with call.writing() as tx:
        row = await held_intent(tx, intent_id, lock=True)
        begun = await attempts.begun_by(tx, call)
        if begun is None:
            refuse_running(row)
            found = await _use(tx, row, chosen)
            begun = await _begin(tx, call, row, found, how)
    return await attempts.drive(call, begun, again=begun.state in ("unknown", "pending"))


async def _begin(
    tx: Transaction,
    call: Call,
    row: PaymentIntentRow,
    method: PaymentMethodRow | None,
    how: Confirmation,
    request_key: str = "",
) -> AttemptRow:
    """Begin to collect a locked intent; what waited for its payer is given up."""
    if method is None:
        _step(row, "confirm")
        raise PaymentMethodMissing(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            field="/payment_method",
        )
    await abandon(tx, row)
    _step(row, "confirm")
    row.next_action = None
    task = attempts.Task(
        kind="confirm",
        amount_minor=row.amount_minor,
        method=method,
        # A payer who may not be asked is as good as one who is away.
        off_session=how.off_session or how.error_on_requires_action,
        return_url=how.return_url,
        request_key=request_key or attempts.request_key(call),
    )
    return await attempts.begin(tx, row, task)


async def abandon(tx: Transaction, row: PaymentIntentRow) -> None:
    """End the attempt of an intent that waits for its payer."""
    waiting = await repository.open_attempt(tx, row.id)
    if waiting is not None and waiting.state == "requires_action":
        waiting.state, waiting.finished_at = "abandoned", tx.now
        await tx.session.flush()


def refuse_running(row: PaymentIntentRow) -> None:
    """Let the attempt that runs come to its end first.

    Raises: AttemptRunning.
    """
    if row.state == "processing":
        raise AttemptRunning(
            "Another request works on this payment intent at the moment.", retry_after_seconds=1
        )


def _step(row: PaymentIntentRow, step: Step) -> None:
    try:
        row.state = after(row.state, step)
    except StepRefused:
        raise unexpected(row, step) from None


def unexpected(row: PaymentIntentRow, step: str) -> PaymentIntentUnexpectedState:
    """Make the error of an intent whose state does not allow a step."""
    return PaymentIntentUnexpectedState(
        f"This PaymentIntent's status is {row.state}; it cannot {step.replace('_', ' ')} now.",
        metadata={"stripe": {"payment_intent": intent_object(row)}},
    )


async def update_intent(
    call: Call, intent_id: str, changes: dict[str, Any], method: NewMethod | None
) -> PaymentIntentRow:
    """Change an intent that nothing was collected for.

    Raises: PaymentIntentNotFound, PaymentIntentUnexpectedState, CustomerNotFound,
        PaymentMethodNotFound, ScopeMissing.
    """
    call.principal.require("payment_intents:write")
    customer = changes.get("customer")
    customer_id = await peers.customer_id(call, customer) if customer else ""
    chosen = await _choose(call, method)
    tx = await call.last()
    row = await held_intent(tx, intent_id, lock=True)
    if set(changes) - {"metadata", "details"} or chosen is not None:
        _step_possible(row)
    if row.state == "requires_action" and ("amount_minor" in changes or "currency" in changes):
        # What the payer was asked about is not what will be collected.
        await abandon(tx, row)
        row.next_action = None
        _step(row, "attach")
    if changes.get("amount_minor"):
        row.amount_minor = changes["amount_minor"]
    if changes.get("currency"):
        row.currency_code = currency_of(changes["currency"])
    if customer_id:
        row.customer_id = customer_id
    if "metadata" in changes:
        row.tags = merged(row.tags, changes["metadata"])
    if "details" in changes:
        row.details = {**row.details, **changes["details"]}
    if chosen is not None:
        await abandon(tx, row)
        row.next_action = None
        await _use(tx, row, chosen)
    await tx.session.flush()
    return row


def _step_possible(row: PaymentIntentRow) -> None:
    if row.state not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise unexpected(row, "be updated")


async def get_intent(tx: ReadTransaction, intent_id: str) -> PaymentIntentRow:
    """Return an intent.

    Raises: PaymentIntentNotFound, ScopeMissing.
    """
    tx.authorize("payment_intents:read")
    return await held_intent(tx, intent_id)


async def held_intent(
    tx: ReadTransaction, intent_id: str, *, lock: bool = False
) -> PaymentIntentRow:
    """Return an intent, locked where it is to change.

    Raises: PaymentIntentNotFound.
    """
    row = await repository.intent(tx, intent_id, lock=lock)
    if row is None:
        raise PaymentIntentNotFound(f"No such payment_intent: '{intent_id}'", field="/intent")
    return row


async def list_intents(
    tx: ReadTransaction, page: StripePage, customer_id: str
) -> tuple[Sequence[PaymentIntentRow], bool]:
    """Return a page of intents.

    Raises: ScopeMissing.
    """
    tx.authorize("payment_intents:read")
    return await repository.list_intents(tx, page, customer_id)


async def list_attempts(tx: ReadTransaction, intent_id: str) -> Sequence[AttemptRow]:
    """Return what was tried for an intent.

    Raises: PaymentIntentNotFound, ScopeMissing.
    """
    tx.authorize("payment_intents:read")
    await held_intent(tx, intent_id)
    return await repository.attempts(tx, intent_id)
