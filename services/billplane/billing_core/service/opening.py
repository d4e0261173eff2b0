"""Opening a wallet's account in the ledger."""

from billplane.billing_core import domain, peers, repository
from billplane.billing_core.errors import WalletNotFound
from billplane.billing_core.service import books, effects
from billplane.chassis.call import Call
from billplane.chassis.faults import faultpoint, register

register("billing_core.after_wallet", "billing_core.after_account")


class NotOpen(Exception):
    """The wallet's account is not known to be open."""

    def __init__(self, wallet_id: str) -> None:
        super().__init__(wallet_id)
        self.wallet_id = wallet_id


async def open_account(call: Call, wallet_id: str) -> None:
    """Open the account of a wallet that was just stored, or go on where somebody stopped.

    Raises: WalletNotFound, the ledger's errors.
    Idempotent by: the wallet.
    """
    async with call.reading() as reading:
        wallet = await repository.wallet(reading, wallet_id)
    if wallet is None:
        raise WalletNotFound(f"there is no wallet {wallet_id}")
    if wallet.state != "opening":
        return
    faultpoint("billing_core.after_wallet")
    account = await peers.open_account(
        call,
        name=domain.wallet_account(wallet.id),
        title=f"Wallet of {wallet.customer_id} in {wallet.currency_code}",
        currency_code=wallet.currency_code,
        overdraft_minor=wallet.overdraft_minor,
    )
    faultpoint("billing_core.after_account")
    async with call.writing() as tx:
        held = await books.lock(tx, wallet_id)
        if held.wallet.state == "opening":
            held.wallet.state, held.wallet.account_id = "active", account.id
            effects.note_account(held, account)
