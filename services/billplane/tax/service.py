"""Use cases of tax."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.money import MINOR_MAX, AmountOutOfRange, CurrencyCode, check_minor
from billplane.protos.tax.v1.events_pb2 import TaxCalculated
from billplane.tax import domain, repository
from billplane.tax.errors import (
    TaxCalculationNotFound,
    TaxRuleNotFound,
    TaxRuleShipped,
    TaxRuleSuperseded,
)
from billplane.tax.models import TaxCalculationRow, TaxRuleRow

LINES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Result:
    """A calculation and, once recorded, its id."""

    id: str
    currency_code: str
    reference: str
    calculation: domain.Calculation
    created_at: Any
    buyer: dict[str, Any]


async def calculate_tax(
    tx: ReadTransaction,
    *,
    buyer: domain.Buyer,
    lines: Sequence[domain.Line],
    currency: CurrencyCode,
    reference: str,
) -> Result:
    """Compute the tax of some lines without recording it.

    Raises: TaxRateUnknown, Invalid, ScopeMissing.
    """
    tx.authorize("taxes:read")
    _check(lines)
    buyer = replace(buyer, country=domain.iso_country(buyer.country))
    own = await repository.own_rules(tx, buyer.country)
    seller = await repository.seller_country(tx)
    try:
        calculation = domain.calculate(buyer, lines, currency, own, seller)
        check_minor(calculation.net_minor + calculation.tax_minor)
    except AmountOutOfRange as error:
        raise Invalid([FieldError("/lines", "AMOUNT_OUT_OF_RANGE", str(error))]) from None
    return Result("", currency, reference, calculation, tx.now, _buyer_json(buyer, seller))


async def record_tax(
    tx: Transaction,
    *,
    buyer: domain.Buyer,
    lines: Sequence[domain.Line],
    currency: CurrencyCode,
    reference: str,
) -> Result:
    """Compute the tax of some lines, record the calculation and publish TaxCalculated.

    Raises: TaxRateUnknown, Invalid, ScopeMissing.
    Idempotent by: the request id.
    """
    tx.authorize("taxes:write")
    result = await calculate_tax(
        tx, buyer=buyer, lines=lines, currency=currency, reference=reference
    )
    calculation = result.calculation
    calculation_id = ids.new("txc")
    total = calculation.net_minor + calculation.tax_minor
    tx.session.add(
        TaxCalculationRow(
            tenant_id=tx.tenant_id,
            id=calculation_id,
            livemode=tx.livemode,
            reference=reference,
            customer_id=buyer.customer_id,
            currency_code=currency,
            net_minor=calculation.net_minor,
            tax_minor=calculation.tax_minor,
            total_minor=total,
            lines=[asdict(line) for line in calculation.lines],
            groups=[_group_json(group) for group in calculation.groups],
            notes=list(calculation.notes),
            buyer=result.buyer,
            created_at=tx.now,
        )
    )
    await tx.publish(
        TaxCalculated(
            calculation_id=calculation_id,
            reference=reference,
            customer_id=buyer.customer_id,
            currency_code=currency,
            net_minor=calculation.net_minor,
            tax_minor=calculation.tax_minor,
            total_minor=total,
        ),
        aggregate_id=calculation_id,
    )
    return replace(result, id=calculation_id)


async def get_calculation(tx: ReadTransaction, calculation_id: str) -> Result:
    """Return one recorded calculation.

    Raises: TaxCalculationNotFound.
    """
    tx.authorize("taxes:read")
    row = await repository.calculation(tx, calculation_id)
    if row is None:
        raise TaxCalculationNotFound(f"there is no tax calculation {calculation_id}")
    return result_of(row)


async def list_calculations(
    tx: ReadTransaction, reference: str | None, customer_id: str | None, page: Page
) -> tuple[list[Result], str | None]:
    """Return a page of recorded calculations."""
    tx.authorize("taxes:read")
    rows, cursor = await repository.page_of_calculations(tx, reference, customer_id, page)
    return [result_of(row) for row in rows], cursor


async def list_rules(
    tx: ReadTransaction, country: str | None, page: Page
) -> tuple[list[domain.Rule], str | None]:
    """Return the rules that apply: the tenant's own by page; on the last page the shipped too."""
    tx.authorize("taxes:read")
    own, cursor = await repository.page_of_rules(tx, country, page)
    if cursor is not None:
        return own, cursor
    shipped = [rule for rule in domain.shipped_rules() if country in (None, "", rule.country)]
    return own + shipped, None


async def get_rule(tx: ReadTransaction, rule_id: str) -> domain.Rule:
    """Return one rule, the tenant's or a shipped one.

    Raises: TaxRuleNotFound, ScopeMissing.
    """
    tx.authorize("taxes:read")
    for rule in domain.shipped_rules():
        if rule.id == rule_id:
            return rule
    row = await repository.rule(tx, rule_id)
    if row is None:
        raise TaxRuleNotFound(f"there is no tax rule {rule_id}")
    return repository.rule_of(row)


async def create_rule(tx: Transaction, rule: domain.Rule) -> domain.Rule:
    """Add a rule of the tenant; it goes before the shipped ones.

    Raises: Invalid when its dates are the wrong way round or its rate contradicts its treatment.
    """
    tx.authorize("taxes:write")
    _check_rule(rule)
    rule_id = ids.new("txr")
    made = replace(
        rule,
        id=rule_id,
        series=rule_id,
        country=domain.iso_country(rule.country),
        region=rule.region.removeprefix(f"{rule.country}-"),
        label=rule.label or f"{rule.rate * 100:f} %",
    )
    _store(tx, made)
    return made


