"""Tiers: a price that depends on how much was used.

`up_to` belongs to the tier it closes; a tier's flat amount is owed once, as soon as the quantity
enters the tier. A negative quantity (a correction larger than the usage) is a credit at the first
tier's price, without flat amounts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier; the last has no upper bound."""

    up_to: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class TierPart:
    """What fell into one tier."""

    tier: int
    quantity: Fraction
    amount: Fraction


def split(tiers: Sequence[Tier], quantity: Fraction) -> list[Fraction]:
    """Return how much of a quantity falls into each tier; the parts add up to it."""
    if quantity <= 0:
        return [quantity, *[Fraction(0)] * (len(tiers) - 1)]
    parts = []
    lower = Fraction(0)
    for tier in tiers:
        upper = quantity if tier.up_to is None else min(tier.up_to, quantity)
        parts.append(max(upper - lower, Fraction(0)))
        lower = max(lower, upper)
    return parts


def graduated(tiers: Sequence[Tier], quantity: Fraction) -> list[TierPart]:
    """Price each part of a quantity in its own tier."""
    return price_parts(tiers, split(tiers, quantity))


def volume(tiers: Sequence[Tier], quantity: Fraction) -> list[TierPart]:
    """Price the whole quantity in the one tier that it reaches."""
    reached = next(
        index for index, tier in enumerate(tiers) if tier.up_to is None or quantity <= tier.up_to
    )
    parts = [Fraction(0)] * len(tiers)
    parts[reached] = quantity
    return price_parts(tiers, parts)


def price_parts(tiers: Sequence[Tier], parts: Iterable[Fraction]) -> list[TierPart]:
    """Price what fell into each tier, leaving out tiers that nothing fell into."""
    priced = []
    for index, (tier, quantity) in enumerate(zip(tiers, parts, strict=True)):
        if quantity:
            flat = tier.flat_amount if quantity > 0 else Fraction(0)
            priced.append(TierPart(index, quantity, quantity * tier.unit_amount + flat))
    return priced
