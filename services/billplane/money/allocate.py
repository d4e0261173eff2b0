"""Splitting an amount into whole minor units that add up to it again."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from billplane.money.money import check_minor
from billplane.money.rounding import to_ratio


def allocate(total_minor: int, weights: Sequence[int | Decimal]) -> list[int]:
    """Split minor units in proportion to weights by largest remainder; ties go to earlier parts.

    Parts sum to the total, and none is further than one minor unit from its exact share. A part of
    weight zero gets nothing, unless all weights are zero: then all parts count alike. A negative
    total is split as its opposite, and the parts negated.

    Shape: one part per weight, in the order of the weights.
    Raises: ValueError for no weights, a negative weight or one that is not finite;
        AmountOutOfRange.
    Source: the Hamilton method of apportionment.
    """
    check_minor(total_minor)
    shares = [_share(weight) for weight in weights]
    if not shares:
        message = "an amount cannot be split into no parts"
        raise ValueError(message)
    whole = sum(shares)
    if whole == 0:
        shares = [Fraction(1)] * len(shares)
        whole = Fraction(len(shares))
    sign = -1 if total_minor < 0 else 1
    amount = abs(total_minor)
    exact = [amount * share / whole for share in shares]
    parts = [share.numerator // share.denominator for share in exact]
    # sorted() is stable: equal remainders keep their order, so earlier parts come first.
    by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in by_remainder[: amount - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


def _share(weight: int | Decimal) -> Fraction:
    share = to_ratio(weight, "a weight")
    if share < 0:
        message = "a weight must not be negative"
        raise ValueError(message)
    return share
