"""REST of discount."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import Response

from billplane.chassis import ids
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.discount import domain, schemas, service
from billplane.money import CurrencyCode, UnknownCurrency, parse_currency

rest = router(tags=["discount"])


@rest.post("/v1/coupons", status_code=201)
async def create_coupon(body: schemas.CouponBody, tx: Writer, response: Response) -> schemas.Coupon:
    """Add a coupon."""
    values = body.model_dump(exclude={"percent", "currency_code"})
    coupon = await service.create_coupon(
        tx,
        domain.Coupon(
            **values
            | {
                "id": ids.new("cpn"),
                "created_at": tx.now,
                "percent": Decimal(body.percent) if body.percent else None,
                "currency": _currency(body.currency_code) if body.currency_code else "",
                "plans": tuple(body.plans),
                "charges": tuple(body.charges),
                "meters": tuple(body.meters),
            }
        ),
    )
    response.headers["Location"] = f"/v1/coupons/{coupon.id}"
    return _coupon(coupon, tx.now)


@rest.get("/v1/coupons")
async def list_coupons(tx: Reader, page: PageQuery, code: str | None = None) -> schemas.CouponList:
    """List coupons, archived ones too."""
    coupons, cursor = await service.list_coupons(tx, code, page)
    return schemas.CouponList(**listing([_coupon(item, tx.now) for item in coupons], cursor))


@rest.get("/v1/coupons/{coupon_id}")
async def get_coupon(coupon_id: str, tx: Reader) -> schemas.Coupon:
    """Return one coupon by id or code."""
    return _coupon(await service.get_coupon(tx, coupon_id), tx.now)


@rest.delete("/v1/coupons/{coupon_id}", status_code=204)
async def archive_coupon(coupon_id: str, tx: Writer) -> None:
    """Archive a coupon: nobody else may redeem it."""
    await service.archive_coupon(tx, coupon_id)


@rest.post("/v1/discount_rules", status_code=201)
async def create_rule(body: schemas.RuleBody, tx: Writer, response: Response) -> schemas.Rule:
    """Add a discount that needs no code."""
    currency = _currency(body.currency_code) if body.currency_code else ""
    rule = schemas.rule_of(body, tx.now, currency)
    made = await service.create_rule(tx, rule)
    response.headers["Location"] = f"/v1/discount_rules/{made.id}"
    return _rule(made, tx.now)


@rest.get("/v1/discount_rules")
async def list_rules(tx: Reader, page: PageQuery, kind: str | None = None) -> schemas.RuleList:
    """List rules, archived ones too."""
    rules, cursor = await service.list_rules(tx, kind, page)
    return schemas.RuleList(**listing([_rule(item, tx.now) for item in rules], cursor))


@rest.get("/v1/discount_rules/{discount_rule_id}")
async def get_rule(discount_rule_id: str, tx: Reader) -> schemas.Rule:
    """Return one rule."""
    return _rule(await service.get_rule(tx, discount_rule_id), tx.now)


@rest.delete("/v1/discount_rules/{discount_rule_id}", status_code=204)
async def archive_rule(discount_rule_id: str, tx: Writer) -> None:
    """Archive a rule: it lowers no further document."""
    await service.archive_rule(tx, discount_rule_id)


@rest.post("/v1/discount_calculations")
async def calculate_discounts(body: schemas.CalculationBody, call: Steps) -> schemas.Calculation:
    """Tell what would apply; nothing is stored."""
    basket = service.Basket(
        customer_id=body.customer_id,
        subscription_id=body.subscription_id,
        codes=body.coupon_codes,
        lines=[domain.Line(**line.model_dump()) for line in body.lines],
        currency=_currency(body.currency_code),
        user_type=body.user_type,
        period_starts_at=body.period_starts_at,
        period_ends_at=body.period_ends_at,
    )
    outcome = await service.calculate_for_customer(call, basket, body.at)
    return schemas.Calculation(
        applications=[
            schemas.Discount(
                coupon_id=item.coupon_id or None,
                rule_id=item.rule_id or None,
                code=item.code or None,
                description=item.description,
                amount_minor=item.amount_minor,
                shares=_shares(item.shares),
            )
            for item in outcome.applications
        ],
        total_minor=outcome.total_minor,
        currency_code=body.currency_code,
        refused=[schemas.Refusal.model_validate(item) for item in outcome.refused],
    )


@rest.get("/v1/discount_applications")
async def list_applications(
    tx: Reader,
    page: PageQuery,
    reference: str | None = None,
    invoice_id: str | None = None,
    customer_id: str | None = None,
    coupon_id: str | None = None,
    rule_id: str | None = None,
) -> schemas.ApplicationList:
    """List applications; `reference` is the document's id, an invoice's as `invoice_id` too."""
    rows, cursor = await service.list_applications(
        tx,
        page,
        reference=invoice_id or reference,
        customer_id=customer_id,
        coupon_id=coupon_id,
        rule_id=rule_id,
    )
    data = [
        schemas.Application(
            id=row.id,
            coupon_id=row.coupon_id or None,
            rule_id=row.rule_id or None,
            code=row.code or None,
            description=row.description,
            customer_id=row.customer_id,
            subscription_id=row.subscription_id,
            reference=row.reference,
            amount_minor=row.amount_minor,
            currency_code=row.currency_code,
            shares=_shares(row.shares),
            created_at=row.created_at,
            reversed_at=row.reversed_at,
        )
        for row in rows
    ]
    return schemas.ApplicationList(**listing(data, cursor))


def _shares(shares: Any) -> list[schemas.Share]:
    return [schemas.Share(line_id=line_id, amount_minor=minor) for line_id, minor in shares]


def _currency(code: str) -> CurrencyCode:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("/currency_code", "CURRENCY_UNKNOWN", str(error))]) from None


def _coupon(coupon: domain.Coupon, now: datetime) -> schemas.Coupon:
    return schemas.Coupon(
        id=coupon.id,
        code=coupon.code,
        name=coupon.name,
        percent=percent_text(coupon.percent),
        amount_minor=coupon.amount_minor,
        currency_code=coupon.currency or None,
        duration=coupon.duration,  # type: ignore[arg-type]
        duration_periods=coupon.duration_periods,
        redemptions_max=coupon.redemptions_max,
        redemptions_per_customer_max=coupon.redemptions_per_customer_max,
        redemptions=coupon.redemptions,
        priority=coupon.priority,
        cap_minor=coupon.cap_minor,
        valid_from=coupon.valid_from,
        valid_until=coupon.valid_until,
        plans=list(coupon.plans),
        charges=list(coupon.charges),
        meters=list(coupon.meters),
        stackable=coupon.stackable,
        state=coupon.state(now),  # type: ignore[arg-type]
        created_at=coupon.created_at,
    )


def _rule(rule: domain.Rule, now: datetime) -> schemas.Rule:
    values = asdict(rule) | {
        "percent": percent_text(rule.percent),
        "currency_code": rule.currency or None,
        "state": rule.state(now),
    }
    return schemas.Rule(**{name: values[name] for name in schemas.Rule.model_fields})


def percent_text(percent: Decimal | None) -> str | None:
    """Write a percentage without needless zeros."""
    return None if percent is None else f"{percent.normalize():f}"
