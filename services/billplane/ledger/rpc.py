"""gRPC of ledger."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.ledger import domain, schemas
from billplane.ledger.models import AccountRow, EntryRow
from billplane.ledger.service import accounts, transactions
from billplane.ledger.service.transactions import Recorded, Result
from billplane.ledger.service.views import View, balance_of
from billplane.protos.ledger.v1 import ledger_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["LedgerService"])


def _word(enum: Any, prefix: str, value: int) -> str:
    """Return an enum's value as REST writes it, '' for none or one that is unknown."""
    name = enum.Name(value) if value in enum.values() else "UNSPECIFIED"
    word = str(name).removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


@rpc.write
async def CreateAccount(
    tx: Transaction, request: pb.CreateAccountRequest
) -> pb.CreateAccountResponse:
    """Open an account."""
    has_limit = request.HasField("credit_limit_minor")
    body = parse_body(
        schemas.AccountBody,
        {
            "name": request.name,
            "type": _word(pb.AccountType, "ACCOUNT_TYPE_", request.type),
            "currency": request.currency_code,
            "allow_negative": request.allow_negative,
            "credit_limit_minor": request.credit_limit_minor if has_limit else None,
            "external_id": request.external_id or None,
            "metadata": dict(request.metadata),
        },
    )
    row = await accounts.create_account(
        tx,
        name=body.name,
        kind=body.type,
        currency_code=body.currency,
        allow_negative=body.allow_negative,
        credit_limit_minor=body.credit_limit_minor,
        external_id=body.external_id or "",
        metadata=body.metadata,
    )
    return pb.CreateAccountResponse(account=_account(row))


@rpc.read
async def GetAccount(tx: ReadTransaction, request: pb.GetAccountRequest) -> pb.GetAccountResponse:
    """Return an account with its balances."""
    return pb.GetAccountResponse(account=_account(await accounts.get_account(tx, request.id)))


@rpc.read
async def ListAccounts(
    tx: ReadTransaction, request: pb.ListAccountsRequest
) -> pb.ListAccountsResponse:
    """List accounts."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await accounts.list_accounts(tx, page)
    return pb.ListAccountsResponse(
        accounts=[_account(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.read
async def GetBalance(tx: ReadTransaction, request: pb.GetBalanceRequest) -> pb.GetBalanceResponse:
    """Return an account's balances, now or at an instant."""
    at = from_timestamp(request, "at")
    found = await accounts.get_balance(tx, request.account_id, at)
    return pb.GetBalanceResponse(balance=_balance(found))


@rpc.steps
async def RecordTransaction(
    call: Call, request: pb.RecordTransactionRequest
) -> pb.RecordTransactionResponse:
    """Record one transaction."""

    def tell(recorded: Recorded) -> tuple[pb.RecordTransactionResponse, StoredAnswer]:
        return _kept(
            pb.RecordTransactionResponse(
                transaction=_transaction(recorded.transaction),
                balances=[_balance(item) for item in recorded.balances],
            )
        )

    answer: pb.RecordTransactionResponse = await transactions.record_transaction(
        call, _new(request), tell
    )
    return answer


@rpc.steps
async def PostTransactions(
    call: Call, request: pb.PostTransactionsRequest
) -> pb.PostTransactionsResponse:
    """Record many transactions, each by itself."""
    news: list[domain.NewTransaction | BillplaneError] = []
    for item in request.transactions:
        try:
            news.append(_new(item))
        except BillplaneError as error:
            news.append(error)

    def tell(results: Sequence[Result]) -> tuple[pb.PostTransactionsResponse, StoredAnswer]:
        return _kept(
            pb.PostTransactionsResponse(
                results=[
                    pb.PostTransactionResult(
                        transaction_id=result.transaction_id,
                        reason=result.error.reason if result.error else "",
                        detail=result.error.detail if result.error else "",
                    )
                    for result in results
                ]
            )
        )

    answer: pb.PostTransactionsResponse = await transactions.post_transactions(call, news, tell)
    return answer


@rpc.steps
async def HoldTransaction(
    call: Call, request: pb.HoldTransactionRequest
) -> pb.HoldTransactionResponse:
    """Record a pending transaction."""

    def tell(recorded: Recorded) -> tuple[pb.HoldTransactionResponse, StoredAnswer]:
        return _kept(
            pb.HoldTransactionResponse(
                transaction=_transaction(recorded.transaction),
                balances=[_balance(item) for item in recorded.balances],
            )
        )

    expires_at = from_timestamp(request, "expires_at")
    answer: pb.HoldTransactionResponse = await transactions.record_transaction(
        call, _new(request, pending=True, expires_at=expires_at), tell
    )
    return answer


@rpc.steps
async def CommitHold(call: Call, request: pb.CommitHoldRequest) -> pb.CommitHoldResponse:
    """Post a pending transaction, or a part of it."""

    def tell(recorded: Recorded) -> tuple[pb.CommitHoldResponse, StoredAnswer]:
        return _kept(
            pb.CommitHoldResponse(
                hold=_transaction(recorded.hold or recorded.transaction),
                transaction=_transaction(recorded.transaction),
                balances=[_balance(item) for item in recorded.balances],
            )
        )

    answer: pb.CommitHoldResponse = await transactions.commit_hold(
        call, request.id, request.amount_minor, request.final, tell
    )
    return answer


