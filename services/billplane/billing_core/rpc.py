"""gRPC of billing_core."""

from datetime import datetime
from typing import Any

from billplane.billing_core import schemas
from billplane.billing_core.models import OperationRow, WalletRow
from billplane.billing_core.service import books, operations, reservations, wallets
from billplane.billing_core.service.amounts import Price, Wanted
from billplane.billing_core.service.operations import NewCredit
from billplane.billing_core.service.wallets import NewWallet, Target
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.protos.billing_core.v1 import billing_core_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["BillingService"])


@rpc.steps
async def CreateWallet(call: Call, request: pb.CreateWalletRequest) -> pb.CreateWalletResponse:
    """Open a wallet, or return the one that is there."""
    auto = request.auto_top_up if request.HasField("auto_top_up") else None
    low = request.low_balance_minor if request.HasField("low_balance_minor") else None
    body = parse_body(
        schemas.WalletBody,
        {
            "customer_id": request.customer_id,
            "currency_code": request.currency_code,
            "overdraft_minor": request.overdraft_minor,
            "low_balance_minor": low,
            "auto_top_up": auto
            and {"below_minor": auto.below_minor, "amount_minor": auto.amount_minor},
            "metadata": dict(request.metadata),
        },
    )
    given = body.auto_top_up
    new = NewWallet(
        customer_id=body.customer_id,
        currency_code=body.currency_code,
        overdraft_minor=body.overdraft_minor,
        low_balance_minor=body.low_balance_minor,
        auto_below_minor=given.below_minor if given else None,
        auto_amount_minor=given.amount_minor if given else None,
        metadata=body.metadata,
    )
    shown = await wallets.create_wallet(call, new)
    return pb.CreateWalletResponse(wallet=_wallet(shown.wallet))


@rpc.read
async def ListWallets(
    tx: ReadTransaction, request: pb.ListWalletsRequest
) -> pb.ListWalletsResponse:
    """List wallets."""
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await wallets.list_wallets(tx, request.customer_id, page)
    return pb.ListWalletsResponse(
        wallets=[_wallet(item.wallet) for item in found], next_page_token=cursor or ""
    )


@rpc.steps
async def TopUp(call: Call, request: pb.TopUpRequest) -> pb.TopUpResponse:
    """Add money that was paid."""
    body = parse_body(
        schemas.TopUpBody,
        {
            "amount_minor": request.amount_minor,
            "payment_intent_id": request.payment_intent_id,
            "manual_reason": request.manual_reason,
            "reference": request.reference,
        },
    )
    done = await operations.top_up_wallet(call, _target(request), **body.model_dump())
    return pb.TopUpResponse(operation_id=_id(done.operation), balance=_balance(done.result))


@rpc.steps
async def GrantCredit(call: Call, request: pb.GrantCreditRequest) -> pb.GrantCreditResponse:
    """Add credit that was given or bought."""
    body = parse_body(
        schemas.GrantBody,
        {
            "amount_minor": request.amount_minor,
            "kind": request.kind,
            "priority": request.priority,
            "expires_at": from_timestamp(request, "expires_at"),
            "reference": request.reference,
            "description": request.description,
        },
    )
    new = NewCredit(body.amount_minor, body.kind, body.priority, body.expires_at)
    done = await operations.grant_credit(
        *(call, _target(request), new), reference=body.reference, description=body.description
    )
    return pb.GrantCreditResponse(
        operation_id=_id(done.operation),
        credit=_credit(done.result["credit"]),
        balance=_balance(done.result),
    )


@rpc.steps
async def AdjustBalance(call: Call, request: pb.AdjustBalanceRequest) -> pb.AdjustBalanceResponse:
    """Correct a balance by hand."""
    body = parse_body(
        schemas.AdjustBody,
        {
            "amount_minor": request.amount_minor,
            "reason": request.reason,
            "reference": request.reference,
        },
    )
    done = await operations.adjust_balance(call, _target(request), **body.model_dump())
    return pb.AdjustBalanceResponse(operation_id=_id(done.operation), balance=_balance(done.result))


@rpc.steps
async def Charge(call: Call, request: pb.ChargeRequest) -> pb.ChargeResponse:
    """Take an amount, or the price of a usage."""
    body = parse_body(
        schemas.ChargeBody,
        {**_asked(request), "invoice_id": request.invoice_id, "partial": request.partial},
    )
    charged = await operations.charge_wallet(
        call,
        _target(request),
        _wanted(body),
        reference=body.reference,
        description=body.description,
        invoice_id=body.invoice_id,
        partial=body.partial,
    )
    return pb.ChargeResponse(
        operation_id=_id(charged.done.operation),
        charged_minor=charged.charged_minor,
        rate_id=charged.rate_id,
        balance=_balance(charged.done.result),
    )


@rpc.steps
async def Reserve(call: Call, request: pb.ReserveRequest) -> pb.ReserveResponse:
    """Set an amount aside, or the price of a usage."""
    ttl = request.ttl_seconds or None
    body = parse_body(schemas.ReserveBody, {**_asked(request), "ttl_seconds": ttl})
    done = await reservations.reserve_amount(
        call,
        _target(request),
        _wanted(body),
        ttl_seconds=body.ttl_seconds or 0,
        reference=body.reference,
        description=body.description,
    )
    told = done.result["reservation"]
    return pb.ReserveResponse(
        reservation_id=told["id"],
        expires_at=_timestamp(told["expires_at"]),
        balance=_balance(done.result),
    )