async def replace_rule(
    tx: Transaction,
    rule_id: str,
    *,
    valid_from: date,
    rate: Decimal,
    treatment: str | None,
    label: str | None,
) -> domain.Rule:
    """End a rule of the tenant on a day and begin its next version on it.

    Raises: TaxRuleShipped, TaxRuleNotFound, TaxRuleSuperseded, Invalid, ScopeMissing.
    """
    tx.authorize("taxes:write")
    held = await _own_rule(tx, rule_id)
    newest = await repository.newest_version(tx, held.series)
    if newest is None or newest.id != held.id or valid_from <= held.valid_from:
        raise TaxRuleSuperseded(
            f"the newest version of the rule begins on {(newest or held).valid_from}; the next must"
            " follow that version and begin later",
            field="/valid_from",
            metadata={"newest_id": (newest or held).id},
        )
    before = repository.rule_of(held)
    following = replace(
        before,
        id=ids.new("txr"),
        version=before.version + 1,
        rate=rate,
        treatment=treatment or before.treatment,
        valid_from=valid_from,
        label=label or f"{rate * 100:f} %",
    )
    _check_rule(following)
    if held.valid_until is None or held.valid_until > valid_from:
        held.valid_until = valid_from
    _store(tx, following)
    return following


async def delete_rule(tx: Transaction, rule_id: str) -> None:
    """Remove a rule of the tenant; calculations that used it keep what they recorded.

    Raises: TaxRuleShipped, TaxRuleNotFound.
    """
    tx.authorize("taxes:write")
    await tx.session.delete(await _own_rule(tx, rule_id))


async def check_tax_id(tx: ReadTransaction, kind: str, value: str) -> domain.TaxIdCheck:
    """Tell whether a tax id is well formed and its check digits are right."""
    tx.authorize("taxes:read")
    return domain.check_tax_id(kind, value)


async def _own_rule(tx: Transaction, rule_id: str) -> TaxRuleRow:
    if any(rule.id == rule_id for rule in domain.shipped_rules()):
        raise TaxRuleShipped("a shipped rule does not change; add a rule of your own instead")
    row = await repository.rule(tx, rule_id)
    if row is None:
        raise TaxRuleNotFound(f"there is no tax rule {rule_id}")
    return row


def _store(tx: Transaction, rule: domain.Rule) -> None:
    values = asdict(rule)
    del values["source"], values["origin"]
    tx.session.add(TaxRuleRow(tenant_id=tx.tenant_id, created_at=tx.now, **values))


def _check_rule(rule: domain.Rule) -> None:
    errors = []
    if rule.valid_until is not None and rule.valid_until <= rule.valid_from:
        errors.append(("/valid_until", "valid_until must be after valid_from"))
    if rule.treatment in ("ZERO", "EXEMPT") and rule.rate:
        errors.append(("/rate", f"the rate of {rule.treatment} is 0"))
    if rule.level and not rule.stacked:
        errors.append(("/level", "only a stacked rule has a level"))
    if errors:
        raise Invalid([FieldError(field, "FIELD_INVALID", detail) for field, detail in errors])


def _buyer_json(buyer: domain.Buyer, seller_country: str) -> dict[str, Any]:
    """Return who bought, as it was known, with what its tax ids were found to be."""
    values = asdict(buyer)
    values["tax_ids"] = [asdict(domain.check_tax_id(*tax_id)) for tax_id in buyer.tax_ids]
    return values | {"seller_country": seller_country}


async def get_settings(tx: ReadTransaction) -> str:
    """Return the country that the tenant is established in, '' when it has not said."""
    tx.authorize("taxes:read")
    return await repository.seller_country(tx)


async def set_settings(tx: Transaction, country: str) -> str:
    """Store the country that the tenant is established in: no reverse charge within it."""
    tx.authorize("taxes:write")
    country = domain.iso_country(country)
    await repository.set_seller_country(tx, country)
    return country


def _check(lines: Sequence[domain.Line]) -> None:
    errors = []
    if len(lines) > LINES_MAX:
        errors.append(FieldError("/lines", "TOO_MANY_LINES", f"at most {LINES_MAX} lines"))
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.line_id in seen:
            errors.append(
                FieldError(f"/lines/{index}/line_id", "LINE_ID_REPEATED", "line ids must differ")
            )
        seen.add(line.line_id)
        if abs(line.amount_minor) > MINOR_MAX:
            field = f"/lines/{index}/amount_minor"
            detail = f"an amount must lie within ±{MINOR_MAX} minor units"
            errors.append(FieldError(field, "AMOUNT_OUT_OF_RANGE", detail))
    if errors:
        raise Invalid(errors)


def _group_json(group: domain.Group) -> dict[str, Any]:
    return {**asdict(group), "rate": f"{group.rate:f}", "exact_tax": f"{group.exact_tax:f}"}


def result_of(row: TaxCalculationRow) -> Result:
    """Return a row as the calculation it recorded."""
    lines = tuple(
        domain.TaxedLine(**{**line, "group_keys": tuple(line["group_keys"])}) for line in row.lines
    )
    groups = tuple(
        domain.Group(
            **{**group, "rate": Decimal(group["rate"]), "exact_tax": Decimal(group["exact_tax"])}
        )
        for group in row.groups
    )
    calculation = domain.Calculation(lines, groups, tuple(row.notes))
    return Result(row.id, row.currency_code, row.reference, calculation, row.created_at, row.buyer)


def parse_date(text: str, field: str, default: date) -> date:
    """Read YYYY-MM-DD; '' means the default.

    Raises: Invalid.
    """
    if not text:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid([FieldError(field, "FIELD_INVALID", "expected YYYY-MM-DD")]) from None
