"""REST of billing_core."""

from typing import Annotated, Any

from fastapi import Query, Response

from billplane.billing_core import schemas
from billplane.billing_core.models import OperationRow
from billplane.billing_core.service import books, operations, reservations, wallets
from billplane.billing_core.service.amounts import Price, Wanted
from billplane.billing_core.service.operations import NewCredit
from billplane.billing_core.service.running import Done
from billplane.billing_core.service.wallets import NewWallet, Shown, Target
from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router

rest = router(tags=["billing_core"])


@rest.post("/v1/wallets", status_code=201)
async def create_wallet(
    body: schemas.WalletBody, call: Steps, response: Response
) -> schemas.Wallet:
    """Open a wallet, or return the one that the customer has in the currency."""
    auto = body.auto_top_up
    new = NewWallet(
        customer_id=body.customer_id,
        currency_code=body.currency_code,
        overdraft_minor=body.overdraft_minor,
        low_balance_minor=body.low_balance_minor,
        auto_below_minor=auto.below_minor if auto else None,
        auto_amount_minor=auto.amount_minor if auto else None,
        metadata=body.metadata,
    )
    shown = await wallets.create_wallet(call, new)
    response.headers["Location"] = f"/v1/wallets/{shown.wallet.id}"
    return _wallet(shown)


@rest.get("/v1/wallets")
async def list_wallets(
    tx: Reader, page: PageQuery, customer_id: Annotated[str, Query(max_length=255)] = ""
) -> schemas.WalletList:
    """List wallets."""
    found, cursor = await wallets.list_wallets(tx, customer_id, page)
    return schemas.WalletList(**listing([_wallet(item) for item in found], cursor))


@rest.post("/v1/wallets/{wallet_id}:top_up")
async def top_up(wallet_id: str, body: schemas.TopUpBody, call: Steps) -> schemas.Moved:
    """Add money that was paid."""
    done = await operations.top_up_wallet(
        call,
        Target(wallet_id=wallet_id),
        amount_minor=body.amount_minor,
        payment_intent_id=body.payment_intent_id,
        manual_reason=body.manual_reason,
        reference=body.reference,
    )
    return _moved(done)


@rest.post("/v1/wallets/{wallet_id}:grant")
async def grant_credit(wallet_id: str, body: schemas.GrantBody, call: Steps) -> schemas.Granted:
    """Add credit with a priority and an end."""
    new = NewCredit(body.amount_minor, body.kind, body.priority, body.expires_at)
    done = await operations.grant_credit(
        *(call, Target(wallet_id=wallet_id), new),
        reference=body.reference,
        description=body.description,
    )
    return schemas.Granted.model_validate(_told(done))


@rest.post("/v1/wallets/{wallet_id}:adjust")
async def adjust_balance(wallet_id: str, body: schemas.AdjustBody, call: Steps) -> schemas.Moved:
    """Correct a balance by hand."""
    done = await operations.adjust_balance(
        call,
        Target(wallet_id=wallet_id),
        amount_minor=body.amount_minor,
        reason=body.reason,
        reference=body.reference,
    )
    return _moved(done)


@rest.post("/v1/wallets/{wallet_id}:charge")
async def charge(wallet_id: str, body: schemas.ChargeBody, call: Steps) -> schemas.Moved:
    """Take an amount, or the price of a usage."""
    charged = await operations.charge_wallet(
        call,
        Target(currency_code=body.currency_code or "", wallet_id=wallet_id),
        _wanted(body),
        reference=body.reference,
        description=body.description,
        invoice_id=body.invoice_id,
        partial=body.partial,
    )
    return _moved(charged.done)


@rest.post("/v1/wallets/{wallet_id}:reserve", status_code=201)
async def reserve(
    wallet_id: str, body: schemas.ReserveBody, call: Steps, response: Response
) -> schemas.Reserved:
    """Set aside an amount, or the price of a usage."""
    done = await reservations.reserve_amount(
        call,
        Target(currency_code=body.currency_code or "", wallet_id=wallet_id),
        _wanted(body),
        ttl_seconds=body.ttl_seconds or 0,
        reference=body.reference,
        description=body.description,
    )
    reserved = schemas.Reserved.model_validate(_told(done))
    response.headers["Location"] = f"/v1/reservations/{reserved.reservation.id}"
    return reserved


@rest.get("/v1/wallets/{wallet_id}/operations")
async def list_operations(wallet_id: str, tx: Reader, page: PageQuery) -> schemas.OperationList:
    """List what moved a wallet's balance."""
    rows, cursor = await wallets.list_operations(tx, wallet_id, page)
    return schemas.OperationList(**listing([_operation(row) for row in rows], cursor))


