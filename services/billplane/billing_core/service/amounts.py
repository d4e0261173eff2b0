"""What something costs, and what that is in the wallet's currency."""

from dataclasses import dataclass

from billplane.billing_core import peers
from billplane.billing_core.errors import BalanceOutOfRange, NothingToCharge
from billplane.billing_core.service import wallets
from billplane.billing_core.service.wallets import Found, Target
from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.money import MINOR_MAX


@dataclass(frozen=True, slots=True)
class Price:
    """A quantity of a meter on a plan."""

    plan: str
    meter: str
    quantity: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken: an amount or the price of a usage."""

    amount_minor: int | None
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What is taken from a wallet, and what that is in the currency that was asked in."""

    wallet: Found
    amount_minor: int
    asked_minor: int
    asked_currency_code: str
    rate_id: str

    @property
    def crosses(self) -> bool:
        """True when the wallet is kept in another currency than was asked in."""
        return self.asked_currency_code != self.wallet.currency_code


async def due(call: Call, target: Target, wanted: Wanted, *, convertible: bool = True) -> Due:
    """Return the wallet that pays and how much.

    Raises: WalletNotFound, CurrencyMismatch, NothingToCharge, Invalid, the peers' errors.
    """
    if (wanted.amount_minor is None) == (wanted.price is None):
        detail = "name either an amount or what is priced"
        raise Invalid([FieldError("/amount_minor", "AMOUNT_OR_PRICE", detail)])
    if wanted.price is None and not target.currency_code:
        if not target.wallet_id:
            detail = "name the currency of the amount"
            raise Invalid([FieldError("/currency_code", "FIELD_REQUIRED", detail)])
        wallet = await wallets.find(call, target)
        target = Target(target.customer_id, wallet.currency_code, target.wallet_id)
    at = call.runtime.clock.now()
    if wanted.price is None:
        asked = peers.Amount(wanted.amount_minor or 0, target.currency_code)
    else:
        price = wanted.price
        asked = await peers.price(
            call,
            plan=price.plan,
            meter=price.meter,
            quantity=price.quantity,
            currency_code=target.currency_code,
            at=at,
        )
        target = Target(target.customer_id, asked.currency_code, target.wallet_id)
    wallet = await wallets.find(call, target, convertible=convertible)
    own = asked
    if wallet.currency_code != asked.currency_code:
        own = await peers.convert(call, asked, wallet.currency_code, at)
    if not (0 < own.minor <= MINOR_MAX and 0 < asked.minor <= MINOR_MAX):
        refused = NothingToCharge if min(own.minor, asked.minor) <= 0 else BalanceOutOfRange
        raise refused(f"it comes to {own.minor} minor units of {own.currency_code}")
    rate_id = ",".join(filter(None, (asked.rate_id, own.rate_id if own is not asked else "")))
    return Due(wallet, own.minor, asked.minor, asked.currency_code, rate_id)
