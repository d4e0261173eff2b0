"""Every SQL statement of ledger; how a batch is applied is in the second migration."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as on_conflict_insert
from sqlalchemy.exc import DBAPIError

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import Page, fetch_page
from billplane.ledger.domain import Account, Balance, Kind, Posting, TrialLine
from billplane.ledger.models import AccountRow, EntryRow, HoldRow, TransactionRow

_OPENED = (
    "tenant_id", "id", "livemode", "external_id", "name", "type", "currency_code",
    "allow_negative", "credit_limit_minor", "created_at",
)  # fmt: skip


async def add_account(tx: Transaction, row: AccountRow) -> None:
    """Store an account; its balances are the database's."""
    values = {name: getattr(row, name) for name in _OPENED}
    await tx.session.execute(insert(AccountRow).values({**values, "tags": row.tags}))


async def open_accounts(tx: Transaction, rows: Sequence[AccountRow]) -> None:
    """Store accounts of which some may be there: whoever comes second finds the first's.

    In the order of their names, so that two who open the same do not wait for each other.
    """
    values = [
        {**{name: getattr(row, name) for name in _OPENED}, "tags": row.tags}
        for row in sorted(rows, key=lambda row: row.external_id)
    ]
    statement = on_conflict_insert(AccountRow).on_conflict_do_nothing()
    await tx.session.execute(statement, values)


async def account(tx: ReadTransaction, name: str) -> AccountRow | None:
    """Return an account by id or external_id, with its balances."""
    found = await tx.session.scalars(_of_mode(tx).where(AccountRow.id == name))
    row = found.one_or_none()
    if row is None and name:
        found = await tx.session.scalars(_of_mode(tx).where(AccountRow.external_id == name))
        row = found.one_or_none()
    return row


async def accounts(tx: ReadTransaction, ids: Collection[str]) -> dict[str, AccountRow]:
    """Return accounts by id."""
    found = await tx.session.scalars(_of_mode(tx).where(AccountRow.id.in_(list(ids))))
    return {row.id: row for row in found}


_NAMED = text("""
    SELECT id AS name, id, type, currency_code FROM ledger.accounts
    WHERE livemode = :livemode AND id = ANY (CAST(:names AS text[]))
    UNION ALL
    SELECT external_id, id, type, currency_code FROM ledger.accounts
    WHERE livemode = :livemode AND external_id = ANY (CAST(:names AS text[]))
      AND external_id <> ''
""")


async def accounts_named(tx: ReadTransaction, names: Collection[str]) -> dict[str, Account]:
    """Return what never changes of some accounts, by the id or external_id that they were named."""
    values = {"livemode": tx.livemode, "names": [name for name in names if name]}
    rows = list(await tx.session.execute(_NAMED, values))
    # An id comes before a name that somebody gave another account.
    rows.sort(key=lambda row: bool(row.name == row.id))
    return {row.name: Account(row.id, row.type, row.currency_code) for row in rows}


_BALANCES = text("""
    SELECT id AS name, id, currency_code, posted_minor, pending_in_minor, pending_out_minor,
      entry_count FROM ledger.accounts
    WHERE livemode = :livemode AND id = ANY (CAST(:names AS text[]))
    UNION ALL
    SELECT external_id, id, currency_code, posted_minor, pending_in_minor, pending_out_minor,
      entry_count FROM ledger.accounts
    WHERE livemode = :livemode AND external_id = ANY (CAST(:names AS text[]))
      AND external_id <> ''
""")


async def balances(tx: ReadTransaction, names: Collection[str]) -> dict[str, Balance]:
    """Return the balances of some accounts as they are, by id or external_id."""
    values = {"livemode": tx.livemode, "names": [name for name in names if name]}
    rows = list(await tx.session.execute(_BALANCES, values))
    rows.sort(key=lambda row: bool(row.name == row.id))
    return {row[0]: Balance(*row[1:]) for row in rows}


