"""How tax is computed and rounded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from billplane.money import CurrencyCode, Rounding, allocate, minor_units, round_to_minor
from billplane.money import wide_precision as exactly
from billplane.tax.domain.rules import Buyer, Line, Rule, rules_for

REVERSE_CHARGE_NOTE = (
    "Reverse charge: VAT to be accounted for by the recipient (Article 196 of Directive"
    " 2006/112/EC)."
)


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """One line after tax."""

    line_id: str
    net_minor: int
    tax_minor: int
    group_keys: tuple[str, ...]
    tax_on: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Everything of one jurisdiction, category, treatment and rate."""

    key: str
    jurisdiction: str
    category: str
    treatment: str
    rate: Decimal
    base_minor: int
    tax_minor: int
    exact_tax: Decimal
    rule_id: str
    label: str
    rule_version: int = 1


@dataclass(frozen=True, slots=True)
class Calculation:
    """The tax of some lines."""

    lines: tuple[TaxedLine, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def net_minor(self) -> int:
        """Sum of the lines before tax."""
        return sum(line.net_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        """Sum of the lines' tax."""
        return sum(line.tax_minor for line in self.lines)


def calculate(
    buyer: Buyer,
    lines: Sequence[Line],
    currency: CurrencyCode,
    own: Sequence[Rule] = (),
    seller_country: str = "",
) -> Calculation:
    """Compute the tax of some lines.

    Tax is rounded half up once per group of jurisdiction, category and rate on the sum of net
    amounts, then allocated to the lines; inclusive prices give net = gross ÷ (1 + Σ rates).

    Raises: TaxRateUnknown.
    Source: EN 16931 BT-117.
    """
    chosen = {line.line_id: rules_for(buyer, line, own, seller_country) for line in lines}
    pools: dict[tuple[bool, tuple[str, ...]], list[Line]] = {}
    for line in lines:
        keys = tuple(_key(rule, line) for rule in chosen[line.line_id])
        pools.setdefault((line.inclusive, keys), []).append(line)
    net = {line.line_id: line.amount_minor for line in lines}
    tax = dict.fromkeys(net, 0)
    groups: dict[str, Group] = {}
    exclusive: dict[str, list[Line]] = {}
    for (inclusive, keys), pool in pools.items():
        rules = chosen[pool[0].line_id]
        if inclusive:
            _tax_inclusive(pool, rules, keys, currency, net, tax, groups)
        else:
            for key in keys:
                exclusive.setdefault(key, []).extend(pool)
    by_key = {_key(rule, line): (rule, line) for line in lines for rule in chosen[line.line_id]}
    for key, pool in exclusive.items():
        rule, first = by_key[key]
        base = sum(line.amount_minor for line in pool)
        with exactly():
            exact = base * rule.rate
        shares = _shares(pool, partial(_exclusive_tax, rate=rule.rate, currency=currency))
        _add(groups, key, rule, first, base, sum(shares), exact)
        for line, share in zip(pool, shares, strict=True):
            tax[line.line_id] += share
    return Calculation(
        lines=tuple(
            TaxedLine(
                line.line_id,
                net[line.line_id],
                tax[line.line_id],
                tuple(_key(rule, line) for rule in chosen[line.line_id]),
                line.tax_on.isoformat(),
            )
            for line in lines
        ),
        groups=tuple(groups.values()),
        notes=_notes(groups.values()),
    )


def _tax_inclusive(
    pool: Sequence[Line],
    rules: Sequence[Rule],
    keys: Sequence[str],
    currency: CurrencyCode,
    net: dict[str, int],
    tax: dict[str, int],
    groups: dict[str, Group],
) -> None:
    """Take the tax out of gross amounts that share their rules."""
    gross = sum(line.amount_minor for line in pool)
    with exactly():
        total_rate = sum((rule.rate for rule in rules), Decimal(0))
        exact_net = gross / (1 + total_rate)
    shares = _shares(pool, partial(_inclusive_tax, rate=total_rate, currency=currency))
    amount = sum(shares)
    for line, share in zip(pool, shares, strict=True):
        tax[line.line_id] += share
        net[line.line_id] -= share
    weights = [int(rule.rate * 10**8) for rule in rules]
    for rule, key, part in zip(rules, keys, allocate(amount, weights), strict=True):
        with exactly():
            exact = exact_net * rule.rate
        _add(groups, key, rule, pool[0], gross - amount, part, exact)


def _exclusive_tax(base_minor: int, *, rate: Decimal, currency: CurrencyCode) -> int:
    with exactly():
        return _round(base_minor * rate, currency)


def _inclusive_tax(gross_minor: int, *, rate: Decimal, currency: CurrencyCode) -> int:
    with exactly():
        return gross_minor - _round(gross_minor / (1 + rate), currency)


def _shares(pool: Sequence[Line], tax_of: Callable[[int], int]) -> list[int]:
    """Allocate the tax of a group to its lines; a credit never bears tax of the other sign.

    Shape: one share per line; they sum to the tax of the lines' sum.
    """
    amounts = [line.amount_minor for line in pool]
    # Rounding is monotone, so neither part changes its sign.
    charged = tax_of(sum(amount for amount in amounts if amount > 0))
    charges = allocate(charged, [max(amount, 0) for amount in amounts])
    repaid = allocate(tax_of(sum(amounts)) - charged, [max(-amount, 0) for amount in amounts])
    return [charge + back for charge, back in zip(charges, repaid, strict=True)]


def _add(
    groups: dict[str, Group],
    key: str,
    rule: Rule,
    line: Line,
    base_minor: int,
    tax_minor: int,
    exact_tax: Decimal,
) -> None:
    held = groups.get(key)
    groups[key] = Group(
        key=key,
        jurisdiction=rule.jurisdiction,
        category=line.category,
        treatment=rule.treatment,
        rate=rule.rate,
        base_minor=base_minor + (held.base_minor if held else 0),
        tax_minor=tax_minor + (held.tax_minor if held else 0),
        exact_tax=exact_tax + (held.exact_tax if held else 0),
        rule_id=rule.id,
        label=rule.label,
        rule_version=rule.version,
    )


def _key(rule: Rule, line: Line) -> str:
    place = "/".join(part for part in (rule.jurisdiction, rule.level) if part)
    return f"{place}/{line.category}/{rule.treatment}/{rule.rate.normalize():f}"


def _round(exact_minor: Decimal, currency: CurrencyCode) -> int:
    with exactly():
        major = exact_minor.scaleb(-minor_units(currency))
    return round_to_minor(major, currency, mode=Rounding.HALF_UP)


def _notes(groups: Iterable[Group]) -> tuple[str, ...]:
    treatments = {group.treatment for group in groups}
    return (REVERSE_CHARGE_NOTE,) if "REVERSE_CHARGE" in treatments else ()
