"""Currencies: ISO 4217, which of them a tenant uses, and its default."""

from dataclasses import dataclass

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.exchange_rate import repository
from billplane.exchange_rate.errors import CurrencyDisabled, CurrencyIsDefault
from billplane.exchange_rate.models import CurrencyRow
from billplane.money import (
    CURRENCY_CODES,
    CurrencyCode,
    UnknownCurrency,
    currency_name,
    minor_units,
    parse_currency,
)


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency as a tenant uses it."""

    code: str
    name: str
    minor_units: int
    enabled: bool
    default: bool


def parse(code: str, field: str) -> CurrencyCode:
    """Read a currency code.

    Raises: Invalid.
    """
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError(field, "CURRENCY_UNKNOWN", str(error))]) from None


async def list_currencies(tx: ReadTransaction) -> list[Currency]:
    """Return every currency of ISO 4217, by code.

    Raises: ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    found = await repository.currencies(tx)
    return [_currency(code, found.get(code)) for code in sorted(CURRENCY_CODES)]


async def set_currency(
    tx: Transaction, code: str, *, enabled: bool | None, default: bool | None
) -> Currency:
    """Enable or disable a currency for the tenant, or make it the default; None stays as it is.

    Rates of a disabled currency are kept and not used.

    Raises: Invalid, CurrencyDisabled for a default that is not enabled, CurrencyIsDefault for a
        default that would be disabled, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    code = parse(code, "code")
    await repository.lock_currencies(tx)
    found = await repository.currencies(tx)
    row = found.get(code)
    if row is None:
        row = CurrencyRow(tenant_id=tx.tenant_id, code=code, enabled=True, is_default=False)
    wanted = row.enabled if enabled is None else enabled
    chosen = row.is_default if default is None else default
    if chosen and not wanted:
        if row.is_default and default is None:
            raise CurrencyIsDefault(f"{code} is the default; make another one it first")
        raise CurrencyDisabled(f"{code} is disabled, and cannot be the default")
    if chosen and not row.is_default:
        for other in found.values():
            other.is_default = False
        await tx.session.flush()
    row.enabled, row.is_default = wanted, chosen
    row.changed_by, row.changed_at = tx.principal.subject, tx.now
    tx.session.add(row)
    return _currency(code, row)


async def require_enabled(tx: ReadTransaction, codes: dict[str, str]) -> None:
    """Refuse currencies that are unknown, or that the tenant has disabled; by field.

    Raises: Invalid, CurrencyDisabled.
    """
    for field, code in codes.items():
        parse(code, field)
    found = await repository.currencies(tx)
    for field, code in codes.items():
        row = found.get(code)
        if row is not None and not row.enabled:
            raise CurrencyDisabled(f"{code} is disabled", field=field, metadata={"currency": code})


async def default_currency(tx: ReadTransaction, field: str) -> str:
    """Return the tenant's default currency.

    Raises: Invalid without one.
    """
    for row in (await repository.currencies(tx)).values():
        if row.is_default:
            return row.code
    detail = f"{field} is required, since the tenant has no default currency"
    raise Invalid([FieldError(field, "FIELD_REQUIRED", detail)])


def _currency(code: str, row: CurrencyRow | None) -> Currency:
    known = CurrencyCode(code)
    return Currency(
        code=code,
        name=currency_name(known),
        minor_units=minor_units(known),
        enabled=row is None or row.enabled,
        default=row is not None and row.is_default,
    )
