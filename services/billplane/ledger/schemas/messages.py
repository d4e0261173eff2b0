"""What messages say, read and written: protos on one side, the service's own words on the other."""

from typing import Any

from google.protobuf.message import Message

from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import parse_body
from billplane.chassis.rpc import to_timestamp
from billplane.ledger import domain, schemas
from billplane.ledger.models import AccountRow, EntryRow
from billplane.ledger.service.views import View, balance_of
from billplane.money import CURRENCY_CODES, MINOR_MAX
from billplane.protos.ledger.v1 import ledger_pb2 as pb

_DIRECTIONS: dict[int, domain.Direction] = {
    pb.DIRECTION_DEBIT: "debit",
    pb.DIRECTION_CREDIT: "credit",
}


def word(enum: Any, prefix: str, value: int) -> str:
    """Return an enum's value as REST writes it, '' for none or one that is unknown."""
    name = enum.Name(value) if value in enum.values() else "UNSPECIFIED"
    word = str(name).removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def kept(message: Any) -> tuple[Any, StoredAnswer]:
    """Return an answer and the form of it that is kept under the request's key."""
    proto: Message = message
    return message, StoredAnswer(200, {}, proto.SerializeToString())


def new_transaction(
    request: Any, *, pending: bool = False, expires_at: Any = None
) -> domain.NewTransaction:
    """Read a transaction to be, by the rules of REST.

    Raises: Invalid.
    """
    return _usual(request, pending, expires_at) or _checked(request, pending, expires_at)


def _usual(request: Any, pending: bool, expires_at: Any) -> domain.NewTransaction | None:
    """Read a transaction in which nothing can be wrong, None for any other.

    Many come at once, and the rules of REST cost ten times as much.
    """
    currency, external_id = request.currency_code, request.external_id
    legs = request.postings
    if (
        currency not in CURRENCY_CODES
        or not 2 <= len(legs) <= domain.POSTINGS_MAX
        or len(request.description) > 255
        or len(external_id) > 255
        or not external_id.isprintable()
        or request.metadata
        or request.rate_id
    ):
        return None
    postings = []
    for leg in legs:
        direction = _DIRECTIONS.get(leg.direction)
        account, amount, own = leg.account_id, leg.amount_minor, leg.currency_code
        if (
            direction is None
            or not 1 <= len(account) <= 255
            or not 1 <= amount <= MINOR_MAX
            or (own and own not in CURRENCY_CODES)
        ):
            return None
        postings.append(domain.Posting(account, direction, amount, own))
    return domain.NewTransaction(
        postings=postings,
        currency_code=currency,
        external_id=external_id,
        description=request.description,
        pending=pending,
        expires_at=expires_at,
    )


def _checked(request: Any, pending: bool, expires_at: Any) -> domain.NewTransaction:
    body = parse_body(
        schemas.TransactionBody,
        {
            "postings": [
                {
                    "account_id": leg.account_id,
                    "direction": word(pb.Direction, "DIRECTION_", leg.direction),
                    "amount_minor": leg.amount_minor,
                    "currency_code": leg.currency_code or None,
                }
                for leg in request.postings
            ],
            "currency_code": request.currency_code,
            "description": request.description,
            "external_id": request.external_id or None,
            "pending": pending,
            "expires_at": expires_at,
            "rate_id": request.rate_id,
            "metadata": dict(request.metadata),
        },
    )
    return domain.NewTransaction(
        postings=[
            domain.Posting(leg.account_id, leg.direction, leg.amount_minor, leg.currency_code or "")
            for leg in body.postings
        ],
        currency_code=body.currency_code,
        external_id=body.external_id or "",
        description=body.description,
        metadata=body.metadata,
        rate_id=body.rate_id,
        pending=body.pending,
        expires_at=body.expires_at,
    )


def balance(of: domain.Balance) -> pb.Balance:
    """Write balances."""
    return pb.Balance(
        account_id=of.account_id,
        currency_code=of.currency_code,
        balance_minor=of.balance_minor,
        pending_in_minor=of.pending_in_minor,
        pending_out_minor=of.pending_out_minor,
        available_minor=of.available_minor,
        entry_count=of.entry_count,
    )


def account(row: AccountRow) -> pb.Account:
    """Write an account."""
    return pb.Account(
        id=row.id,
        external_id=row.external_id,
        name=row.name,
        type=pb.AccountType.Value(f"ACCOUNT_TYPE_{row.type.upper()}"),
        currency_code=row.currency_code,
        allow_negative=row.allow_negative,
        credit_limit_minor=row.credit_limit_minor,
        metadata=row.tags,
        balance=balance(balance_of(row)),
        created_at=to_timestamp(row.created_at),
    )


def transaction(view: View) -> pb.Transaction:
    """Write a transaction."""
    return pb.Transaction(
        id=view.id,
        kind=view.kind,
        state=pb.TransactionState.Value(f"TRANSACTION_STATE_{view.state.upper()}"),
        currency_code=view.currency_code,
        postings=[
            pb.Posting(
                account_id=leg.account,
                direction=pb.Direction.Value(f"DIRECTION_{leg.direction.upper()}"),
                amount_minor=leg.amount_minor,
                currency_code=leg.currency_code,
            )
            for leg in view.postings
        ],
        external_id=view.external_id,
        description=view.description,
        metadata=view.metadata,
        parent_id=view.parent_id,
        rate_id=view.rate_id,
        recorded_at=to_timestamp(view.recorded_at),
        expires_at=to_timestamp(view.expires_at),
        committed_minor=view.committed_minor,
        remaining_minor=view.remaining_minor,
    )


def entry(row: EntryRow) -> pb.Entry:
    """Write an entry."""
    return pb.Entry(
        transaction_id=row.transaction_id,
        number=row.number,
        direction=pb.Direction.Value(f"DIRECTION_{row.direction.upper()}"),
        phase=pb.Phase.Value(f"PHASE_{row.phase.upper()}"),
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        balance_minor=row.posted_after_minor,
        pending_in_minor=row.pending_in_after_minor,
        pending_out_minor=row.pending_out_after_minor,
        recorded_at=to_timestamp(row.recorded_at),
    )
