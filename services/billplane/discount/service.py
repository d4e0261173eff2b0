"""Use cases of discount."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.discount import domain, peers, repository
from billplane.discount.errors import CouponCodeTaken, CouponNotFound, DiscountRuleNotFound
from billplane.discount.models import ApplicationRow
from billplane.discount.repository import Holder
from billplane.money import MINOR_MAX, CurrencyCode
from billplane.protos.discount.v1.events_pb2 import DiscountApplied, DiscountReversed

CODES_MAX = 20
LINES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of one document, for one holder, with the codes that somebody named."""

    customer_id: str
    subscription_id: str
    codes: Sequence[str]
    lines: Sequence[domain.Line]
    currency: CurrencyCode
    user_type: str = ""
    period_starts_at: datetime | None = None
    period_ends_at: datetime | None = None

    @property
    def holder(self) -> Holder:
        """Who redeems."""
        return Holder(self.customer_id, self.subscription_id)

    def period(self, at: datetime) -> tuple[datetime, datetime]:
        """Return the period that thresholds count over: the document's, else the month (UTC)."""
        if self.period_starts_at is not None and self.period_ends_at is not None:
            return self.period_starts_at, self.period_ends_at
        first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return first, (first + timedelta(days=31)).replace(day=1)

    def falls_at(self, at: datetime) -> datetime:
        """Return the instant that tells which periods the document counts for."""
        ends_at = self.period_ends_at
        return at if ends_at is None else ends_at - timedelta(microseconds=1)


async def create_coupon(tx: Transaction, coupon: domain.Coupon) -> domain.Coupon:
    """Add a coupon; the code is unique in the tenant and mode whatever its case.

    Raises: Invalid, CouponCodeTaken, ScopeMissing.
    """
    tx.authorize("discounts:write")
    _refuse_faults(domain.faults(coupon))
    if not await repository.add_coupon(tx, coupon):
        raise CouponCodeTaken(f"a coupon with the code {coupon.code} exists", field="/code")
    return coupon


async def get_coupon(tx: ReadTransaction, id_or_code: str) -> domain.Coupon:
    """Return one coupon by id or code.

    Raises: CouponNotFound, ScopeMissing.
    """
    tx.authorize("discounts:read")
    row = await repository.coupon(tx, id_or_code)
    if row is None:
        raise CouponNotFound(f"there is no coupon {id_or_code}")
    return repository.coupon_of(row)


async def list_coupons(
    tx: ReadTransaction, code: str | None, page: Page
) -> tuple[list[domain.Coupon], str | None]:
    """Return a page of coupons, archived ones too."""
    tx.authorize("discounts:read")
    rows, cursor = await repository.page_of_coupons(tx, code, page)
    return [repository.coupon_of(row) for row in rows], cursor


async def archive_coupon(tx: Transaction, id_or_code: str) -> None:
    """End new redemptions of a coupon; who has redeemed keeps it, its code stays taken.

    Raises: CouponNotFound, ScopeMissing.
    """
    tx.authorize("discounts:write")
    row = await repository.coupon(tx, id_or_code)
    if row is None:
        raise CouponNotFound(f"there is no coupon {id_or_code}")
    row.archived_at = row.archived_at or tx.now


async def create_rule(tx: Transaction, rule: domain.Rule) -> domain.Rule:
    """Add a rule; it applies to documents from now on.

    Raises: Invalid, ScopeMissing.
    """
    tx.authorize("discounts:write")
    _refuse_faults(domain.rule_faults(rule))
    repository.add_rule(tx, rule)
    return rule


async def get_rule(tx: ReadTransaction, rule_id: str) -> domain.Rule:
    """Return one rule.

    Raises: DiscountRuleNotFound, ScopeMissing.
    """
    tx.authorize("discounts:read")
    row = await repository.rule(tx, rule_id)
    if row is None:
        raise DiscountRuleNotFound(f"there is no discount rule {rule_id}")
    return repository.rule_of(row)


async def list_rules(
    tx: ReadTransaction, kind: str | None, page: Page
) -> tuple[list[domain.Rule], str | None]:
    """Return a page of rules, archived ones too."""
    tx.authorize("discounts:read")
    rows, cursor = await repository.page_of_rules(tx, kind, page)
    return [repository.rule_of(row) for row in rows], cursor


