"""Monthly bills: when each is issued, late and corrected ones included, and what stands on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal

from billplane.money import CurrencyCode, Money, Rounding, round_to_money
from billplane.provider_simulator.domain.customers import Account, Utility
from billplane.provider_simulator.domain.draws import between, one_in
from billplane.provider_simulator.domain.load import peak_between, usage_between
from billplane.provider_simulator.domain.tariffs import Tariff, prices_of, tax_percent

LATE, CORRECTED, CREDITED = 18, 15, 30
SHORTEST_FIRST_PERIOD: Final = timedelta(days=10)

LineKind = Literal["fixed", "energy", "demand", "tax", "fee", "credit", "other"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill."""

    kind: LineKind
    description: str
    quantity: Decimal | None
    unit: str | None
    amount: Money


@dataclass(frozen=True, slots=True)
class Issue:
    """A bill before it is worked out: the period and when it is sent.

    Shape: the period is half-open; `corrects` is the id of the bill that this one replaces.
    """

    id: str
    statement_on: date
    starts_on: date
    ends_on: date
    corrects: str | None
    estimated: bool

    @property
    def key(self) -> tuple[date, str]:
        """The order of bills: as they were sent."""
        return self.statement_on, self.id


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill; its lines sum to its total."""

    issue: Issue
    due_on: date
    usage: Decimal
    unit: str
    tariff: Tariff
    lines: tuple[Line, ...]
    total: Money


def issues_of(utility: Utility, account: Account, today: date) -> list[Issue]:
    """Return what was sent up to a day, oldest first."""
    found = [
        issue
        for starts_on, ends_on in _periods(account, today)
        for issue in _issues(utility.seed, account.id, starts_on, ends_on)
        if issue.statement_on <= today
    ]
    return sorted(found, key=lambda issue: issue.key)


def _periods(account: Account, today: date) -> Iterator[tuple[date, date]]:
    """Give periods from read day to read day; a first one that is too short joins the next."""
    starts_on = account.opened_on
    ends_on = starts_on.replace(day=account.read_day)
    while ends_on <= today:
        if ends_on - starts_on >= SHORTEST_FIRST_PERIOD:
            yield starts_on, ends_on
            starts_on = ends_on
        year, month = divmod(ends_on.year * 12 + ends_on.month, 12)
        ends_on = date(year, month + 1, account.read_day)


def _issues(seed: int, account_id: str, starts_on: date, ends_on: date) -> Iterator[Issue]:
    bill_id = f"{account_id}-{ends_on:%Y%m}"
    wait = between(3, 7, seed, "wait", bill_id)
    if one_in(LATE, seed, "late", bill_id):
        wait += between(25, 45, seed, "later", bill_id)
    sent = ends_on + timedelta(days=wait)
    estimated = one_in(CORRECTED, seed, "corrected", bill_id)
    yield Issue(bill_id, sent, starts_on, ends_on, None, estimated)
    if estimated:
        again = sent + timedelta(days=between(8, 20, seed, "correction", bill_id))
        yield Issue(f"{bill_id}-r1", again, starts_on, ends_on, bill_id, estimated=False)


def bill_of(utility: Utility, account: Account, issue: Issue) -> Bill:
    """Work a bill out."""
    currency = CurrencyCode(utility.currency)
    lines: list[Line] = []
    usage = 0
    parts = list(_years(issue.starts_on, issue.ends_on))
    for starts_on, ends_on in parts:
        note = f", {starts_on} to {ends_on - timedelta(days=1)}" if len(parts) > 1 else ""
        used = usage_between(utility.seed, utility.category, account.id, starts_on, ends_on)
        if issue.estimated:
            used = used * between(900, 1_100, utility.seed, "estimate", issue.id) // 1_000
        usage += used
        lines += _part(utility, account, starts_on, ends_on, used, note)
    if account.tariff is Tariff.BUSINESS:
        lines.append(_demand(utility, account, issue))
    if one_in(CREDITED, utility.seed, "credit", issue.id.removesuffix("-r1")):
        lines.append(_line(utility, "credit", "Goodwill", None, None, Decimal(-5)))
    net = _sum(lines, currency)
    percent = tax_percent(utility.country)
    if percent:
        amount = (net.exact * percent).scaleb(-2)
        lines.append(_line(utility, "tax", f"Tax {percent} %", None, None, amount))
    due_on = issue.statement_on + timedelta(days=between(14, 21, utility.seed, "due", issue.id))
    total = _sum(lines, currency)
    return Bill(
        issue, due_on, _thousandths(usage), account.unit, account.tariff, tuple(lines), total
    )


def _years(starts_on: date, ends_on: date) -> Iterator[tuple[date, date]]:
    """Part a period where prices change: on each first of January."""
    while starts_on < ends_on:
        until = min(ends_on, date(starts_on.year + 1, 1, 1))
        yield starts_on, until
        starts_on = until


def _part(
    utility: Utility, account: Account, starts_on: date, ends_on: date, used: int, note: str
) -> Iterator[Line]:
    prices = prices_of(utility.category, utility.seed, starts_on.year)
    days = Decimal((ends_on - starts_on).days)
    yield _line(utility, "fixed", f"Base price{note}", days, "day", days * prices.day)
    unit = account.unit
    if account.tariff is Tariff.DAY_AND_NIGHT:
        at_night = used * between(280, 420, utility.seed, "night", account.id, starts_on) // 1_000
        by_day, night = _thousandths(used - at_night), _thousandths(at_night)
        yield _line(utility, "energy", f"Day{note}", by_day, unit, by_day * prices.unit)
        yield _line(utility, "energy", f"Night{note}", night, unit, night * prices.night_unit)
    elif prices.unit:
        quantity = _thousandths(used)
        yield _line(utility, "energy", f"Usage{note}", quantity, unit, quantity * prices.unit)


def _demand(utility: Utility, account: Account, issue: Issue) -> Line:
    starts_on, ends_on = issue.starts_on, issue.ends_on
    peak = _thousandths(
        peak_between(utility.seed, utility.category, account.id, starts_on, ends_on)
    )
    price = prices_of(utility.category, utility.seed, ends_on.year).demand
    return _line(utility, "demand", "Highest quarter-hour", peak, "kW", peak * price)


def _line(
    utility: Utility,
    kind: LineKind,
    description: str,
    quantity: Decimal | None,
    unit: str | None,
    exact: Decimal,
) -> Line:
    amount = round_to_money(exact, CurrencyCode(utility.currency), mode=Rounding.HALF_UP)
    return Line(kind, description, quantity, unit, amount)


def _thousandths(value: int) -> Decimal:
    return Decimal(value).scaleb(-3)


def _sum(lines: list[Line], currency: CurrencyCode) -> Money:
    return sum((line.amount for line in lines), Money.zero(currency))
