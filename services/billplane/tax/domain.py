"""Rules of tax: which rate applies, and how it is computed and rounded."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, partial
from importlib import resources

from stdnum.eu import vat

from billplane.money import CurrencyCode, Rounding, allocate, minor_units, round_to_minor
from billplane.money import wide_precision as exactly
from billplane.tax.errors import TaxRateUnknown

STANDARD = "Standard"
REVERSE_CHARGE_NOTE = (
    "Reverse charge: VAT to be accounted for by the recipient (Article 196 of Directive"
    " 2006/112/EC)."
)
# Member states write their numbers with these prefixes; Greece alone differs from ISO 3166.
_GREECE = {"EL": "GR"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One dated rate. `valid_until` is exclusive, None = open."""

    id: str
    country: str
    category: str
    treatment: str
    rate: Decimal
    valid_from: date
    valid_until: date | None = None
    region: str = ""
    postal_prefix: str = ""
    customer_id: str = ""
    tax_type: str = ""
    stacked: bool = False
    label: str = ""
    source: str = ""
    origin: str = "api"

    def covers(self, on: date) -> bool:
        """True when the rule is in force on a date."""
        return self.valid_from <= on and (self.valid_until is None or on < self.valid_until)

    @property
    def jurisdiction(self) -> str:
        """Country, region and postcode prefix, as far as the rule names them."""
        return "-".join(part for part in (self.country, self.region, self.postal_prefix) if part)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys."""

    customer_id: str = ""
    country: str = ""
    region: str = ""
    postal_code: str = ""
    tax_type: str = "consumer"
    tax_ids: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One amount to tax: net, or gross when `inclusive`."""

    line_id: str
    amount_minor: int
    tax_on: date
    category: str = STANDARD
    inclusive: bool = False
    rule_id: str = ""


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """One line after tax."""

    line_id: str
    net_minor: int
    tax_minor: int
    group_keys: tuple[str, ...]


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


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """Return the EU VAT table.

    Source: the rows name theirs; see data/README.md.
    """
    table = (resources.files("billplane.tax") / "data" / "eu_vat.csv").read_text("utf-8")
    rules = []
    for row in csv.DictReader(table.splitlines()):
        rate = Decimal(row["rate"]) / 100
        treatment = "STANDARD" if row["category"] == STANDARD else "REDUCED"
        if rate == 0:
            treatment = "ZERO"
        rules.append(
            Rule(
                id=f"eu_{row['country']}_{row['category']}_{row['valid_from']}",
                country=row["country"],
                category=row["category"],
                treatment=treatment,
                rate=rate,
                valid_from=date.fromisoformat(row["valid_from"]),
                valid_until=date.fromisoformat(row["valid_until"]) if row["valid_until"] else None,
                label=f"VAT {row['rate']} %",
                source=row["source"],
                origin="shipped",
            )
        )
    return tuple(rules)


def iso_country(code: str) -> str:
    """Return a country's code in ISO 3166-1, which writes GR where VAT numbers write EL."""
    return _GREECE.get(code, code)


@cache
def member_states() -> frozenset[str]:
    """Return the countries of the shipped table."""
    return frozenset(rule.country for rule in shipped_rules())


def eu_vat_country(tax_ids: Iterable[tuple[str, str]]) -> str | None:
    """Return the member state of the first valid EU VAT number, None when there is none."""
    for kind, value in tax_ids:
        compact = value.replace(" ", "").replace("-", "").replace(".", "").upper()
        if kind == "eu_vat" and vat.is_valid(compact):
            return iso_country(compact[:2])
    return None


def rules_for(buyer: Buyer, line: Line, own: Sequence[Rule], seller_country: str) -> list[Rule]:
    """Choose the rules of one line: several when they are stacked, otherwise one.

    The first match wins in the order: line override, product, customer, place; a rule of the
    tenant goes before a shipped one.

    Raises: TaxRateUnknown.
    """
    if line.rule_id:
        named = [rule for rule in (*own, *shipped_rules()) if rule.id == line.rule_id]
        if not named or not named[0].covers(line.tax_on):
            raise TaxRateUnknown(f"the rule {line.rule_id} is not in force on {line.tax_on}")
        return named[:1]
    chosen = _own_rules(buyer, line, own)
    if chosen:
        return chosen
    if buyer.country not in member_states():
        return [_flat(buyer.country, line, "OUT_OF_SCOPE", "Outside the scope of VAT")]
    vat_country = eu_vat_country(buyer.tax_ids) if buyer.tax_type == "business" else None
    if vat_country == buyer.country and buyer.country != seller_country:
        return [_flat(buyer.country, line, "REVERSE_CHARGE", "Reverse charge")]
    return [_shipped(buyer.country, line)]


def _own_rules(buyer: Buyer, line: Line, own: Sequence[Rule]) -> list[Rule]:
    fitting = [
        rule
        for rule in own
        if rule.country == buyer.country
        and rule.covers(line.tax_on)
        and rule.category in ("", line.category)
        and rule.customer_id in ("", buyer.customer_id)
        and rule.tax_type in ("", buyer.tax_type)
        and rule.region in ("", buyer.region)
        and buyer.postal_code.startswith(rule.postal_prefix)
    ]
    fitting.sort(
        key=lambda rule: (
            bool(rule.category),
            bool(rule.customer_id),
            len(rule.postal_prefix),
            bool(rule.region),
            bool(rule.tax_type),
            rule.valid_from,
            rule.id,
        ),
        reverse=True,
    )
    if not fitting or not fitting[0].stacked:
        return fitting[:1]
    levels: dict[tuple[str, str], Rule] = {}
    for rule in fitting:
        if rule.stacked:
            levels.setdefault((rule.region, rule.postal_prefix), rule)
    return list(levels.values())


def _flat(country: str, line: Line, treatment: str, label: str) -> Rule:
    return Rule(
        id=treatment.lower(),
        country=country,
        category=line.category,
        treatment=treatment,
        rate=Decimal(0),
        valid_from=date.min,
        label=label,
        origin="shipped",
    )


def _shipped(country: str, line: Line) -> Rule:
    for category in (line.category, STANDARD):
        for rule in shipped_rules():
            if rule.country == country and rule.category == category and rule.covers(line.tax_on):
                return rule
    raise TaxRateUnknown(
        f"no VAT rate of {country} is known for {line.tax_on}",
        field="lines.tax_on",
        metadata={"country": country, "tax_on": line.tax_on.isoformat()},
    )


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
    )


def _key(rule: Rule, line: Line) -> str:
    return f"{rule.jurisdiction}/{line.category}/{rule.treatment}/{rule.rate.normalize():f}"


def _round(exact_minor: Decimal, currency: CurrencyCode) -> int:
    with exactly():
        major = exact_minor.scaleb(-minor_units(currency))
    return round_to_minor(major, currency, mode=Rounding.HALF_UP)


def _notes(groups: Iterable[Group]) -> tuple[str, ...]:
    treatments = {group.treatment for group in groups}
    return (REVERSE_CHARGE_NOTE,) if "REVERSE_CHARGE" in treatments else ()
