"""Rules of discount: which coupon applies, how much it takes off, and where."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billplane.money import (
    MINOR_MAX,
    CurrencyCode,
    Rounding,
    allocate,
    minor_units,
    round_to_minor,
)
from billplane.money import wide_precision as exactly

UNKNOWN = "COUPON_UNKNOWN"
ARCHIVED = "COUPON_ARCHIVED"
NOT_YET_VALID = "COUPON_NOT_YET_VALID"
EXPIRED = "COUPON_EXPIRED"
EXHAUSTED = "COUPON_EXHAUSTED"
CUSTOMER_EXHAUSTED = "COUPON_EXHAUSTED_FOR_CUSTOMER"
USED = "COUPON_ALREADY_USED"
CURRENCY_MISMATCH = "COUPON_CURRENCY_MISMATCH"
NOT_APPLICABLE = "COUPON_NOT_APPLICABLE"

_CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_POSITIVE = (
    "amount_minor",
    "cap_minor",
    "duration_periods",
    "redemptions_max",
    "redemptions_per_customer_max",
)


@dataclass(frozen=True, slots=True)
class Coupon:
    """A code that lowers a price; None means no limit.

    Units: `percent` 10 = 10 %; `amount_minor` and `cap_minor` in `currency`.
    """

    id: str
    code: str
    created_at: datetime
    name: str = ""
    percent: Decimal | None = None
    amount_minor: int | None = None
    currency: str = ""
    duration: str = "once"
    duration_periods: int | None = None
    redemptions_max: int | None = None
    redemptions_per_customer_max: int | None = None
    redemptions: int = 0
    priority: int = 0
    cap_minor: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    plans: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()
    archived_at: datetime | None = None

    @property
    def documents_max(self) -> int | None:
        """How many documents one redemption lowers."""
        if self.duration == "once":
            return 1
        return self.duration_periods if self.duration == "repeating" else None

    @property
    def description(self) -> str:
        """The words for a document."""
        return self.name or f"Coupon {self.code}"

    def covers(self, line: "Line") -> bool:
        """True when the coupon may lower the line."""
        on_plan = not self.plans or line.plan_id in self.plans or line.plan_name in self.plans
        return on_plan and (not self.charges or line.charge in self.charges)

    def state(self, at: datetime) -> str:
        """Tell whether new customers may redeem it."""
        if self.archived_at is not None:
            return "archived"
        if self.valid_until is not None and self.valid_until <= at:
            return "expired"
        if self.redemptions_max is not None and self.redemptions >= self.redemptions_max:
            return "exhausted"
        return "active"


@dataclass(frozen=True, slots=True)
class Line:
    """A net amount that may be lowered."""

    line_id: str
    amount_minor: int
    charge: str = ""
    plan_id: str = ""
    plan_name: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """How far a coupon was used: by this holder's documents, and by all holders of the customer."""

    documents: int = 0
    customer_redemptions: int = 0


@dataclass(frozen=True, slots=True)
class Application:
    """What one coupon takes off one document; shares name only the lines that it lowers."""

    coupon_id: str
    code: str
    description: str
    amount_minor: int
    shares: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A code that does not apply."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that applies to one document, and what does not."""

    applications: tuple[Application, ...]
    refused: tuple[Refusal, ...]

    @property
    def total_minor(self) -> int:
        """Sum of what is taken off."""
        return sum(application.amount_minor for application in self.applications)


def faults(coupon: Coupon) -> list[tuple[str, str]]:
    """List what is wrong with a coupon to be: field and sentence."""
    found = []
    if not _CODE.match(coupon.code):
        found.append(("code", "a code is 1 to 64 letters, digits, hyphens and underscores"))
    if (coupon.percent is None) == (coupon.amount_minor is None):
        found.append(("percent", "either percent or amount_minor is needed, not both"))
    if coupon.percent is not None and not 0 < coupon.percent <= 100:
        found.append(("percent", "percent must be above 0 and at most 100"))
    elif coupon.percent is not None and coupon.percent != round(coupon.percent, 6):
        found.append(("percent", "percent has at most 6 decimals"))
    if not coupon.currency and (coupon.amount_minor is not None or coupon.cap_minor is not None):
        found.append(("currency_code", "an amount or a cap needs its currency"))
    if coupon.duration not in ("once", "repeating", "forever"):
        found.append(("duration", "duration must be once, repeating or forever"))
    if (coupon.duration == "repeating") != (coupon.duration_periods is not None):
        found.append(("duration_periods", "a repeating coupon, and no other, has periods"))
    if coupon.valid_from and coupon.valid_until and coupon.valid_until <= coupon.valid_from:
        found.append(("valid_until", "valid_until must be after valid_from"))
    for field in _POSITIVE:
        value = getattr(coupon, field)
        if value is not None and not 0 < value <= MINOR_MAX:
            found.append((field, f"{field} must be above 0 and below 2^53"))
    return found


