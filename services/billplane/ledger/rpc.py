"""gRPC of ledger."""

from collections.abc import Sequence

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Call, Rpc, from_timestamp
from billplane.ledger import domain, schemas
from billplane.ledger.schemas.messages import (
    account,
    balance,
    entry,
    kept,
    new_transaction,
    transaction,
    word,
)
from billplane.ledger.service import accounts, transactions
from billplane.ledger.service.transactions import Recorded, Result
from billplane.protos.ledger.v1 import ledger_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["LedgerService"])


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
            "type": word(pb.AccountType, "ACCOUNT_TYPE_", request.type),
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
    return pb.CreateAccountResponse(account=account(row))


@rpc.read
async def GetAccount(tx: ReadTransaction, request: pb.GetAccountRequest) -> pb.GetAccountResponse:
    """Return an account with its balances."""
    return pb.GetAccountResponse(account=account(await accounts.get_account(tx, request.id)))


@rpc.read
async def ListAccounts(
    tx: ReadTransaction, request: pb.ListAccountsRequest
) -> pb.ListAccountsResponse:
    """List accounts."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await accounts.list_accounts(tx, page)
    return pb.ListAccountsResponse(
        accounts=[account(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.steps
async def GetBalance(call: Call, request: pb.GetBalanceRequest) -> pb.GetBalanceResponse:
    """Return an account's balances, now or at an instant."""
    at = from_timestamp(request, "at")
    found = await accounts.get_balance(call, request.account_id, at)
    return pb.GetBalanceResponse(balance=balance(found))


@rpc.steps
async def RecordTransaction(
    call: Call, request: pb.RecordTransactionRequest
) -> pb.RecordTransactionResponse:
    """Record one transaction."""

    def tell(recorded: Recorded) -> tuple[pb.RecordTransactionResponse, StoredAnswer]:
        return kept(
            pb.RecordTransactionResponse(
                transaction=transaction(recorded.transaction),
                balances=[balance(item) for item in recorded.balances],
            )
        )

    answer: pb.RecordTransactionResponse = await transactions.record_transaction(
        call, new_transaction(request), tell
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
            news.append(new_transaction(item))
        except BillplaneError as error:
            news.append(error)

    def tell(results: Sequence[Result]) -> tuple[pb.PostTransactionsResponse, StoredAnswer]:
        return kept(
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
        return kept(
            pb.HoldTransactionResponse(
                transaction=transaction(recorded.transaction),
                balances=[balance(item) for item in recorded.balances],
            )
        )

    expires_at = from_timestamp(request, "expires_at")
    answer: pb.HoldTransactionResponse = await transactions.record_transaction(
        call, new_transaction(request, pending=True, expires_at=expires_at), tell
    )
    return answer


@rpc.steps
async def CommitHold(call: Call, request: pb.CommitHoldRequest) -> pb.CommitHoldResponse:
    """Post a pending transaction, or a part of it."""

    def tell(recorded: Recorded) -> tuple[pb.CommitHoldResponse, StoredAnswer]:
        return kept(
            pb.CommitHoldResponse(
                hold=transaction(recorded.hold or recorded.transaction),
                transaction=transaction(recorded.transaction),
                balances=[balance(item) for item in recorded.balances],
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
        return kept(
            pb.ReleaseHoldResponse(
                hold=transaction(recorded.hold or recorded.transaction),
                balances=[balance(item) for item in recorded.balances],
            )
        )

    answer: pb.ReleaseHoldResponse = await transactions.release_hold(call, request.id, tell)
    return answer


@rpc.steps
async def Reverse(call: Call, request: pb.ReverseRequest) -> pb.ReverseResponse:
    """Record the opposite of a posted transaction, once."""

    def tell(recorded: Recorded) -> tuple[pb.ReverseResponse, StoredAnswer]:
        return kept(
            pb.ReverseResponse(
                transaction=transaction(recorded.transaction),
                balances=[balance(item) for item in recorded.balances],
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
    return pb.GetTransactionResponse(transaction=transaction(view))


@rpc.read
async def ListTransactions(
    tx: ReadTransaction, request: pb.ListTransactionsRequest
) -> pb.ListTransactionsResponse:
    """List transactions."""
    page = Page.of(request.page_size, request.page_token)
    views, cursor = await transactions.list_transactions(tx, page)
    return pb.ListTransactionsResponse(
        transactions=[transaction(view) for view in views], next_page_token=cursor or ""
    )


@rpc.read
async def ListEntries(
    tx: ReadTransaction, request: pb.ListEntriesRequest
) -> pb.ListEntriesResponse:
    """List an account's entries."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await accounts.list_entries(tx, request.account_id, page)
    return pb.ListEntriesResponse(
        entries=[entry(row) for row in rows], next_page_token=cursor or ""
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