@rest.post("/v1/wallets/{wallet_id}/operations/{operation_id}:refund")
async def refund_operation(
    wallet_id: str, operation_id: str, call: Steps, body: schemas.RefundBody | None = None
) -> schemas.Moved:
    """Give back what a charge or a commit took, all or a part."""
    asked = body or schemas.RefundBody()
    done = await operations.refund_operation(
        call,
        operation_id,
        wallet_id=wallet_id,
        amount_minor=asked.amount_minor or 0,
        reason=asked.reason,
        reference=asked.reference,
    )
    return _moved(done)


@rest.get("/v1/wallets/{wallet_id}/operations/{operation_id}")
async def get_operation(wallet_id: str, operation_id: str, tx: Reader) -> schemas.Operation:
    """Return one operation."""
    return _operation(await wallets.get_operation(tx, operation_id, wallet_id))


@rest.get("/v1/wallets/{wallet_id}")
async def get_wallet(wallet_id: str, tx: Reader) -> schemas.Wallet:
    """Return one wallet with its balance."""
    return _wallet(await wallets.get_wallet(tx, wallet_id))


@rest.patch("/v1/wallets/{wallet_id}")
async def update_wallet(
    wallet_id: str, body: schemas.WalletChangeBody, tx: Writer
) -> schemas.Wallet:
    """Change when a wallet is low, how it is filled, and its metadata."""
    changes: dict[str, Any] = {}
    given = body.model_fields_set
    if "low_balance_minor" in given:
        changes["low_balance_minor"] = body.low_balance_minor
    if "auto_top_up" in given:
        auto = body.auto_top_up
        changes["auto_below_minor"] = auto.below_minor if auto else None
        changes["auto_amount_minor"] = auto.amount_minor if auto else None
    if body.metadata is not None:
        changes["tags"] = body.metadata
    return _wallet(await wallets.update_wallet(tx, wallet_id, changes))


@rest.post("/v1/reservations/{reservation_id}:commit")
async def commit(
    reservation_id: str, call: Steps, body: schemas.CommitBody | None = None
) -> schemas.Committed:
    """Take all or a part of what is set aside."""
    asked = body or schemas.CommitBody()
    done = await reservations.commit_reservation(
        *(call, reservation_id),
        amount_minor=asked.amount_minor,
        final=asked.final,
        reference=asked.reference,
    )
    return schemas.Committed.model_validate(_told(done))


@rest.post("/v1/reservations/{reservation_id}:release")
async def release(reservation_id: str, call: Steps) -> schemas.Released:
    """Free what is still set aside."""
    done = await reservations.release_reservation(call, reservation_id)
    return schemas.Released.model_validate(_told(done))


@rest.get("/v1/reservations/{reservation_id}")
async def get_reservation(reservation_id: str, tx: Reader) -> schemas.Reservation:
    """Return one reservation."""
    row = await reservations.get_reservation(tx, reservation_id)
    return _reservation(books.tell_reservation(row))


def _wanted(body: schemas.ChargeBody | schemas.ReserveBody) -> Wanted:
    price = body.price
    return Wanted(
        body.amount_minor, Price(price.plan, price.meter, price.quantity) if price else None
    )


def _moved(done: Done) -> schemas.Moved:
    return schemas.Moved.model_validate(_told(done))


def _told(done: Done) -> dict[str, Any]:
    told: dict[str, Any] = {"balance": None, **done.result}
    row = done.operation
    # What only sets money aside, or frees it, is told by its reservation.
    told["operation"] = _operation(row) if row is not None and row.amount_minor else None
    if "reservation" in told:
        told["reservation"] = _reservation(told["reservation"])
    return told


def _reservation(told: dict[str, Any]) -> schemas.Reservation:
    # An operation that opens or closes one has not ended yet while it is still told as open.
    return schemas.Reservation.model_validate({**told, "rate_id": told["rate_id"] or None})


def _wallet(shown: Shown) -> schemas.Wallet:
    row = shown.wallet
    auto = None
    if row.auto_below_minor is not None:
        auto = {"below_minor": row.auto_below_minor, "amount_minor": row.auto_amount_minor}
    return schemas.Wallet.model_validate(
        {
            "id": row.id,
            "livemode": row.livemode,
            "customer_id": row.customer_id,
            "currency_code": row.currency_code,
            "state": row.state,
            "overdraft_minor": row.overdraft_minor,
            "low_balance_minor": row.low_balance_minor,
            "auto_top_up": auto,
            "metadata": row.tags,
            "balance": shown.balance,
            "created_at": row.created_at,
        }
    )


def _operation(row: OperationRow) -> schemas.Operation:
    return schemas.Operation.model_validate(
        {
            **{name: getattr(row, name, None) for name in schemas.Operation.model_fields},
            "charged_minor": row.other_minor or None,
            "charged_currency_code": row.other_currency_code or None,
            "reservation_id": row.reservation_id or None,
            "refunded_operation_id": row.refunded_id or None,
            "invoice_id": row.invoice_id or None,
            "payment_intent_id": row.payment_intent_id or None,
            "credit_note_id": row.credit_note_id or None,
            "transaction_id": row.transaction_id or None,
            "rate_id": row.rate_id or None,
        }
    )
