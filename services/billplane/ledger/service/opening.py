"""Which accounts there are; those of the chart are opened when a posting first names them."""

from collections.abc import Collection, Iterable

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.ledger import domain, repository
from billplane.ledger.domain import Account, ChartAccount
from billplane.ledger.models import AccountRow
from billplane.ledger.service.gathering import Gathering

REMEMBERED_MAX = 200_000


class AccountIndex:
    """What never changes of accounts, remembered by the name that they were called."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, str], Account] = {}
        self._looked_up = Gathering(repository.accounts_named)

    async def find(self, call: Call, names: Collection[str]) -> dict[str, Account]:
        """Return the accounts that there are, by name; those of the chart are there when asked."""
        tenant_id, livemode = call.principal.tenant_id, call.principal.livemode
        found = self._remembered(tenant_id, livemode, names)
        missing = [name for name in names if name not in found]
        if not missing:
            return found
        new = await self._look_up(call, missing)
        unopened = _of_chart(name for name in missing if name not in new)
        if unopened:
            async with call.writing() as writing:
                new |= await _open(writing, unopened)
        self._remember(tenant_id, livemode, new)
        return found | new

    async def _look_up(self, call: Call, names: Collection[str]) -> dict[str, Account]:
        if not call.key:
            return await self._looked_up.ask(call, names)
        async with call.reading() as tx:  # the key's answer may be there already
            return await repository.accounts_named(tx, names)

    async def find_within(self, tx: Transaction, names: Collection[str]) -> dict[str, Account]:
        """Do the same in a transaction; what it opened is remembered by nobody until it has ended.

        Whoever opens the same accounts meanwhile waits for this transaction.
        """
        found = self._remembered(tx.tenant_id, tx.livemode, names)
        missing = [name for name in names if name not in found]
        if not missing:
            return found
        new = await repository.accounts_named(tx, missing)
        self._remember(tx.tenant_id, tx.livemode, new)
        unopened = _of_chart(name for name in missing if name not in new)
        return found | new | (await _open(tx, unopened) if unopened else {})

    def _remembered(
        self, tenant_id: str, livemode: bool, names: Collection[str]
    ) -> dict[str, Account]:
        known = self._known
        found = {}
        for name in names:
            account = known.get((tenant_id, livemode, name))
            if account is not None:
                found[name] = account
        return found

    def _remember(self, tenant_id: str, livemode: bool, new: dict[str, Account]) -> None:
        while self._known and len(self._known) + len(new) > REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known |= {(tenant_id, livemode, name): account for name, account in new.items()}


def _of_chart(names: Iterable[str]) -> list[ChartAccount]:
    accounts = (domain.chart_account(name) for name in names)
    return [account for account in accounts if account is not None]


async def _open(tx: Transaction, accounts: list[ChartAccount]) -> dict[str, Account]:
    """Open accounts of the chart unless somebody did meanwhile.

    Idempotent by: the name.
    """
    await repository.open_accounts(tx, [new_account(tx, account) for account in accounts])
    return await repository.accounts_named(tx, [account.external_id for account in accounts])


def new_account(tx: ReadTransaction, account: ChartAccount) -> AccountRow:
    """Return the row of an account of the chart."""
    return AccountRow(
        tenant_id=tx.tenant_id,
        id=ids.new("acc"),
        livemode=tx.livemode,
        external_id=account.external_id,
        name=account.name,
        type=account.type,
        currency_code=account.currency_code,
        allow_negative=True,
        credit_limit_minor=None,
        tags={},
        posted_minor=0,
        pending_in_minor=0,
        pending_out_minor=0,
        entry_count=0,
        created_at=tx.now,
    )
