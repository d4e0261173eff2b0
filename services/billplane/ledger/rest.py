"""REST of ledger: the same under its older prefix and under /v1."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query, Response

from billplane.chassis.call import Call
from billplane.chassis.fields import Instant
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.ledger import domain, schemas
from billplane.ledger.models import AccountRow, EntryRow
from billplane.ledger.schemas.answers import (
    balance_values,
    changed,
    created,
    transaction_values,
)
from billplane.ledger.service import accounts, transactions
from billplane.ledger.service.views import View, balance_of

rest = router(tags=["ledger"])


@rest.post("/v1/ledger/accounts", status_code=201)
@rest.post("/ledger/accounts", status_code=201)
async def create_account(
    body: schemas.AccountBody, tx: Writer, response: Response
) -> schemas.Account:
    """Open an account."""
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
    response.headers["Location"] = f"/v1/ledger/accounts/{row.id}"
    return _account(row)


@rest.get("/v1/ledger/accounts")
@rest.get("/ledger/accounts")
async def list_accounts(tx: Reader, page: PageQuery) -> schemas.AccountList:
    """List accounts."""
    rows, cursor = await accounts.list_accounts(tx, page)
    return schemas.AccountList(**listing([_account(row) for row in rows], cursor))


@rest.get("/v1/ledger/accounts/{account_id}")
@rest.get("/ledger/accounts/{account_id}")
async def get_account(account_id: str, tx: Reader) -> schemas.Account:
    """Return an account with its balances, by id or external_id."""
    return _account(await accounts.get_account(tx, account_id))


@rest.get("/v1/ledger/accounts/{account_id}/balance")
async def get_balance(account_id: str, call: Steps, at: Instant | None = None) -> schemas.Balance:
    """Return an account's balances, now or as they stood at an instant."""
    return _balance(await accounts.get_balance(call, account_id, at))


@rest.get("/v1/ledger/accounts/{account_id}/entries")
async def list_entries(account_id: str, tx: Reader, page: PageQuery) -> schemas.EntryList:
    """List an account's entries with the balances after each."""
    rows, cursor = await accounts.list_entries(tx, account_id, page)
    return schemas.EntryList(**listing([_entry(row) for row in rows], cursor))


@rest.get("/v1/ledger/trial_balance")
async def get_trial_balance(tx: Reader) -> schemas.TrialBalanceList:
    """Sum what accounts hold, by currency: debits and credits are equal."""
    found = await accounts.get_trial_balance(tx)
    return schemas.TrialBalanceList(
        data=[
            schemas.TrialBalance(
                currency=currency,
                debit_minor=sum(line.debit_minor for line in lines),
                credit_minor=sum(line.credit_minor for line in lines),
                lines=[
                    schemas.TrialBalanceLine.model_validate(
                        {
                            "type": line.type,
                            "line": line.line or None,
                            "account_count": line.account_count,
                            "debit_minor": line.debit_minor,
                            "credit_minor": line.credit_minor,
                        }
                    )
                    for line in lines
                ],
            )
            for currency, lines in found.items()
        ]
    )


@rest.post("/v1/ledger/transactions", status_code=201, response_model=schemas.Transaction)
@rest.post("/ledger/transactions", status_code=201, response_model=schemas.Transaction)
async def record_transaction(body: schemas.TransactionBody, call: Steps) -> Response:
    """Record a transaction; pending, it reserves until it is committed or released."""
    new = domain.NewTransaction(
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
    return await _answered(transactions.record_transaction, call, new, tell=created)


@rest.get("/v1/ledger/transactions")
@rest.get("/ledger/transactions")
async def list_transactions(
    tx: Reader,
    page: PageQuery,
    parent_id: Annotated[str | None, Query(max_length=255)] = None,
) -> schemas.TransactionList:
    """List transactions in the order in which they were recorded."""
    views, cursor = await transactions.list_transactions(tx, page, parent_id)
    return schemas.TransactionList(**listing([_transaction(view) for view in views], cursor))


@rest.post("/v1/ledger/transactions/{transaction_id}:commit", response_model=schemas.Transaction)
async def commit_hold(
    transaction_id: str, call: Steps, body: schemas.CommitBody | None = None
) -> Response:
    """Post a pending transaction, or a part of it; answers with it."""
    asked = body or schemas.CommitBody()
    return await _answered(
        transactions.commit_hold,
        *(call, transaction_id, asked.amount_minor or 0, asked.final),
        tell=changed,
    )


@rest.post("/v1/ledger/transactions/{transaction_id}:release", response_model=schemas.Transaction)
async def release_hold(transaction_id: str, call: Steps) -> Response:
    """Give back what a pending transaction still reserves; answers with it."""
    return await _answered(transactions.release_hold, call, transaction_id, tell=changed)


@rest.post(
    "/v1/ledger/transactions/{transaction_id}:reverse",
    status_code=201,
    response_model=schemas.Transaction,
)
async def reverse_transaction(
    transaction_id: str, call: Steps, body: schemas.ReverseBody | None = None
) -> Response:
    """Record the opposite of a posted transaction, once; answers with the reversal."""
    description = body.description if body is not None else ""
    return await _answered(
        transactions.reverse_transaction, call, transaction_id, description, tell=created
    )


@rest.get("/v1/ledger/transactions/{transaction_id}")
async def get_transaction(transaction_id: str, tx: Reader) -> schemas.Transaction:
    """Return a transaction by id or external_id."""
    return _transaction(await transactions.get_transaction(tx, transaction_id))


async def _answered(
    use_case: Callable[..., Any], call: Call, *arguments: Any, tell: transactions.Teller
) -> Response:
    """Answer with the very bytes that are kept under the request's key."""
    answer: StoredAnswer = await use_case(call, *arguments, tell=tell)
    return Response(answer.body, answer.status, answer.headers)


def _transaction(view: View) -> schemas.Transaction:
    return schemas.Transaction.model_validate(transaction_values(view))


def _balance(balance: domain.Balance) -> schemas.Balance:
    return schemas.Balance.model_validate(balance_values(balance))


def _account(row: AccountRow) -> schemas.Account:
    balance = _balance(balance_of(row))
    return schemas.Account.model_validate(
        {
            "id": row.id,
            "external_id": row.external_id or None,
            "livemode": row.livemode,
            "name": row.name,
            "type": row.type,
            "allow_negative": row.allow_negative,
            "credit_limit_minor": row.credit_limit_minor,
            "metadata": row.tags,
            "created_at": row.created_at,
            **balance.model_dump(exclude={"account_id"}),
        }
    )


def _entry(row: EntryRow) -> schemas.Entry:
    return schemas.Entry.model_validate(
        {
            "transaction_id": row.transaction_id,
            "number": row.number,
            "direction": row.direction,
            "phase": row.phase,
            "amount_minor": row.amount_minor,
            "currency_code": row.currency_code,
            "balance_minor": row.posted_after_minor,
            "pending_in_minor": row.pending_in_after_minor,
            "pending_out_minor": row.pending_out_after_minor,
            "recorded_at": row.recorded_at,
        }
    )
