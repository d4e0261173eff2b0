"""What discounts do: which coupons and rules apply, how much they take off, and where."""

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
NOT_STACKABLE = "COUPON_NOT_STACKABLE"

USER_TYPE = "user_type"
THRESHOLD = "threshold"

_CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_POSITIVE = (
    "amount_minor",
    "cap_minor",
    "duration_periods",
    "minimum_minor",
    "redemptions_max",
    "redemptions_per_customer_max",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may be taken off, from which lines and when; None and empty mean no limit.

    Units: `percent` 10 = 10 %; `amount_minor` and `cap_minor` in `currency`.
    """

    id: str
    created_at: datetime
    name: str = ""
    percent: Decimal | None = None
    amount_minor: int | None = None
    currency: str = ""
    cap_minor: int | None = None
    priority: int = 0
    stackable: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    plans: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    archived_at: datetime | None = None

    @property
    def description(self) -> str:
        """The words for a document."""
        return self.name or "Discount"

    def covers(self, line: "Line") -> bool:
        """True when the line may be lowered."""
        on_plan = not self.plans or line.plan_id in self.plans or line.plan_name in self.plans
        of_charge = not self.charges or line.charge in self.charges
        return on_plan and of_charge and (not self.meters or line.meter in self.meters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon(Offer):
    """A code that lowers a price."""

    code: str
    duration: str = "once"
    duration_periods: int | None = None
    redemptions_max: int | None = None
    redemptions_per_customer_max: int | None = None
    redemptions: int = 0

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

    def state(self, at: datetime) -> str:
        """Tell whether new customers may redeem it."""
        if self.archived_at is not None:
            return "archived"
        if self.valid_until is not None and self.valid_until <= at:
            return "expired"
        if self.redemptions_max is not None and self.redemptions >= self.redemptions_max:
            return "exhausted"
        return "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Offer):
    """A discount that needs no code: for some customers, or from some amount on.

    Units: `minimum_minor` in `currency`.
    """

    kind: str
    user_types: tuple[str, ...] = ()
    minimum_minor: int | None = None
    per: str = "invoice"

    def state(self, at: datetime) -> str:
        """Tell whether it applies to anybody."""
        if self.archived_at is not None:
            return "archived"
        return "expired" if self.valid_until is not None and self.valid_until <= at else "active"

    def applies(self, basket: "Basket", at: datetime) -> bool:
        """True when a document meets the rule's condition.

        What counts towards a threshold are the lines that the rule covers, as they are before any
        discount; by period those of the customer's other documents of that period too.
        """
        if self.state(at) != "active" or (self.valid_from is not None and at < self.valid_from):
            return False
        if self.currency and self.currency != basket.currency:
            return False
        if self.kind == USER_TYPE:
            return basket.user_type in self.user_types
        counted = [*basket.lines, *(basket.earlier if self.per == "period" else ())]
        reached = sum(line.amount_minor for line in counted if self.covers(line))
        return reached >= (self.minimum_minor or 0)


@dataclass(frozen=True, slots=True)
class Line:
    """A net amount that may be lowered."""

    line_id: str
    amount_minor: int
    charge: str = ""
    plan_id: str = ""
    plan_name: str = ""
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of one document and what is known of its holder.

    Shape: `earlier` has the lines of the holder's other documents of the same period.
    """

    lines: Sequence[Line]
    currency: CurrencyCode
    user_type: str = ""
    earlier: Sequence[Line] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """How far a coupon was used: by this holder's documents, and by all holders of the customer."""

    documents: int = 0
    customer_redemptions: int = 0


@dataclass(frozen=True, slots=True)
class Application:
    """What one coupon or rule takes off one document; shares name only the lines that it lowers."""

    coupon_id: str
    code: str
    description: str
    amount_minor: int
    shares: tuple[tuple[str, int], ...]
    rule_id: str = ""


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
    rules_in_force: bool = False

    @property
    def total_minor(self) -> int:
        """Sum of what is taken off."""
        return sum(application.amount_minor for application in self.applications)


def faults(coupon: Coupon) -> list[tuple[str, str]]:
    """List what is wrong with a coupon to be: field and sentence."""
    found = _offer_faults(coupon)
    if not _CODE.match(coupon.code):
        found.append(("code", "a code is 1 to 64 letters, digits, hyphens and underscores"))
    if coupon.duration not in ("once", "repeating", "forever"):
        found.append(("duration", "duration must be once, repeating or forever"))
    if (coupon.duration == "repeating") != (coupon.duration_periods is not None):
        found.append(("duration_periods", "a repeating coupon, and no other, has periods"))
    return found


def rule_faults(rule: Rule) -> list[tuple[str, str]]:
    """List what is wrong with a rule to be: field and sentence."""
    found = _offer_faults(rule)
    if rule.kind == USER_TYPE:
        if not rule.user_types:
            found.append(("user_types", "a rule by user type names at least one"))
        if rule.minimum_minor is not None:
            found.append(("minimum_minor", "only a threshold has a minimum"))
        return found
    if rule.user_types:
        found.append(("user_types", "only a rule by user type has user types"))
    if rule.minimum_minor is None:
        found.append(("minimum_minor", "a threshold has a minimum"))
    elif not rule.currency:
        found.append(("currency_code", "a threshold needs its currency"))
    return found


def _offer_faults(offer: Offer) -> list[tuple[str, str]]:
    found = []
    if (offer.percent is None) == (offer.amount_minor is None):
        found.append(("percent", "either percent or amount_minor is needed, not both"))
    if offer.percent is not None and not 0 < offer.percent <= 100:
        found.append(("percent", "percent must be above 0 and at most 100"))
    elif offer.percent is not None and offer.percent != round(offer.percent, 6):
        found.append(("percent", "percent has at most 6 decimals"))
    if not offer.currency and (offer.amount_minor is not None or offer.cap_minor is not None):
        found.append(("currency_code", "an amount or a cap needs its currency"))
    if offer.valid_from and offer.valid_until and offer.valid_until <= offer.valid_from:
        found.append(("valid_until", "valid_until must be after valid_from"))
    for field in _POSITIVE:
        value = getattr(offer, field, None)
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
    basket: Basket,
    at: datetime,
    rules: Sequence[Rule] = (),
) -> Outcome:
    """Decide what some codes, and the rules that need none, take off a document.

    They apply by (priority, created_at), each on what the ones before it left, rounded half up
    once; neither a line nor the document goes below zero. What is not stackable applies only
    where nothing did before it, and nothing applies after it.

    Raises: AmountOutOfRange.
    """
    by_key = {code_key(coupon.code): coupon for coupon in coupons}
    wanted = {code_key(code): code for code in reversed(list(codes))}
    refused = [Refusal(code, UNKNOWN) for key, code in wanted.items() if key not in by_key]
    chosen: list[Offer] = [by_key[key] for key in wanted if key in by_key]
    chosen += [rule for rule in rules if rule.applies(basket, at)]
    chosen.sort(key=lambda offer: (offer.priority, offer.created_at, offer.id))
    left = {line.line_id: line.amount_minor for line in basket.lines}
    applications: list[Application] = []
    alone = False
    for offer in chosen:
        reason = None
        if isinstance(offer, Coupon):
            reason = refusal_of(offer, usages.get(offer.id, Usage()), basket.currency, at)
        if reason is None and applications and (alone or not offer.stackable):
            reason = NOT_STACKABLE
        application = None if reason else _apply(offer, basket, left)
        if application is None:
            if isinstance(offer, Coupon):
                refused.append(Refusal(offer.code, reason or NOT_APPLICABLE))
            continue
        alone = not offer.stackable
        applications.append(application)
        for line_id, share in application.shares:
            left[line_id] -= share
    return Outcome(tuple(applications), tuple(refused), bool(rules))


def _apply(offer: Offer, basket: Basket, left: Mapping[str, int]) -> Application | None:
    covered = [line for line in basket.lines if offer.covers(line)]
    # Credits among the lines lower the base but take no share.
    base = sum(left[line.line_id] for line in covered)
    amount = min(_amount(offer, base, basket.currency), base, sum(left.values()))
    if offer.cap_minor is not None:
        amount = min(amount, offer.cap_minor)
    if amount <= 0:
        return None
    bearing = [line for line in covered if left[line.line_id] > 0]
    parts = allocate(amount, [left[line.line_id] for line in bearing])
    shares = tuple((line.line_id, part) for line, part in zip(bearing, parts, strict=True) if part)
    if isinstance(offer, Coupon):
        return Application(offer.id, offer.code, offer.description, amount, shares)
    return Application("", "", offer.description, amount, shares, offer.id)


def _amount(offer: Offer, base_minor: int, currency: CurrencyCode) -> int:
    if offer.percent is None:
        return offer.amount_minor or 0
    with exactly():
        exact = (base_minor * offer.percent / 100).scaleb(-minor_units(currency))
    return round_to_minor(exact, currency, mode=Rounding.HALF_UP)
