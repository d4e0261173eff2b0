"""Accounts: opening them, their balances now and before, their entries."""

from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import CursorInvalid, FieldError, Invalid
from billplane.chassis.rest import Page, decode_cursor, encode_cursor
from billplane.ledger import domain, repository
from billplane.ledger.domain import Balance, TrialLine
from billplane.ledger.errors import AccountNotFound, ExternalIdReused
from billplane.ledger.models import AccountRow, EntryRow
from billplane.money import MINOR_MAX


async def create_account(
    tx: Transaction,
    *,
    name: str,
    kind: str,
    currency_code: str,
    allow_negative: bool,
    credit_limit_minor: int | None,
    external_id: str,
    metadata: dict[str, str],
) -> AccountRow:
    """Open an account.

    Raises: ExternalIdReused, Invalid.
    Idempotent by: the request id, and external_id refuses a second one.
    """
    tx.authorize("ledger:write")
    currency = domain.read_currency(currency_code, "/currency_code")
    domain.check_chart(external_id, kind, currency, allow_negative)
    if credit_limit_minor is not None and not 0 <= credit_limit_minor <= MINOR_MAX:
        detail = f"a credit limit is 0 to {MINOR_MAX} minor units"
        raise Invalid([FieldError("/credit_limit_minor", "AMOUNT_OUT_OF_RANGE", detail)])
    row = AccountRow(
        tenant_id=tx.tenant_id,
        id=ids.new("acc"),
        livemode=tx.livemode,
        external_id=external_id,
        name=name,
        type=kind,
        currency_code=currency,
        allow_negative=allow_negative,
        credit_limit_minor=credit_limit_minor,
        tags=metadata,
        posted_minor=0,
        pending_in_minor=0,
        pending_out_minor=0,
        entry_count=0,
        created_at=tx.now,
    )
    try:
        await repository.add_account(tx, row)
    except IntegrityError as error:
        if "uq_accounts_external_id" not in str(error.orig):
            raise
        raise ExternalIdReused(
            f"the external_id {external_id} belongs to another account", field="/external_id"
        ) from None
    return row


async def get_account(tx: ReadTransaction, name: str) -> AccountRow:
    """Return an account by id or external_id.

    Raises: AccountNotFound.
    """
    tx.authorize("ledger:read")
    row = await repository.account(tx, name)
    if row is None:
        raise AccountNotFound(f"there is no account {name}")
    return row


async def list_accounts(tx: ReadTransaction, page: Page) -> tuple[list[AccountRow], str | None]:
    """Return a page of accounts."""
    tx.authorize("ledger:read")
    rows, cursor = await repository.page_of_accounts(tx, page)
    return list(rows), cursor


async def get_balance(call: Call, name: str, at: datetime | None) -> Balance:
    """Return an account's balances, now or as they stood when that instant was over.

    Raises: AccountNotFound.
    """
    call.principal.require("ledger:read")
    found: Balance | None
    if at is None:
        found = (await call.runtime.state.balances.ask(call, (name,))).get(name)
        if found is None:
            raise AccountNotFound(f"there is no account {name}")
        return found
    async with call.reading() as tx:
        row = await get_account(tx, name)
        entry = await repository.last_entry(tx, row.id, at)
    if entry is None:
        return Balance(row.id, row.currency_code, 0, 0, 0, 0)
    return Balance(
        row.id,
        row.currency_code,
        entry.posted_after_minor,
        entry.pending_in_after_minor,
        entry.pending_out_after_minor,
        entry.number,
    )


async def list_entries(
    tx: ReadTransaction, name: str, page: Page
) -> tuple[list[EntryRow], str | None]:
    """Return a page of an account's entries.

    Raises: AccountNotFound, CursorInvalid.
    """
    row = await get_account(tx, name)
    after = None if page.cursor is None else _place(page.cursor)
    rows = list(await repository.entries(tx, row.id, page.limit + 1, after, page.order))
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    last = rows[-1]
    return rows, encode_cursor(f"{last.recorded_at.astimezone(UTC).isoformat()} {last.number}")


async def get_trial_balance(tx: ReadTransaction) -> dict[str, list[TrialLine]]:
    """Sum what accounts hold, by currency: debits and credits are equal in each."""
    tx.authorize("ledger:read")
    found: dict[str, list[TrialLine]] = {}
    for line in await repository.trial_balance(tx, domain.CHART):
        found.setdefault(line.currency_code, []).append(line)
    return found


def _place(cursor: str) -> tuple[datetime, int]:
    """Read where a page of entries ended.

    Raises: CursorInvalid.
    """
    recorded_at, _, number = decode_cursor(cursor).rpartition(" ")
    try:
        instant = datetime.fromisoformat(recorded_at).astimezone(UTC)
        place = int(number)
    except (ValueError, OverflowError):
        instant, place = datetime.min.replace(tzinfo=UTC), -1
    if not (number.isdigit() and 0 < place < 2**63):
        raise CursorInvalid("the cursor is not one that this list gave", field="cursor")
    return instant, place