async def archive_rule(tx: Transaction, rule_id: str) -> None:
    """End a rule; documents that it lowered stay as they are.

    Raises: DiscountRuleNotFound, ScopeMissing.
    """
    tx.authorize("discounts:write")
    row = await repository.rule(tx, rule_id)
    if row is None:
        raise DiscountRuleNotFound(f"there is no discount rule {rule_id}")
    row.archived_at = row.archived_at or tx.now


async def calculate_discounts(
    tx: ReadTransaction, basket: Basket, at: datetime | None = None
) -> domain.Outcome:
    """Tell what would apply to a document; store nothing.

    Raises: Invalid, ScopeMissing.
    """
    tx.authorize("discounts:read")
    _check_basket(basket)
    at = at or tx.now
    rules = await repository.rules_at(tx, at)
    return await _decide(tx, basket, at, rules, reference="", lock=False)


async def calculate_for_customer(
    call: Call, basket: Basket, at: datetime | None = None
) -> domain.Outcome:
    """Tell what would apply to a document of a customer, by the type that the customer has.

    Raises: CustomerNotFound, Invalid, ScopeMissing; the peer's errors.
    """
    call.principal.require("discounts:read")
    if basket.customer_id and not basket.user_type:
        customer_id, user_type = await peers.customer(call, basket.customer_id)
        basket = replace(basket, customer_id=customer_id, user_type=user_type)
    async with call.reading() as tx:
        return await calculate_discounts(tx, basket, at)


async def apply_discounts(
    tx: Transaction, basket: Basket, *, reference: str, at: datetime | None = None
) -> tuple[list[ApplicationRow], tuple[domain.Refusal, ...]]:
    """Redeem what applies to a document, for good.

    Coupons stay locked until the transaction ends, so that limits are decided one caller at a
    time; so does the customer where there are rules. What a reference already has is returned and
    not redeemed again.

    Raises: Invalid, InternalOnly.
    Idempotent by: the request id, and the reference while it has applications.
    """
    tx.require_internal()
    _check_basket(basket)
    _require(basket.customer_id, "customer_id")
    _require(reference, "reference")
    at = at or tx.now
    rules = await repository.rules_at(tx, at)
    by_period = any(rule.per == "period" for rule in rules)
    if rules:
        await repository.lock_customer(tx, basket.customer_id)
    outcome = await _decide(tx, basket, at, rules, reference=reference, lock=True)
    held = await repository.live_applications(tx, reference)
    if held:
        return held, ()
    if by_period:
        await repository.note_document(
            tx,
            reference=reference,
            customer_id=basket.customer_id,
            currency=basket.currency,
            falls_at=basket.falls_at(at),
            lines=basket.lines,
        )
    rows = [_row(tx, basket, reference, item) for item in outcome.applications]
    for row in sorted(rows, key=lambda row: row.coupon_id):
        if row.rule_id:
            continue
        if await repository.count_document(tx, row.coupon_id, basket.holder, 1) > 1:
            continue
        if not await repository.take_redemption(tx, row.coupon_id):
            raise AssertionError(f"the locked coupon {row.coupon_id} changed")
    for row in rows:
        tx.session.add(row)
        await tx.publish(
            DiscountApplied(
                application_id=row.id,
                coupon_id=row.coupon_id,
                code=row.code,
                customer_id=row.customer_id,
                reference=reference,
                amount_minor=row.amount_minor,
                currency_code=row.currency_code,
                rule_id=row.rule_id,
            ),
            aggregate_id=row.id,
        )
    return rows, outcome.refused