@rpc.steps
async def ReleaseHold(call: Call, request: pb.ReleaseHoldRequest) -> pb.ReleaseHoldResponse:
    """Give back what a pending transaction still reserves."""

    def tell(recorded: Recorded) -> tuple[pb.ReleaseHoldResponse, StoredAnswer]:
        return _kept(
            pb.ReleaseHoldResponse(
                hold=_transaction(recorded.hold or recorded.transaction),
                balances=[_balance(item) for item in recorded.balances],
            )
        )

    answer: pb.ReleaseHoldResponse = await transactions.release_hold(call, request.id, tell)
    return answer


@rpc.steps
async def Reverse(call: Call, request: pb.ReverseRequest) -> pb.ReverseResponse:
    """Record the opposite of a posted transaction, once."""

    def tell(recorded: Recorded) -> tuple[pb.ReverseResponse, StoredAnswer]:
        return _kept(
            pb.ReverseResponse(
                transaction=_transaction(recorded.transaction),
                balances=[_balance(item) for item in recorded.balances],
            )
        )

    body = parse_body(schemas.ReverseBody, {"description": request.description})
    answer: pb.ReverseResponse = await transactions.reverse_transaction(
        call, request.id, body.description, tell
    )
    return answer


@rpc.read
async def GetTransaction(
    tx: ReadTransaction, request: pb.GetTransactionRequest
) -> pb.GetTransactionResponse:
    """Return one transaction."""
    view = await transactions.get_transaction(tx, request.id)
    return pb.GetTransactionResponse(transaction=_transaction(view))


@rpc.read
async def ListTransactions(
    tx: ReadTransaction, request: pb.ListTransactionsRequest
) -> pb.ListTransactionsResponse:
    """List transactions."""
    page = Page.of(request.page_size, request.page_token)
    views, cursor = await transactions.list_transactions(tx, page)
    return pb.ListTransactionsResponse(
        transactions=[_transaction(view) for view in views], next_page_token=cursor or ""
    )


@rpc.read
async def ListEntries(
    tx: ReadTransaction, request: pb.ListEntriesRequest
) -> pb.ListEntriesResponse:
    """List an account's entries."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await accounts.list_entries(tx, request.account_id, page)
    return pb.ListEntriesResponse(
        entries=[_entry(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.read
async def GetTrialBalance(
    tx: ReadTransaction, _request: pb.GetTrialBalanceRequest
) -> pb.GetTrialBalanceResponse:
    """Sum what accounts hold, by currency."""
    found = await accounts.get_trial_balance(tx)
    return pb.GetTrialBalanceResponse(
        balances=[
            pb.TrialBalance(
                currency_code=currency,
                debit_minor=sum(line.debit_minor for line in lines),
                credit_minor=sum(line.credit_minor for line in lines),
                lines=[
                    pb.TrialBalanceLine(
                        type=pb.AccountType.Value(f"ACCOUNT_TYPE_{line.type.upper()}"),
                        line=line.line,
                        account_count=line.account_count,
                        debit_minor=line.debit_minor,
                        credit_minor=line.credit_minor,
                    )
                    for line in lines
                ],
            )
            for currency, lines in found.items()
        ]
    )


def _kept(message: Any) -> tuple[Any, StoredAnswer]:
    proto: Message = message
    return message, StoredAnswer(200, {}, proto.SerializeToString())


def _new(request: Any, *, pending: bool = False, expires_at: Any = None) -> domain.NewTransaction:
    """Read a transaction to be, by the rules of REST.

    Raises: Invalid.
    """
    body = parse_body(
        schemas.TransactionBody,
        {
            "postings": [
                {
                    "account_id": leg.account_id,
                    "direction": _word(pb.Direction, "DIRECTION_", leg.direction),
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


def _balance(balance: domain.Balance) -> pb.Balance:
    return pb.Balance(
        account_id=balance.account_id,
        currency_code=balance.currency_code,
        balance_minor=balance.balance_minor,
        pending_in_minor=balance.pending_in_minor,
        pending_out_minor=balance.pending_out_minor,
        available_minor=balance.available_minor,
        entry_count=balance.entry_count,
    )


def _account(row: AccountRow) -> pb.Account:
    return pb.Account(
        id=row.id,
        external_id=row.external_id,
        name=row.name,
        type=pb.AccountType.Value(f"ACCOUNT_TYPE_{row.type.upper()}"),
        currency_code=row.currency_code,
        allow_negative=row.allow_negative,
        credit_limit_minor=row.credit_limit_minor,
        metadata=row.tags,
        balance=_balance(balance_of(row)),
        created_at=to_timestamp(row.created_at),
    )


def _transaction(view: View) -> pb.Transaction:
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


def _entry(row: EntryRow) -> pb.Entry:
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
