"""Models that price how much was used in the whole period, whenever it was."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billplane.pricing.domain import tiers
from billplane.pricing.domain.priced import Priced, UsageToPrice, Values, ratio, text, units
from billplane.pricing.domain.tiers import Tier, TierPart
from billplane.pricing.domain.usage import Total
from billplane.resources import charge_models as models


def price_flat(model: models.Flat, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price a group that has any usage with one amount."""
    amount = ratio(model.amount)
    for group, micro, events in to_price.columns.totals():
        if micro or events:
            yield Priced(group, units(micro), None, amount, {})


def price_per_unit(model: models.PerUnit, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price every unit alike."""
    unit_amount = ratio(model.unit_amount)
    for group, quantity in _quantities(to_price):
        yield Priced(group, quantity, unit_amount, quantity * unit_amount, {})


def price_graduated(model: models.Graduated, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price each part of the quantity in its own tier."""
    steps = read_tiers(model.tiers)
    for group, quantity in _quantities(to_price):
        yield _tiered(group, quantity, steps, tiers.graduated(steps, quantity))


def price_volume(model: models.Volume, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price the whole quantity in the tier that it reaches."""
    steps = read_tiers(model.tiers)
    for group, quantity in _quantities(to_price):
        yield _tiered(group, quantity, steps, tiers.volume(steps, quantity))


def price_graduated_percentage(
    model: models.GraduatedPercentage, to_price: UsageToPrice
) -> Iterator[Priced]:
    """Take each tier's share of the part of the period's amount that falls into it."""
    steps = [
        Tier(_end(tier.up_to), ratio(tier.rate), ratio(tier.flat_amount)) for tier in model.tiers
    ]
    for group, quantity in _quantities(to_price):
        yield _tiered(group, quantity, steps, tiers.graduated(steps, quantity))


def price_package(model: models.Package, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price each started package after the free units."""
    size, amount = ratio(model.size), ratio(model.amount)
    for group, quantity in _quantities(to_price):
        # A package is started as soon as any of it is used: the negated floor is the ceiling.
        packages = max(-((ratio(model.free_units) - quantity) // size), 0)
        detail = {
            "packages": packages,
            "size": text(size),
            "free_units": text(ratio(model.free_units)),
            "package_amount": text(amount),
        }
        yield Priced(group, quantity, None, packages * amount, detail)


def price_capacity(model: models.Capacity, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price the reserved quantity, used or not, and each unit beyond it."""
    included, unit_amount = ratio(model.included), ratio(model.overage.unit_amount)
    totals = to_price.columns.totals()
    if not totals and not to_price.usage.group_by:
        totals = [Total((), 0, 0)]
    for group, micro, _events in totals:
        quantity = units(micro)
        overage = max(quantity - included, Fraction(0))
        detail = {
            "included": text(included),
            "capacity_amount": text(ratio(model.amount)),
            "overage": text(overage),
            "overage_unit_amount": text(unit_amount),
        }
        amount = ratio(model.amount) + overage * unit_amount
        yield Priced(group, quantity, None, amount, detail)


def read_tiers(listed: Sequence[models.Tier]) -> list[Tier]:
    """Return the tiers of a spec with exact ratios; absent prices are zero."""
    return [
        Tier(_end(tier.up_to), ratio(tier.unit_amount), ratio(tier.flat_amount)) for tier in listed
    ]


def tier_details(steps: Sequence[Tier], parts: Sequence[TierPart]) -> list[dict[str, Any]]:
    """Return what fell into each tier as JSON data."""
    return [
        {
            "tier": part.tier,
            "up_to": None if (end := steps[part.tier].up_to) is None else text(end),
            "quantity": text(part.quantity),
            "unit_amount": text(steps[part.tier].unit_amount),
            "flat_amount": text(steps[part.tier].flat_amount),
            "amount": text(part.amount),
        }
        for part in parts
    ]


def _end(up_to: Decimal | None) -> Fraction | None:
    return None if up_to is None else Fraction(up_to)


def _quantities(to_price: UsageToPrice) -> Iterator[tuple[Values, Fraction]]:
    """Yield each group's quantity, leaving out groups that used nothing."""
    for group, micro, _events in to_price.columns.totals():
        if micro:
            yield group, units(micro)


def _tiered(
    group: Values, quantity: Fraction, steps: Sequence[Tier], parts: Sequence[TierPart]
) -> Priced:
    amount = sum((part.amount for part in parts), Fraction(0))
    return Priced(group, quantity, None, amount, {"tiers": tier_details(steps, parts)})
