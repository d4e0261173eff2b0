"""Who the utility's customers are and which accounts they have."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from billplane.provider_simulator.domain.draws import between, one_in
from billplane.provider_simulator.domain.tariffs import UNITS, Tariff, tariff_of

WELL_KNOWN: Final = ("mfa", "locked", "expired", "slow", "malformed")
WELL_KNOWN_PASSWORD: Final = "password"  # noqa: S105 - an invented customer of an invented utility
CODE: Final = "123456"
DOMAIN: Final = "customers.example"
_FIRST_OPENED = date(2023, 1, 1)
_FIRST_NAMES = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Frida", "Gus", "Hana", "Ivo", "Jule")
_LAST_NAMES = ("Ahrens", "Berg", "Castel", "Dahl", "Ernst", "Falk", "Graf", "Holm", "Irle")
_STREETS = ("Mill Lane", "Station Road", "Harbour Street", "Garden Row", "North Square")


@dataclass(frozen=True, slots=True)
class Utility:
    """What a simulated utility is."""

    seed: int
    accounts: int
    category: str
    country: str
    currency: str


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who can log in; `kind` is the name of a well-known one, else empty."""

    number: int
    username: str
    password: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """A contract for one place of delivery, with its meter."""

    id: str
    number: str
    holder: str
    address: str
    meter_id: str
    unit: str
    tariff: Tariff
    opened_on: date
    read_day: int


def customer_of(utility: Utility, username: str) -> Customer | None:
    """Return the customer with a user name."""
    local, at, _ = username.lower().partition("@")
    if not at:
        return None
    if local in WELL_KNOWN:
        number = utility.accounts + 1 + WELL_KNOWN.index(local)
        return Customer(number, username.lower(), WELL_KNOWN_PASSWORD, local)
    prefix, _, digits = local.partition("-")
    if prefix != "customer" or not digits.isascii() or not digits.isdigit() or len(digits) > 5:
        return None
    number = int(digits)
    return customer(number) if 1 <= number <= utility.accounts else None


def customer(number: int) -> Customer:
    """Return an ordinary customer."""
    return Customer(number, f"customer-{number}@{DOMAIN}", f"password-{number}")


def accounts_of(utility: Utility, number: int) -> list[Account]:
    """Return the accounts of a customer: one, or two for one customer in six."""
    count = 2 if one_in(6, utility.seed, "second account", number) else 1
    return [_account(utility, number, index) for index in range(1, count + 1)]


def _account(utility: Utility, number: int, index: int) -> Account:
    seed = utility.seed
    account_id = f"acc-{number}-{index}"

    def pick(name: str, choices: tuple[str, ...]) -> str:
        return choices[between(0, len(choices) - 1, seed, name, number)]

    street, house = pick("street", _STREETS), between(1, 180, seed, "house", account_id)
    postcode = between(10_000, 99_999, seed, "postcode", account_id)
    return Account(
        id=account_id,
        number=str(between(10**9, 10**10 - 1, seed, "account number", account_id)),
        holder=f"{pick('first', _FIRST_NAMES)} {pick('last', _LAST_NAMES)}",
        address=f"{house} {street}, {postcode}",
        meter_id=f"mtr-{between(10**7, 10**8 - 1, seed, 'meter', account_id)}",
        unit=UNITS[utility.category],
        tariff=tariff_of(utility.category, seed, account_id),
        opened_on=_FIRST_OPENED + timedelta(days=between(0, 364, seed, "opened", account_id)),
        read_day=between(1, 28, seed, "read day", account_id),
    )
