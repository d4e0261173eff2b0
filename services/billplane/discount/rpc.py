"""gRPC of discount."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Rpc, from_timestamp, to_timestamp
from billplane.discount import domain, schemas, service
from billplane.discount.models import ApplicationRow
from billplane.money import CurrencyCode, UnknownCurrency, parse_currency
from billplane.protos.discount.v1 import discount_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["DiscountService"])


@rpc.write
async def CreateCoupon(tx: Transaction, request: pb.CreateCouponRequest) -> pb.CreateCouponResponse:
    """Add a coupon."""
    coupon = await service.create_coupon(tx, from_proto_coupon(request.coupon, tx.now))
    return pb.CreateCouponResponse(coupon=to_proto_coupon(coupon, tx.now))


@rpc.read
async def GetCoupon(tx: ReadTransaction, request: pb.GetCouponRequest) -> pb.GetCouponResponse:
    """Return one coupon by id or code."""
    coupon = await service.get_coupon(tx, request.id)
    return pb.GetCouponResponse(coupon=to_proto_coupon(coupon, tx.now))


@rpc.read
async def ListCoupons(
    tx: ReadTransaction, request: pb.ListCouponsRequest
) -> pb.ListCouponsResponse:
    """List coupons."""
    page = Page.of(request.page_size, request.page_token)
    coupons, cursor = await service.list_coupons(tx, None, page)
    return pb.ListCouponsResponse(
        coupons=[to_proto_coupon(coupon, tx.now) for coupon in coupons],
        next_page_token=cursor or "",
    )


@rpc.write
async def ArchiveCoupon(
    tx: Transaction, request: pb.ArchiveCouponRequest
) -> pb.ArchiveCouponResponse:
    """Archive a coupon."""
    await service.archive_coupon(tx, request.id)
    return pb.ArchiveCouponResponse()


@rpc.write
async def CreateDiscountRule(
    tx: Transaction, request: pb.CreateDiscountRuleRequest
) -> pb.CreateDiscountRuleResponse:
    """Add a discount that needs no code."""
    rule = await service.create_rule(tx, from_proto_rule(request.rule, tx.now))
    return pb.CreateDiscountRuleResponse(rule=to_proto_rule(rule, tx.now))


@rpc.read
async def GetDiscountRule(
    tx: ReadTransaction, request: pb.GetDiscountRuleRequest
) -> pb.GetDiscountRuleResponse:
    """Return one rule."""
    rule = await service.get_rule(tx, request.id)
    return pb.GetDiscountRuleResponse(rule=to_proto_rule(rule, tx.now))


@rpc.read
async def ListDiscountRules(
    tx: ReadTransaction, request: pb.ListDiscountRulesRequest
) -> pb.ListDiscountRulesResponse:
    """List rules."""
    page = Page.of(request.page_size, request.page_token)
    rules, cursor = await service.list_rules(tx, request.kind or None, page)
    return pb.ListDiscountRulesResponse(
        rules=[to_proto_rule(rule, tx.now) for rule in rules], next_page_token=cursor or ""
    )


@rpc.write
async def ArchiveDiscountRule(
    tx: Transaction, request: pb.ArchiveDiscountRuleRequest
) -> pb.ArchiveDiscountRuleResponse:
    """Archive a rule."""
    await service.archive_rule(tx, request.id)
    return pb.ArchiveDiscountRuleResponse()


@rpc.read
async def CalculateDiscounts(
    tx: ReadTransaction, request: pb.CalculateDiscountsRequest
) -> pb.CalculateDiscountsResponse:
    """Tell what would apply; store nothing."""
    at = from_timestamp(request, "at")
    outcome = await service.calculate_discounts(tx, from_proto_basket(request), at)
    return pb.CalculateDiscountsResponse(
        applications=[
            pb.DiscountApplication(
                coupon_id=item.coupon_id,
                rule_id=item.rule_id,
                code=item.code,
                description=item.description,
                amount_minor=item.amount_minor,
                shares=to_proto_shares(item.shares),
            )
            for item in outcome.applications
        ],
        total_minor=outcome.total_minor,
        currency_code=request.currency_code,
        refused=to_proto_refusals(outcome.refused),
        rules_in_force=outcome.rules_in_force,
    )


@rpc.write
async def ApplyDiscounts(
    tx: Transaction, request: pb.ApplyDiscountsRequest
) -> pb.ApplyDiscountsResponse:
    """Redeem what applies, for services that finalize documents."""
    at = from_timestamp(request, "at")
    rows, refused = await service.apply_discounts(
        tx, from_proto_basket(request), reference=request.reference, at=at
    )
    return pb.ApplyDiscountsResponse(
        applications=[to_proto_application(row) for row in rows],
        total_minor=sum(row.amount_minor for row in rows),
        currency_code=request.currency_code,
        refused=to_proto_refusals(refused),
    )


@rpc.write
async def ReverseDiscounts(
    tx: Transaction, request: pb.ReverseDiscountsRequest
) -> pb.ReverseDiscountsResponse:
    """Give back what was redeemed under a reference."""
    return pb.ReverseDiscountsResponse(
        reversed=await service.reverse_discounts(tx, request.reference)
    )


def from_proto_basket(
    request: pb.CalculateDiscountsRequest | pb.ApplyDiscountsRequest,
) -> service.Basket:
    """Read the lines of a document and the codes to try."""
    return service.Basket(
        customer_id=request.customer_id,
        subscription_id=request.subscription_id,
        codes=list(request.coupon_codes),
        lines=[
            domain.Line(
                line.line_id,
                line.amount_minor,
                line.charge,
                line.plan_id,
                line.plan_name,
                line.meter,
            )
            for line in request.lines
        ],
        currency=_currency(request.currency_code),
        user_type=request.user_type,
        period_starts_at=from_timestamp(request, "period_starts_at"),
        period_ends_at=from_timestamp(request, "period_ends_at"),
    )


def from_proto_coupon(message: pb.Coupon, now: datetime) -> domain.Coupon:
    """Read a coupon to be; 0 and '' mean absent."""
    return domain.Coupon(
        id=ids.new("cpn"),
        code=message.code,
        created_at=now,
        name=message.name,
        percent=_percent(message.percent),
        amount_minor=message.amount_minor or None,
        currency=_currency(message.currency_code) if message.currency_code else "",
        duration=message.duration or "once",
        duration_periods=message.duration_periods or None,
        redemptions_max=message.redemptions_max or None,
        redemptions_per_customer_max=message.redemptions_per_customer_max or None,
        priority=message.priority,
        cap_minor=message.cap_minor or None,
        valid_from=from_timestamp(message, "valid_from"),
        valid_until=from_timestamp(message, "valid_until"),
        plans=tuple(message.plans),
        charges=tuple(message.charges),
        meters=tuple(message.meters),
        stackable=message.stackable if message.HasField("stackable") else True,
    )


def to_proto_coupon(coupon: domain.Coupon, now: datetime) -> pb.Coupon:
    """Return a coupon as a message."""
    return pb.Coupon(
        id=coupon.id,
        code=coupon.code,
        name=coupon.name,
        percent="" if coupon.percent is None else f"{coupon.percent.normalize():f}",
        amount_minor=coupon.amount_minor or 0,
        currency_code=coupon.currency,
        duration=coupon.duration,
        duration_periods=coupon.duration_periods or 0,
        redemptions_max=coupon.redemptions_max or 0,
        redemptions_per_customer_max=coupon.redemptions_per_customer_max or 0,
        redemptions=coupon.redemptions,
        priority=coupon.priority,
        cap_minor=coupon.cap_minor or 0,
        valid_from=to_timestamp(coupon.valid_from),
        valid_until=to_timestamp(coupon.valid_until),
        plans=coupon.plans,
        charges=coupon.charges,
        meters=coupon.meters,
        stackable=coupon.stackable,
        state=coupon.state(now),
        created_at=to_timestamp(coupon.created_at),
    )


def to_proto_application(row: ApplicationRow) -> pb.DiscountApplication:
    """Return an application as a message."""
    return pb.DiscountApplication(
        id=row.id,
        coupon_id=row.coupon_id,
        rule_id=row.rule_id,
        code=row.code,
        description=row.description,
        amount_minor=row.amount_minor,
        shares=to_proto_shares(tuple(share) for share in row.shares),
    )


def to_proto_shares(shares: Iterable[tuple[str, int]]) -> list[pb.LineShare]:
    """Return the parts of lines as messages."""
    return [pb.LineShare(line_id=line_id, amount_minor=minor) for line_id, minor in shares]


def to_proto_refusals(refused: Iterable[domain.Refusal]) -> list[pb.Refusal]:
    """Return refusals as messages."""
    return [pb.Refusal(code=item.code, reason=item.reason) for item in refused]


def from_proto_rule(message: pb.DiscountRule, now: datetime) -> domain.Rule:
    """Read a rule to be, by the rules of a REST body; 0 and '' mean absent.

    Raises: Invalid.
    """
    named = {field.name: value for field, value in message.ListFields()}
    for name in ("valid_from", "valid_until"):
        if name in named:
            named[name] = from_timestamp(message, name)
    for name in ("user_types", "plans", "charges", "meters"):
        named[name] = list(named.get(name, ()))
    made = {"id", "state", "created_at"}
    body = parse_body(
        schemas.RuleBody, {name: value for name, value in named.items() if name not in made}
    )
    return schemas.rule_of(body, now, _currency(body.currency_code) if body.currency_code else "")


def to_proto_rule(rule: domain.Rule, now: datetime) -> pb.DiscountRule:
    """Return a rule as a message."""
    return pb.DiscountRule(
        id=rule.id,
        kind=rule.kind,
        name=rule.name,
        user_types=rule.user_types,
        minimum_minor=rule.minimum_minor or 0,
        per=rule.per,
        percent="" if rule.percent is None else f"{rule.percent.normalize():f}",
        amount_minor=rule.amount_minor or 0,
        currency_code=rule.currency,
        cap_minor=rule.cap_minor or 0,
        priority=rule.priority,
        stackable=rule.stackable,
        valid_from=to_timestamp(rule.valid_from),
        valid_until=to_timestamp(rule.valid_until),
        plans=rule.plans,
        charges=rule.charges,
        meters=rule.meters,
        state=rule.state(now),
        created_at=to_timestamp(rule.created_at),
    )


def _percent(text: str) -> Decimal | None:
    """Read a percentage; what is no number is refused as 0 is."""
    try:
        percent = Decimal(text) if text else None
    except InvalidOperation:
        return Decimal(0)
    return percent if percent is None or percent.is_finite() else Decimal(0)


def _currency(code: str) -> CurrencyCode:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("currency_code", "CURRENCY_UNKNOWN", str(error))]) from None
