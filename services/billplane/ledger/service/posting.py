"""From what is asked or has happened to what is written, and who is told of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError, FieldError, Invalid
from billplane.chassis.rpc import to_timestamp
from billplane.ledger import domain, repository
from billplane.ledger.domain import Account, Fact, NewTransaction
from billplane.ledger.errors import (
    AccountUnknown,
    AlreadyReversed,
    BalanceOutOfRange,
    ExternalIdReused,
    HoldClosed,
    HoldExceeded,
    HoldExpired,
    HoldIndivisible,
    HoldNotDue,
    InsufficientFunds,
)
from billplane.ledger.repository import Batch, Outcome, Stored, Transfer
from billplane.ledger.service.views import postings_of
from billplane.money import MINOR_MAX
from billplane.protos.ledger.v1.events_pb2 import PostedTransaction, TransactionsPosted

RECORDED, KNOWN = "RECORDED", "KNOWN"
REFUSALS: dict[str, tuple[type[BillplaneError], str]] = {
    "INSUFFICIENT_FUNDS": (InsufficientFunds, "the account {id} has too little available"),
    "BALANCE_OUT_OF_RANGE": (
        BalanceOutOfRange,
        f"the account {{id}} would hold more than {MINOR_MAX} minor units",
    ),
    "EXTERNAL_ID_REUSED": (
        ExternalIdReused,
        "the external_id belongs to {id}, which moved other money",
    ),
    "HOLD_CLOSED": (HoldClosed, "the hold was posted, released or has expired"),
    "HOLD_EXPIRED": (HoldExpired, "the hold has expired"),
    "HOLD_NOT_DUE": (HoldNotDue, "the hold has not expired yet"),
    "HOLD_EXCEEDED": (HoldExceeded, "the hold reserves less than that"),
    "HOLD_INDIVISIBLE": (HoldIndivisible, "a hold of more than two postings is posted whole"),
    "ALREADY_REVERSED": (AlreadyReversed, "the transaction was reversed before"),
}
POSTS = frozenset({"record", "commit", "reverse"})
# A message stays well below what a broker takes, however long its descriptions are.
MESSAGE_CHARACTERS_MAX = 100_000
_CHARACTERS_EACH = 200


async def prepare(call: Call, new: NewTransaction) -> Transfer:
    """Check a transaction and look its accounts up.

    Raises: Invalid, TransactionUnbalanced, AccountUnknown.
    """
    check(call, new)
    index = call.runtime.state.accounts
    return transfer_of(new, await index.find(call, {leg.account for leg in new.postings}))


def check(call: Call, new: NewTransaction) -> None:
    """Refuse what can be refused without knowing the accounts.

    Raises: Invalid.
    """
    domain.read_currency(new.currency_code, "/currency_code")
    domain.check_shape(new)
    if new.expires_at is not None and new.expires_at <= call.runtime.clock.now():
        detail = "a hold expires in the future"
        raise Invalid([FieldError("/expires_at", "TIME_OUT_OF_RANGE", detail)])


def transfer_of(new: NewTransaction, accounts: Mapping[str, Account]) -> Transfer:
    """Return what is to be written of a transaction that was checked.

    Raises: Invalid, TransactionUnbalanced, AccountUnknown.
    """
    for place, posting in enumerate(new.postings):
        if posting.account not in accounts:
            raise AccountUnknown(
                f"there is no account {posting.account}", field=f"/postings/{place}/account_id"
            )
    postings = domain.check_currencies(new, accounts)
    return Transfer(
        id=ids.new("ltx"),
        kind="hold" if new.pending else "record",
        postings=postings,
        currency_code=new.currency_code,
        external_id=new.external_id,
        # Only what can be asked for again is compared.
        fingerprint=domain.fingerprint(new, postings) if new.external_id else "",
        description=new.description,
        metadata=new.metadata,
        rate_id=new.rate_id,
        amount_minor=domain.total_of(postings) if new.pending else 0,
        flag=new.pending and domain.is_divisible(postings),
        expires_at=new.expires_at,
    )


def reversal_of(found: Stored, description: str) -> Transfer:
    """Return the opposite of what a transaction posted."""
    return Transfer(
        id=ids.new("ltx"),
        kind="reverse",
        postings=domain.mirrored(postings_of(found, "posted")),
        currency_code=found.row.currency_code,
        description=description or f"reversal of {found.row.id}",
        parent_id=found.row.id,
        rate_id=found.row.rate_id,
    )


def refusal(outcome: Outcome) -> BillplaneError | None:
    """Return why there is no transaction, None when there is one."""
    if outcome.code in (RECORDED, KNOWN):
        return None
    refused, detail = REFUSALS[outcome.code]
    return refused(detail.format(id=outcome.id), metadata={"id": outcome.id})


async def post_fact(
    tx: Transaction,
    event_id: str,
    fact: Fact,
    *,
    description: str,
    metadata: Mapping[str, str],
    settles: str = "",
) -> None:
    """Post what happened elsewhere; an invoice that it `settles` is written off no longer.

    Raises: ExternalIdReused when other money was recorded under the fact's id.
    Idempotent by: the fact's event id, whoever records under it.
    """
    tx.require_internal()
    transfers = []
    if settles:
        written_off = await repository.written_off(tx, settles)
        if written_off is not None:
            transfers.append(reversal_of(written_off, f"{description}: no longer written off"))
    postings = domain.fact_postings(fact)
    if postings:
        new = NewTransaction(
            postings=postings,
            currency_code=fact.currency_code,
            external_id=event_id,
            description=description,
            metadata={name: value for name, value in metadata.items() if value},
        )
        domain.check_shape(new)
        index = tx.runtime.state.accounts
        accounts = await index.find_within(tx, {leg.account for leg in postings})
        transfers.append(transfer_of(new, accounts))
    if not transfers:
        return
    name = tx.runtime.state.writer.name
    batch = await repository.apply(tx, name, [("", transfer) for transfer in transfers])
    for outcome in batch.outcomes:
        refused = refusal(outcome)
        if refused is not None and not isinstance(refused, AlreadyReversed):
            raise refused
    await announce(tx, transfers, batch)


async def announce(tx: Transaction, transfers: Collection[Transfer], batch: Batch) -> None:
    """Publish what a batch posted; what is only reserved, or given back, is told by nobody."""
    posted = [
        (transfer, outcome)
        for transfer, outcome in zip(transfers, batch.outcomes, strict=True)
        if outcome.code == RECORDED and transfer.kind in POSTS
    ]
    for part in _parts(posted):
        message = TransactionsPosted(
            batch_id=f"{'live' if tx.livemode else 'test'}-{batch.number}",
            transactions=[_told(transfer, outcome) for transfer, outcome in part],
        )
        await tx.publish(message, aggregate_id="live" if tx.livemode else "test")


def _parts(
    posted: Sequence[tuple[Transfer, Outcome]],
) -> Iterator[Sequence[tuple[Transfer, Outcome]]]:
    part: list[tuple[Transfer, Outcome]] = []
    size = 0
    for item in posted:
        size += _CHARACTERS_EACH + len(item[0].description) + len(item[0].external_id)
        if part and size > MESSAGE_CHARACTERS_MAX:
            yield part
            part, size = [], 0
        part.append(item)
    if part:
        yield part


def _told(transfer: Transfer, outcome: Outcome) -> PostedTransaction:
    return PostedTransaction(
        transaction_id=outcome.id,
        kind=transfer.kind,
        external_id=transfer.external_id,
        currency_code=transfer.currency_code,
        total_minor=outcome.taken_minor or domain.total_of(transfer.postings),
        description=transfer.description,
        recorded_at=to_timestamp(outcome.recorded_at),
    )
