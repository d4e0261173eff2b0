"""gRPC of tax."""

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Rpc, from_timestamp, to_timestamp
from billplane.money import UnknownCurrency, parse_currency
from billplane.protos.tax.v1 import tax_pb2
from billplane.tax import domain, service

rpc = Rpc(tax_pb2.DESCRIPTOR.services_by_name["TaxService"])

_TAX_TYPES = {tax_pb2.TAX_TYPE_BUSINESS: "business"}


@rpc.write
async def CalculateTax(
    tx: Transaction, request: tax_pb2.CalculateTaxRequest
) -> tax_pb2.CalculateTaxResponse:
    """Compute tax; recorded unless it is a preview."""
    at = from_timestamp(request, "at") or tx.now
    customer = request.customer
    try:
        currency = parse_currency(request.currency_code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("currency_code", "CURRENCY_UNKNOWN", str(error))]) from None
    use_case = service.calculate_tax if request.preview else service.record_tax
    result = await use_case(
        tx,
        buyer=domain.Buyer(
            customer_id=customer.customer_id,
            country=customer.country,
            region=customer.region,
            postal_code=customer.postal_code,
            tax_type=_TAX_TYPES.get(customer.tax_type, "consumer"),
            tax_ids=tuple((item.type, item.value) for item in customer.tax_ids),
            city=customer.city,
            county=customer.county,
        ),
        lines=[
            domain.Line(
                line_id=line.line_id,
                amount_minor=line.amount_minor,
                tax_on=service.parse_date(line.tax_on, f"lines[{index}].tax_on", at.date()),
                category=line.category or domain.STANDARD,
                inclusive=line.inclusive,
                rule_id=line.rule_id,
                plan_id=line.plan_id,
                plan_name=line.plan_name,
            )
            for index, line in enumerate(request.lines)
        ],
        currency=currency,
        reference=request.reference,
    )
    return tax_pb2.CalculateTaxResponse(calculation=to_proto_calculation(result))


@rpc.read
async def GetTaxCalculation(
    tx: ReadTransaction, request: tax_pb2.GetTaxCalculationRequest
) -> tax_pb2.GetTaxCalculationResponse:
    """Return one recorded calculation."""
    result = await service.get_calculation(tx, request.id)
    return tax_pb2.GetTaxCalculationResponse(calculation=to_proto_calculation(result))


@rpc.read
async def ListTaxRules(
    tx: ReadTransaction, request: tax_pb2.ListTaxRulesRequest
) -> tax_pb2.ListTaxRulesResponse:
    """List rules."""
    page = Page.of(request.page_size, request.page_token)
    rules, cursor = await service.list_rules(tx, request.country or None, page)
    return tax_pb2.ListTaxRulesResponse(
        rules=[to_proto_rule(rule) for rule in rules], next_page_token=cursor or ""
    )


def to_proto_calculation(result: service.Result) -> tax_pb2.TaxCalculation:
    """Return a calculation as a message."""
    calculation = result.calculation
    return tax_pb2.TaxCalculation(
        id=result.id,
        currency_code=result.currency_code,
        reference=result.reference,
        lines=[
            tax_pb2.TaxedLine(
                line_id=line.line_id,
                net_minor=line.net_minor,
                tax_minor=line.tax_minor,
                group_keys=line.group_keys,
            )
            for line in calculation.lines
        ],
        groups=[
            tax_pb2.TaxGroup(
                key=group.key,
                jurisdiction=group.jurisdiction,
                category=group.category,
                treatment=_treatment(group.treatment),
                rate=f"{group.rate:f}",
                base_minor=group.base_minor,
                tax_minor=group.tax_minor,
                exact_tax=f"{group.exact_tax:f}",
                rule_id=group.rule_id,
                rule_version=group.rule_version,
                label=group.label,
            )
            for group in calculation.groups
        ],
        net_minor=calculation.net_minor,
        tax_minor=calculation.tax_minor,
        total_minor=calculation.net_minor + calculation.tax_minor,
        notes=calculation.notes,
        created_at=to_timestamp(result.created_at),
    )


def to_proto_rule(rule: domain.Rule) -> tax_pb2.TaxRule:
    """Return a rule as a message."""
    return tax_pb2.TaxRule(
        id=rule.id,
        origin=rule.origin,
        country=rule.country,
        region=rule.region,
        postal_prefix=rule.postal_prefix,
        category=rule.category,
        treatment=_treatment(rule.treatment),
        rate=f"{rule.rate:f}",
        valid_from=rule.valid_from.isoformat(),
        valid_until=rule.valid_until.isoformat() if rule.valid_until else "",
        label=rule.label,
        source=rule.source,
        customer_id=rule.customer_id,
        county=rule.county,
        city=rule.city,
        level=rule.level,
        plan=rule.plan,
        stacked=rule.stacked,
        version=rule.version,
        series=rule.series,
        tax_type=tax_pb2.TaxType.Value(f"TAX_TYPE_{(rule.tax_type or 'unspecified').upper()}"),
    )


def _treatment(name: str) -> tax_pb2.Treatment.ValueType:
    return tax_pb2.Treatment.Value(f"TREATMENT_{name}")
