"""Use cases of discount."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.discount import domain, repository
from billplane.discount.errors import CouponCodeTaken, CouponNotFound
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

    @property
    def holder(self) -> Holder:
        """Who redeems."""
        return Holder(self.customer_id, self.subscription_id)


async def create_coupon(tx: Transaction, coupon: domain.Coupon) -> domain.Coupon:
    """Add a coupon; the code is unique in the tenant and mode whatever its case.

    Raises: Invalid, CouponCodeTaken, ScopeMissing.
    """
    tx.authorize("discounts:write")
    _check_coupon(coupon)
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


async def calculate_discounts(
    tx: ReadTransaction, basket: Basket, at: datetime | None = None
) -> domain.Outcome:
    """Tell what would apply to a document; store nothing.

    Raises: Invalid, ScopeMissing.
    """
    tx.authorize("discounts:read")
    _check_basket(basket)
    return await _decide(tx, basket, at or tx.now, lock=False)


async def apply_discounts(
    tx: Transaction, basket: Basket, *, reference: str, at: datetime | None = None
) -> tuple[list[ApplicationRow], tuple[domain.Refusal, ...]]:
    """Redeem what applies to a document, for good.

    Coupons stay locked until the transaction ends, so that limits are decided one caller at a
    time; what a reference already has is returned and not redeemed again.

    Raises: Invalid, InternalOnly.
    Idempotent by: the request id, and the reference while it has applications.
    """
    tx.require_internal()
    _check_basket(basket)
    _require(basket.customer_id, "customer_id")
    _require(reference, "reference")
    outcome = await _decide(tx, basket, at or tx.now, lock=True)
    held = await repository.live_applications(tx, reference)
    if held:
        return held, ()
    rows = [_row(tx, basket, reference, item) for item in outcome.applications]
    for row in sorted(rows, key=lambda row: row.coupon_id):
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
    seen = await repository.live_applications(tx, reference)
    await repository.lock_coupons(tx, [row.coupon_id for row in seen])
    rows = await repository.live_applications(tx, reference)
    for row in sorted(rows, key=lambda row: row.coupon_id):
        holder = Holder(row.customer_id, row.subscription_id)
        if await repository.count_document(tx, row.coupon_id, holder, -1) == 0:
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
) -> tuple[Sequence[ApplicationRow], str | None]:
    """Return a page of the history, reversed applications too."""
    tx.authorize("discounts:read")
    filters = {"reference": reference, "customer_id": customer_id, "coupon_id": coupon_id}
    return await repository.page_of_applications(tx, filters, page)


async def _decide(
    tx: ReadTransaction, basket: Basket, at: datetime, *, lock: bool
) -> domain.Outcome:
    coupons = await repository.coupons_of_codes(tx, basket.codes, lock=lock) if basket.codes else []
    usages = {}
    if coupons and basket.customer_id:
        wanted = [coupon.id for coupon in coupons]
        usages = await repository.usages(tx, wanted, basket.holder)
    return domain.decide(basket.codes, coupons, usages, basket.lines, basket.currency, at)


def _row(
    tx: Transaction, basket: Basket, reference: str, item: domain.Application
) -> ApplicationRow:
    return ApplicationRow(
        tenant_id=tx.tenant_id,
        id=ids.new("dsa"),
        livemode=tx.livemode,
        coupon_id=item.coupon_id,
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


def _check_coupon(coupon: domain.Coupon) -> None:
    errors = [
        FieldError(f"/{field}", "FIELD_INVALID", detail) for field, detail in domain.faults(coupon)
    ]
    if errors:
        raise Invalid(errors)


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