@rpc.steps
async def Commit(call: Call, request: pb.CommitRequest) -> pb.CommitResponse:
    """Take all or a part of what is set aside."""
    amount = request.amount_minor if request.HasField("amount_minor") else None
    body = parse_body(
        schemas.CommitBody,
        {"amount_minor": amount, "final": request.final, "reference": request.reference},
    )
    done = await reservations.commit_reservation(call, request.reservation_id, **body.model_dump())
    return pb.CommitResponse(
        operation_id=_id(done.operation),
        remaining_minor=done.result["reservation"]["remaining_minor"],
        balance=_balance(done.result),
    )


@rpc.steps
async def Release(call: Call, request: pb.ReleaseRequest) -> pb.ReleaseResponse:
    """Free what is set aside."""
    done = await reservations.release_reservation(call, request.reservation_id)
    return pb.ReleaseResponse(
        released_minor=done.result["released_minor"], balance=_balance(done.result)
    )


@rpc.steps
async def RefundOperation(
    call: Call, request: pb.RefundOperationRequest
) -> pb.RefundOperationResponse:
    """Give back what an operation took."""
    body = parse_body(
        schemas.RefundBody,
        {
            "amount_minor": request.amount_minor or None,
            "reason": request.reason,
            "reference": request.reference,
        },
    )
    done = await operations.refund_operation(
        call,
        request.operation_id,
        amount_minor=body.amount_minor or 0,
        reason=body.reason,
        reference=body.reference,
    )
    return pb.RefundOperationResponse(
        operation_id=_id(done.operation), balance=_balance(done.result)
    )


@rpc.steps
async def GetBalance(call: Call, request: pb.GetBalanceRequest) -> pb.GetBalanceResponse:
    """Return a balance."""
    told = await wallets.get_balance(call, _target(request))
    return pb.GetBalanceResponse(balance=_balance({"balance": told}))


@rpc.read
async def GetReservation(
    tx: ReadTransaction, request: pb.GetReservationRequest
) -> pb.GetReservationResponse:
    """Return one reservation."""
    told = books.tell_reservation(await reservations.get_reservation(tx, request.id))
    times = {name: _timestamp(told.pop(name)) for name in ("expires_at", "created_at")}
    del told["description"]
    return pb.GetReservationResponse(reservation=pb.Reservation(**told, **times))


@rpc.read
async def GetOperation(
    tx: ReadTransaction, request: pb.GetOperationRequest
) -> pb.GetOperationResponse:
    """Return one operation."""
    return pb.GetOperationResponse(
        operation=_operation(await wallets.get_operation(tx, request.id))
    )


@rpc.read
async def ListOperations(
    tx: ReadTransaction, request: pb.ListOperationsRequest
) -> pb.ListOperationsResponse:
    """List a wallet's operations."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await wallets.list_operations(tx, request.wallet_id, page)
    return pb.ListOperationsResponse(
        operations=[_operation(row) for row in rows], next_page_token=cursor or ""
    )


def _target(request: Any) -> Target:
    if not request.wallet_id and not request.customer_id:
        detail = "name the customer or the wallet"
        raise Invalid([FieldError("customer_id", "FIELD_REQUIRED", detail)])
    return Target(request.customer_id, request.currency_code, request.wallet_id)


def _asked(request: Any) -> dict[str, Any]:
    price = request.price if request.HasField("price") else None
    return {
        "amount_minor": request.amount_minor or None,
        "price": price and {"plan": price.plan, "meter": price.meter, "quantity": price.quantity},
        "currency_code": request.currency_code or None,
        "reference": request.reference,
        "description": request.description,
    }


def _wanted(body: schemas.ChargeBody | schemas.ReserveBody) -> Wanted:
    price = body.price
    return Wanted(
        body.amount_minor, Price(price.plan, price.meter, price.quantity) if price else None
    )


def _id(row: OperationRow | None) -> str:
    return row.id if row is not None else ""


def _timestamp(text: str | None) -> Any:
    return to_timestamp(datetime.fromisoformat(text)) if text else None


def _credit(told: dict[str, Any]) -> pb.Credit:
    return pb.Credit(**{**told, "expires_at": _timestamp(told["expires_at"])})


def _balance(result: dict[str, Any]) -> pb.Balance | None:
    told = result.get("balance")
    if told is None:
        return None
    credits_left = [_credit(item) for item in told["credits"]]
    return pb.Balance(**{**told, "credits": credits_left, "as_of": _timestamp(told["as_of"])})


def _wallet(row: WalletRow) -> pb.Wallet:
    auto = None
    if row.auto_below_minor is not None and row.auto_amount_minor is not None:
        auto = pb.AutoTopUp(below_minor=row.auto_below_minor, amount_minor=row.auto_amount_minor)
    return pb.Wallet(
        id=row.id,
        customer_id=row.customer_id,
        currency_code=row.currency_code,
        state=row.state,
        overdraft_minor=row.overdraft_minor,
        low_balance_minor=row.low_balance_minor,
        auto_top_up=auto,
        metadata=row.tags,
        created_at=to_timestamp(row.created_at),
    )


def _operation(row: OperationRow) -> pb.Operation:
    return pb.Operation(
        id=row.id,
        wallet_id=row.wallet_id,
        kind=row.kind,
        state=row.state,
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        charged_minor=row.other_minor,
        charged_currency_code=row.other_currency_code,
        refunded_minor=row.refunded_minor,
        reference=row.reference,
        reservation_id=row.reservation_id,
        refunded_operation_id=row.refunded_id,
        invoice_id=row.invoice_id,
        payment_intent_id=row.payment_intent_id,
        credit_note_id=row.credit_note_id,
        transaction_id=row.transaction_id,
        rate_id=row.rate_id,
        description=row.description,
        created_at=to_timestamp(row.created_at),
    )