async def page_of_accounts(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[AccountRow], str | None]:
    """Return a page of accounts."""
    return await fetch_page(tx, _of_mode(tx), AccountRow.id, page)


def _of_mode(tx: ReadTransaction) -> Any:
    return select(AccountRow).where(AccountRow.livemode == tx.livemode)


_TRIAL = text("""
    SELECT currency_code, type, line, count(*) AS account_count,
      sum(CASE WHEN grows = (posted_minor > 0) THEN abs(posted_minor) ELSE 0 END) AS debit_minor,
      sum(CASE WHEN grows = (posted_minor > 0) THEN 0 ELSE abs(posted_minor) END) AS credit_minor
    FROM (SELECT *, type IN ('asset', 'expense') AS grows,
        CASE WHEN external_id LIKE '%:%' AND split_part(external_id, ':', 1) = ANY (:lines)
          THEN split_part(external_id, ':', 1) ELSE '' END AS line
      FROM ledger.accounts WHERE livemode = :livemode) a
    GROUP BY currency_code, type, line ORDER BY currency_code, type, line
""")


async def trial_balance(tx: ReadTransaction, lines: Collection[str]) -> list[TrialLine]:
    """Sum what accounts hold, by currency, type and line of the chart."""
    rows = await tx.session.execute(_TRIAL, {"lines": list(lines), "livemode": tx.livemode})
    return [
        TrialLine(
            row.currency_code,
            row.type,
            row.line,
            row.account_count,
            int(row.debit_minor),
            int(row.credit_minor),
        )
        for row in rows
    ]


