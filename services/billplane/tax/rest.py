"""REST of tax."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from fastapi import Response

from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import PageQuery, Reader, Writer, listing, router
from billplane.money import UnknownCurrency, parse_currency
from billplane.tax import domain, schemas, service

rest = router(tags=["tax"])


@rest.post("/v1/tax_calculations", status_code=201)
async def create_calculation(
    body: schemas.CalculationBody, tx: Writer, response: Response
) -> schemas.Calculation:
    """Compute the tax of some lines and record it."""
    customer = body.customer
    result = await service.record_tax(
        tx,
        buyer=domain.Buyer(
            customer_id=customer.customer_id,
            country=customer.country,
            region=customer.region,
            postal_code=customer.postal_code,
            tax_type=customer.tax_type,
            tax_ids=tuple((item.type, item.value) for item in customer.tax_ids),
            city=customer.city,
            county=customer.county,
        ),
        lines=[
            domain.Line(
                line_id=line.line_id,
                amount_minor=line.amount_minor,
                tax_on=line.tax_on or tx.now.date(),
                category=line.category or domain.STANDARD,
                inclusive=line.inclusive,
                rule_id=line.rule_id,
                plan_id=line.plan_id,
                plan_name=line.plan_name,
            )
            for line in body.lines
        ],
        currency=_currency(body.currency_code),
        reference=body.reference,
    )
    response.headers["Location"] = f"/v1/tax_calculations/{result.id}"
    return _calculation(result)


@rest.get("/v1/tax_calculations")
async def list_calculations(
    tx: Reader, page: PageQuery, reference: str | None = None, customer_id: str | None = None
) -> schemas.CalculationList:
    """List recorded calculations."""
    results, cursor = await service.list_calculations(tx, reference, customer_id, page)
    return schemas.CalculationList(**listing([_calculation(item) for item in results], cursor))


@rest.get("/v1/tax_calculations/{calculation_id}")
async def get_calculation(calculation_id: str, tx: Reader) -> schemas.Calculation:
    """Return one recorded calculation."""
    return _calculation(await service.get_calculation(tx, calculation_id))


@rest.get("/v1/tax_rules")
async def list_rules(tx: Reader, page: PageQuery, country: str | None = None) -> schemas.RuleList:
    """List the tenant's rules, then the shipped ones."""
    rules, cursor = await service.list_rules(tx, country, page)
    return schemas.RuleList(**listing([_rule(rule) for rule in rules], cursor))


@rest.post("/v1/tax_rules", status_code=201)
async def create_rule(body: schemas.RuleBody, tx: Writer, response: Response) -> schemas.Rule:
    """Add a rule of the tenant."""
    values = body.model_dump() | {"id": "", "rate": Decimal(body.rate)}
    rule = await service.create_rule(tx, domain.Rule(**values))
    response.headers["Location"] = f"/v1/tax_rules/{rule.id}"
    return _rule(rule)


@rest.post("/v1/tax_rules/{rule_id}:replace", status_code=201)
async def replace_rule(
    rule_id: str, body: schemas.RuleVersionBody, tx: Writer, response: Response
) -> schemas.Rule:
    """End a rule of the tenant on a day and begin its next version on it."""
    rule = await service.replace_rule(
        tx,
        rule_id,
        valid_from=body.valid_from,
        rate=Decimal(body.rate),
        treatment=body.treatment,
        label=body.label,
    )
    response.headers["Location"] = f"/v1/tax_rules/{rule.id}"
    return _rule(rule)


@rest.get("/v1/tax_rules/{rule_id}")
async def get_rule(rule_id: str, tx: Reader) -> schemas.Rule:
    """Return one rule, the tenant's or a shipped one."""
    return _rule(await service.get_rule(tx, rule_id))


@rest.delete("/v1/tax_rules/{rule_id}", status_code=204)
async def delete_rule(rule_id: str, tx: Writer) -> None:
    """Remove a rule of the tenant."""
    await service.delete_rule(tx, rule_id)


@rest.post("/v1/tax_ids:validate")
async def validate_tax_id(body: schemas.TaxIdBodyToCheck, tx: Reader) -> schemas.TaxIdCheck:
    """Tell whether a tax id is well formed; nobody is asked whether it is in use."""
    found = await service.check_tax_id(tx, body.type, body.value)
    return schemas.TaxIdCheck(**asdict(found))


@rest.get("/v1/tax_settings")
async def get_settings(tx: Reader) -> schemas.TaxSettings:
    """Return where the tenant is established."""
    return schemas.TaxSettings(country=await service.get_settings(tx))


@rest.put("/v1/tax_settings")
async def set_settings(body: schemas.SettingsBody, tx: Writer) -> schemas.TaxSettings:
    """Say where the tenant is established."""
    return schemas.TaxSettings(country=await service.set_settings(tx, body.country))


def _currency(code: str) -> Any:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("/currency_code", "CURRENCY_UNKNOWN", str(error))]) from None


def _calculation(result: service.Result) -> schemas.Calculation:
    calculation, buyer = result.calculation, result.buyer
    return schemas.Calculation(
        id=result.id,
        reference=result.reference,
        customer_id=buyer.get("customer_id", ""),
        country=buyer.get("country", ""),
        region=buyer.get("region", ""),
        tax_type=buyer.get("tax_type", ""),
        tax_ids=[schemas.TaxIdCheck(**item) for item in buyer.get("tax_ids", ())],
        currency_code=result.currency_code,
        net_minor=calculation.net_minor,
        tax_minor=calculation.tax_minor,
        total_minor=calculation.net_minor + calculation.tax_minor,
        lines=[
            schemas.TaxedLine(**{**asdict(line), "group_keys": list(line.group_keys)})
            for line in calculation.lines
        ],
        groups=[
            schemas.TaxGroup(
                **{**asdict(group), "rate": f"{group.rate:f}", "exact_tax": f"{group.exact_tax:f}"}
            )
            for group in calculation.groups
        ],
        notes=list(calculation.notes),
        created_at=result.created_at,
    )


def _rule(rule: domain.Rule) -> schemas.Rule:
    return schemas.Rule(**{**asdict(rule), "rate": f"{rule.rate:f}"})