async def reverse_discounts(tx: Transaction, reference: str) -> int:
    """Give back everything that is applied under a reference; return how many there were.

    Raises: Invalid, InternalOnly.
    Idempotent by: the reference; what was given back stays so.
    """
    tx.require_internal()
    _require(reference, "reference")
    seen = await repository.live_applications(tx, reference, lock=True)
    await repository.lock_coupons(tx, [row.coupon_id for row in seen])
    rows = await repository.live_applications(tx, reference)
    await repository.forget_document(tx, reference)
    for row in sorted(rows, key=lambda row: row.coupon_id):
        holder = Holder(row.customer_id, row.subscription_id)
        if not row.rule_id and await repository.count_document(tx, row.coupon_id, holder, -1) == 0:
            await repository.give_back_redemption(tx, row.coupon_id)
        row.reversed_at = tx.now
        await tx.publish(
            DiscountReversed(
                application_id=row.id,
                coupon_id=row.coupon_id,
                customer_id=row.customer_id,
                reference=reference,
                amount_minor=row.amount_minor,
                currency_code=row.currency_code,
                rule_id=row.rule_id,
            ),
            aggregate_id=row.id,
        )
    return len(rows)


async def list_applications(
    tx: ReadTransaction,
    page: Page,
    *,
    reference: str | None,
    customer_id: str | None,
    coupon_id: str | None,
    rule_id: str | None,
) -> tuple[Sequence[ApplicationRow], str | None]:
    """Return a page of the history, reversed applications too."""
    tx.authorize("discounts:read")
    filters = {
        "reference": reference,
        "customer_id": customer_id,
        "coupon_id": coupon_id,
        "rule_id": rule_id,
    }
    return await repository.page_of_applications(tx, filters, page)


async def _decide(
    tx: ReadTransaction,
    basket: Basket,
    at: datetime,
    rules: Sequence[domain.Rule],
    *,
    reference: str,
    lock: bool,
) -> domain.Outcome:
    coupons = await repository.coupons_of_codes(tx, basket.codes, lock=lock) if basket.codes else []
    usages = {}
    if coupons and basket.customer_id:
        wanted = [coupon.id for coupon in coupons]
        usages = await repository.usages(tx, wanted, basket.holder)
    earlier: list[domain.Line] = []
    if basket.customer_id and any(rule.per == "period" for rule in rules):
        earlier = await repository.lines_between(
            tx, basket.customer_id, basket.currency, *basket.period(at), without=reference
        )
    decided = domain.Basket(basket.lines, basket.currency, basket.user_type, earlier)
    return domain.decide(basket.codes, coupons, usages, decided, at, rules)


def _row(
    tx: Transaction, basket: Basket, reference: str, item: domain.Application
) -> ApplicationRow:
    return ApplicationRow(
        tenant_id=tx.tenant_id,
        id=ids.new("dsa"),
        livemode=tx.livemode,
        coupon_id=item.coupon_id,
        rule_id=item.rule_id,
        code=item.code,
        description=item.description,
        customer_id=basket.customer_id,
        subscription_id=basket.subscription_id,
        reference=reference,
        amount_minor=item.amount_minor,
        currency_code=basket.currency,
        shares=[list(share) for share in item.shares],
        created_at=tx.now,
    )


def _refuse_faults(faults: Sequence[tuple[str, str]]) -> None:
    if faults:
        raise Invalid(
            [FieldError(f"/{field}", "FIELD_INVALID", detail) for field, detail in faults]
        )


def _check_basket(basket: Basket) -> None:
    errors = []
    if len(basket.codes) > CODES_MAX:
        errors.append(("/coupon_codes", "TOO_MANY_CODES", f"at most {CODES_MAX} codes"))
    if len(basket.lines) > LINES_MAX:
        errors.append(("/lines", "TOO_MANY_LINES", f"at most {LINES_MAX} lines"))
    if sum(abs(line.amount_minor) for line in basket.lines) > MINOR_MAX:
        errors.append(("/lines", "AMOUNT_OUT_OF_RANGE", "the amounts together are too large"))
    seen: set[str] = set()
    for index, line in enumerate(basket.lines):
        if line.line_id in seen:
            errors.append((f"/lines/{index}/line_id", "LINE_ID_REPEATED", "line ids must differ"))
        seen.add(line.line_id)
    if errors:
        raise Invalid([FieldError(*error) for error in errors])


def _require(value: str, field: str) -> None:
    if not value:
        raise Invalid([FieldError(field, "FIELD_REQUIRED", f"{field} is needed")])
