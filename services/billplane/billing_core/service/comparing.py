"""Comparing wallets with their accounts, so that a check can find where they differ."""

from billplane.billing_core import domain, peers
from billplane.billing_core.service import books, effects
from billplane.chassis.call import Call


async def compare(call: Call, wallet_id: str) -> None:
    """Keep what the ledger says of a wallet's account now.

    Raises: the ledger's errors.
    """
    account = await peers.account(call, domain.wallet_account(wallet_id))
    async with call.writing() as tx:
        held = await books.lock(tx, wallet_id)
        effects.note_account(held, account)
        held.wallet.compared_at = tx.now
