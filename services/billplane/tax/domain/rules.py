"""Which rates apply: the tenant's dated rules, then the shipped table of EU VAT."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources

from billplane.tax.domain.tax_ids import eu_vat_country
from billplane.tax.errors import TaxRateUnknown

STANDARD = "Standard"
_LEVELS = ("", "country", "state", "county", "city", "district")
# Categories that need no rule: nothing is due on them wherever VAT is.
_WITHOUT_TAX = {"Zero": ("ZERO", "VAT 0 %"), "Exempt": ("EXEMPT", "Exempt from VAT")}


@dataclass(frozen=True, slots=True)
class Rule:
    """One dated rate. `valid_until` is exclusive, None = open.

    Shape: an empty field matches everything; of stacked rules each level has one, the most
        specific; `series` is the id of the rule's first version.
    """

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
    county: str = ""
    city: str = ""
    level: str = ""
    plan: str = ""
    version: int = 1
    series: str = ""

    def covers(self, on: date) -> bool:
        """True when the rule is in force on a date."""
        return self.valid_from <= on and (self.valid_until is None or on < self.valid_until)

    @property
    def jurisdiction(self) -> str:
        """Country, region, county, city and postcode prefix, as far as the rule names them."""
        parts = (self.country, self.region, self.county, self.city, self.postal_prefix)
        return "-".join(part for part in parts if part)

    @property
    def stack_level(self) -> tuple[str, ...]:
        """What tells rules apart that add up: the level, else the place."""
        place = (self.region, self.county, self.city, self.postal_prefix)
        return (self.level,) if self.level else place


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys."""

    customer_id: str = ""
    country: str = ""
    region: str = ""
    postal_code: str = ""
    tax_type: str = "consumer"
    tax_ids: tuple[tuple[str, str], ...] = ()
    city: str = ""
    county: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One amount to tax: net, or gross when `inclusive`."""

    line_id: str
    amount_minor: int
    tax_on: date
    category: str = STANDARD
    inclusive: bool = False
    rule_id: str = ""
    plan_id: str = ""
    plan_name: str = ""


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """Return the EU VAT table.

    Source: the rows name theirs; see data/README.md.
    """
    table = (resources.files("billplane.tax") / "data" / "eu_vat.csv").read_text("utf-8")
    rules: list[Rule] = []
    versions: Counter[tuple[str, str]] = Counter()
    for row in csv.DictReader(table.splitlines()):
        rate = Decimal(row["rate"]) / 100
        treatment = "STANDARD" if row["category"] == STANDARD else "REDUCED"
        if rate == 0:
            treatment = "ZERO"
        series = (row["country"], row["category"])
        versions[series] += 1
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
                version=versions[series],
                series="_".join(("eu", *series)),
            )
        )
    return tuple(rules)


@cache
def member_states() -> frozenset[str]:
    """Return the countries of the shipped table."""
    return frozenset(rule.country for rule in shipped_rules())


def rules_for(buyer: Buyer, line: Line, own: Sequence[Rule], seller_country: str) -> list[Rule]:
    """Choose the rules of one line: several when they are stacked, otherwise one.

    The first match wins in the order: line override, product, plan, customer, place; a rule of
    the tenant goes before a shipped one. An override means the version of the rule in force.

    Raises: TaxRateUnknown.
    """
    if line.rule_id:
        return [_named(line, own)]
    chosen = _own_rules(buyer, line, own)
    if chosen:
        return chosen
    if buyer.country not in member_states():
        return [_flat(buyer.country, line, "OUT_OF_SCOPE", "Outside the scope of VAT")]
    if line.category in _WITHOUT_TAX:
        return [_flat(buyer.country, line, *_WITHOUT_TAX[line.category])]
    vat_country = eu_vat_country(buyer.tax_ids) if buyer.tax_type == "business" else None
    if vat_country == buyer.country and buyer.country != seller_country:
        return [_flat(buyer.country, line, "REVERSE_CHARGE", "Reverse charge")]
    return [_shipped(buyer.country, line)]


def _named(line: Line, own: Sequence[Rule]) -> Rule:
    known = (*own, *shipped_rules())
    series = {rule.series or rule.id for rule in known if rule.id == line.rule_id}
    for rule in known:
        if (rule.series or rule.id) in series and rule.covers(line.tax_on):
            return rule
    raise TaxRateUnknown(f"the rule {line.rule_id} is not in force on {line.tax_on}")


def _own_rules(buyer: Buyer, line: Line, own: Sequence[Rule]) -> list[Rule]:
    fitting = [rule for rule in own if _fits(rule, buyer, line)]
    fitting.sort(
        key=lambda rule: (
            bool(rule.category),
            bool(rule.plan),
            bool(rule.customer_id),
            len(rule.postal_prefix),
            bool(rule.city),
            bool(rule.county),
            bool(rule.region),
            bool(rule.tax_type),
            rule.valid_from,
            rule.id,
        ),
        reverse=True,
    )
    if not fitting or not fitting[0].stacked:
        return fitting[:1]
    levels: dict[tuple[str, ...], Rule] = {}
    for rule in fitting:
        if rule.stacked:
            levels.setdefault(rule.stack_level, rule)
    return sorted(levels.values(), key=lambda rule: _LEVELS.index(rule.level))


def _fits(rule: Rule, buyer: Buyer, line: Line) -> bool:
    return (
        rule.country == buyer.country
        and rule.covers(line.tax_on)
        and rule.category in ("", line.category)
        and rule.plan in ("", line.plan_id, line.plan_name)
        and rule.customer_id in ("", buyer.customer_id)
        and rule.tax_type in ("", buyer.tax_type)
        and _is_in(rule.region, buyer.region, buyer.country)
        and _is_in(rule.county, buyer.county, "")
        and _is_in(rule.city, buyer.city, "")
        and _compact(buyer.postal_code).startswith(_compact(rule.postal_prefix))
    )


def _is_in(wanted: str, place: str, country: str) -> bool:
    """True when a rule's place is the buyer's, however either is written (NY, ny, US-NY)."""
    if not wanted:
        return True
    names = [name.strip().casefold() for name in (wanted, place)]
    first, second = (name.removeprefix(f"{country.casefold()}-") for name in names)
    return first == second


def _compact(postal_code: str) -> str:
    return postal_code.replace(" ", "").upper()


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