def code_key(code: str) -> str:
    """Return what codes are compared by."""
    return code.strip().upper()


def refusal_of(coupon: Coupon, usage: Usage, currency: CurrencyCode, at: datetime) -> str | None:
    """Name what keeps a holder from using a coupon now, None when nothing does.

    Validity, archiving and limits stop new redemptions only: who has redeemed keeps what the
    coupon's duration promised.
    """
    if coupon.currency and coupon.currency != currency:
        return CURRENCY_MISMATCH
    if usage.documents:
        limit = coupon.documents_max
        return USED if limit is not None and usage.documents >= limit else None
    if coupon.valid_from is not None and at < coupon.valid_from:
        return NOT_YET_VALID
    per_customer = coupon.redemptions_per_customer_max
    if per_customer is not None and usage.customer_redemptions >= per_customer:
        return CUSTOMER_EXHAUSTED
    return {"archived": ARCHIVED, "expired": EXPIRED, "exhausted": EXHAUSTED}.get(coupon.state(at))


def decide(
    codes: Iterable[str],
    coupons: Sequence[Coupon],
    usages: Mapping[str, Usage],
    lines: Sequence[Line],
    currency: CurrencyCode,
    at: datetime,
) -> Outcome:
    """Decide what some codes take off a document.

    Coupons apply by (priority, created_at), each on what the ones before it left, rounded half up
    once; neither a line nor the document goes below zero.

    Raises: AmountOutOfRange.
    """
    by_key = {code_key(coupon.code): coupon for coupon in coupons}
    wanted = {code_key(code): code for code in reversed(list(codes))}
    refused = [Refusal(code, UNKNOWN) for key, code in wanted.items() if key not in by_key]
    chosen = [by_key[key] for key in wanted if key in by_key]
    chosen.sort(key=lambda coupon: (coupon.priority, coupon.created_at, coupon.id))
    left = {line.line_id: line.amount_minor for line in lines}
    applications = []
    for coupon in chosen:
        reason = refusal_of(coupon, usages.get(coupon.id, Usage()), currency, at)
        application = None if reason else _apply(coupon, lines, left, currency)
        if application is None:
            refused.append(Refusal(coupon.code, reason or NOT_APPLICABLE))
            continue
        applications.append(application)
        for line_id, share in application.shares:
            left[line_id] -= share
    return Outcome(tuple(applications), tuple(refused))


def _apply(
    coupon: Coupon, lines: Sequence[Line], left: Mapping[str, int], currency: CurrencyCode
) -> Application | None:
    covered = [line for line in lines if coupon.covers(line)]
    # Credits among the lines lower the base but take no share.
    base = sum(left[line.line_id] for line in covered)
    amount = min(_amount(coupon, base, currency), base, sum(left.values()))
    if coupon.cap_minor is not None:
        amount = min(amount, coupon.cap_minor)
    if amount <= 0:
        return None
    bearing = [line for line in covered if left[line.line_id] > 0]
    parts = allocate(amount, [left[line.line_id] for line in bearing])
    shares = tuple((line.line_id, part) for line, part in zip(bearing, parts, strict=True) if part)
    return Application(coupon.id, coupon.code, coupon.description, amount, shares)


def _amount(coupon: Coupon, base_minor: int, currency: CurrencyCode) -> int:
    if coupon.percent is None:
        return coupon.amount_minor or 0
    with exactly():
        exact = (base_minor * coupon.percent / 100).scaleb(-minor_units(currency))
    return round_to_minor(exact, currency, mode=Rounding.HALF_UP)