async def last_entry(tx: ReadTransaction, account_id: str, at: datetime) -> EntryRow | None:
    """Return the account's last entry that was recorded at an instant or before it."""
    query = (
        select(EntryRow)
        .where(EntryRow.account_id == account_id, EntryRow.recorded_at <= at)
        .order_by(EntryRow.recorded_at.desc(), EntryRow.number.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def entries(
    tx: ReadTransaction, account_id: str, limit: int, after: tuple[datetime, int] | None, order: str
) -> Sequence[EntryRow]:
    """Return an account's entries beyond one of them."""
    place = tuple_(EntryRow.recorded_at, EntryRow.number)
    query = select(EntryRow).where(EntryRow.account_id == account_id).limit(limit)
    if order == "desc":
        query = query.order_by(EntryRow.recorded_at.desc(), EntryRow.number.desc())
        query = query if after is None else query.where(place < after)
    else:
        query = query.order_by(EntryRow.recorded_at, EntryRow.number)
        query = query if after is None else query.where(place > after)
    return (await tx.session.scalars(query)).all()


@dataclass(frozen=True, slots=True)
class Stored:
    """A transaction with what belongs to it."""

    row: TransactionRow
    entries: Sequence[EntryRow]
    hold: HoldRow | None


async def transaction(tx: ReadTransaction, name: str) -> Stored | None:
    """Return a transaction by id or external_id."""
    query = select(TransactionRow).where(TransactionRow.livemode == tx.livemode)
    row = (await tx.session.scalars(query.where(TransactionRow.id == name))).one_or_none()
    if row is None and name:
        found = await tx.session.scalars(query.where(TransactionRow.external_id == name))
        row = found.one_or_none()
    return None if row is None else (await _whole(tx, [row]))[0]


async def transactions(tx: ReadTransaction, names: Collection[str]) -> dict[str, Stored]:
    """Return transactions by id or external_id."""
    wanted = [name for name in names if name]
    row = TransactionRow
    query = select(row).where(row.livemode == tx.livemode)
    rows = [*(await tx.session.scalars(query.where(row.external_id.in_(wanted))))]
    rows += await tx.session.scalars(query.where(row.id.in_(wanted)))
    stored = await _whole(tx, rows)
    by_name = {item.row.external_id: item for item in stored}
    return by_name | {item.row.id: item for item in stored}


async def page_of_transactions(
    tx: ReadTransaction, page: Page, parent_id: str | None
) -> tuple[list[Stored], str | None]:
    """Return a page of transactions, in the order in which they were recorded."""
    query = select(TransactionRow).where(TransactionRow.livemode == tx.livemode)
    if parent_id:
        query = query.where(TransactionRow.parent_id == parent_id)
    after = page.after_number()
    if after is not None:
        number = TransactionRow.number
        query = query.where(number < after if page.order == "desc" else number > after)
        page = page.model_copy(update={"cursor": None})
    rows, cursor = await fetch_page(tx, query, TransactionRow.number, page)
    return await _whole(tx, rows), cursor


async def _whole(tx: ReadTransaction, rows: Sequence[TransactionRow]) -> list[Stored]:
    ids = [row.id for row in rows]
    query = select(EntryRow).where(EntryRow.transaction_id.in_(ids))
    made: dict[str, list[EntryRow]] = {name: [] for name in ids}
    for entry in await tx.session.scalars(query.order_by(EntryRow.position)):
        made[entry.transaction_id].append(entry)
    # A hold may have changed since it was read in this session.
    holds = await tx.session.scalars(
        select(HoldRow)
        .where(HoldRow.transaction_id.in_(ids))
        .execution_options(populate_existing=True)
    )
    by_id = {hold.transaction_id: hold for hold in holds}
    return [Stored(row, made[row.id], by_id.get(row.id)) for row in rows]


async def written_off(tx: ReadTransaction, invoice_id: str) -> Stored | None:
    """Return the transaction that wrote an invoice off, the last one, taken back or not."""
    query = (
        select(TransactionRow)
        .where(
            TransactionRow.livemode == tx.livemode,
            TransactionRow.tags["written_off"].astext == invoice_id,
            TransactionRow.tags.has_key("written_off"),
        )
        .order_by(TransactionRow.number.desc())
        .limit(1)
    )
    row = (await tx.session.scalars(query)).one_or_none()
    return None if row is None else (await _whole(tx, [row]))[0]


@dataclass(slots=True)
class Transfer:
    """One transaction to be written: its postings name accounts by id."""

    id: str
    kind: Kind
    postings: Sequence[Posting]
    currency_code: str
    external_id: str = ""
    fingerprint: str = ""
    description: str = ""
    metadata: Mapping[str, str] | None = None
    parent_id: str = ""
    rate_id: str = ""
    amount_minor: int = 0
    """Of a hold its amount; of a commit what is posted, 0 for all that remains."""
    flag: bool = False
    """Of a hold whether it may be posted in parts; of a commit whether the rest is given back."""
    expires_at: datetime | None = None


# Posted, pending in, pending out and the entry count of an account.
After = tuple[int, int, int, int]


@dataclass(slots=True)
class Outcome:
    """What became of a transfer; `id` is the transaction, or the account that was short.

    `after` has the balances after it for each posting; of a hold that it changed, `taken_minor` is
    what was posted or given back, and the others what it has posted and reserves after it.
    """

    code: str
    id: str
    recorded_at: datetime
    taken_minor: int
    committed_minor: int
    remaining_minor: int
    after: Sequence[After]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was written by one statement; `number` is the last batch of the books."""

    number: int
    outcomes: list[Outcome]


_APPLY = text(
    "SELECT * FROM ledger.apply_batch(:livemode, :at, :writer, :keys, :ids, :kinds, :external_ids,"
    " :fingerprints, :currencies, :descriptions, :metadatas, :parents, :rate_ids, :amounts,"
    " :finals, :expiries, :firsts, :owners, :slots, :debits, :posting_amounts, :account_ids)"
)
_LOCK_NOT_AVAILABLE = "55P03"


async def apply(tx: Transaction, writer: str, transfers: Sequence[tuple[str, Transfer]]) -> Batch:
    """Write transfers in order, each wholly or not at all; a key that has its answer does nothing.

    Raises: StoreUnavailable when another process holds the books too long.
    """
    values = _arguments(tx, writer, transfers)
    try:
        row: Sequence[Any] = (await tx.session.execute(_APPLY, values)).one()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _LOCK_NOT_AVAILABLE:
            raise StoreUnavailable(
                "the books are held by another writer; nothing was stored, try again",
                retry_after_seconds=1,
            ) from error
        raise
    codes, ids, at, number, taken, committed, remaining, *columns = row
    after = list(zip(*columns, strict=True))
    firsts = values["firsts"]
    return Batch(
        number,
        [
            Outcome(
                *(codes[n], ids[n], at, taken[n], committed[n], remaining[n]),
                after[firsts[n] - 1 : firsts[n + 1] - 1],
            )
            for n in range(len(codes))
        ],
    )


def _arguments(
    tx: Transaction, writer: str, transfers: Sequence[tuple[str, Transfer]]
) -> dict[str, Any]:
    """Return the arrays of a batch: a value a transfer, a value a posting, the accounts."""
    given = [transfer for _, transfer in transfers]
    legs = [leg for transfer in given for leg in transfer.postings]
    account_ids = sorted({leg.account for leg in legs})
    slots = {name: slot for slot, name in enumerate(account_ids, 1)}
    firsts, owners = [1], []
    for number, transfer in enumerate(given, 1):
        count = len(transfer.postings)
        firsts.append(firsts[-1] + count)
        owners += [number] * count
    return {
        "livemode": tx.livemode,
        "at": tx.now,
        "writer": writer,
        "keys": [key for key, _ in transfers],
        "ids": [item.id for item in given],
        "kinds": [item.kind for item in given],
        "external_ids": [item.external_id for item in given],
        "fingerprints": [item.fingerprint for item in given],
        "currencies": [item.currency_code for item in given],
        "descriptions": [item.description for item in given],
        "metadatas": [json.dumps(dict(item.metadata)) if item.metadata else "{}" for item in given],
        "parents": [item.parent_id for item in given],
        "rate_ids": [item.rate_id for item in given],
        "amounts": [item.amount_minor for item in given],
        "finals": [item.flag for item in given],
        "expiries": [item.expires_at for item in given],
        "firsts": firsts,
        "owners": owners,
        "slots": [slots[leg.account] for leg in legs],
        "debits": [leg.direction == "debit" for leg in legs],
        "posting_amounts": [leg.amount_minor for leg in legs],
        "account_ids": account_ids,
    }


_KEEP = text(
    "INSERT INTO ledger.idempotency"
    " (tenant_id, livemode, key, fingerprint, status, headers, body, created_at)"
    " SELECT :tenant_id, :livemode, u.key, u.fingerprint, u.status, u.headers::jsonb, u.body, :at"
    " FROM unnest(CAST(:keys AS text[]), CAST(:fingerprints AS text[]),"
    " CAST(:statuses AS integer[]), CAST(:headers AS text[]), CAST(:bodies AS bytea[]))"
    " AS u (key, fingerprint, status, headers, body)"
)


async def keep_answers(tx: Transaction, answers: Sequence[tuple[str, str, StoredAnswer]]) -> None:
    """Keep the answers of requests with a key, as the last thing that their transaction does."""
    if not answers:
        return
    values = {
        "tenant_id": tx.tenant_id,
        "livemode": tx.livemode,
        "at": tx.now,
        "keys": [key for key, _, _ in answers],
        "fingerprints": [print_ for _, print_, _ in answers],
        "statuses": [answer.status for _, _, answer in answers],
        "headers": [json.dumps(answer.headers) for _, _, answer in answers],
        "bodies": [answer.body for _, _, answer in answers],
    }
    await tx.session.execute(_KEEP, values)
