"""Prices by one or two dimensions of usage.

The most specific cell that matches wins: a cell without wildcards before one with, a cell that
names the first dimension before one that names the second, a cell of wildcards only before the
default.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product

from billplane.pricing.domain.priced import (
    Priced,
    UsageToPrice,
    Values,
    by_group,
    ratio,
    text,
    units,
)
from billplane.resources import charge_models as models

ANY = "*"


def price_matrix(model: models.Matrix, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price each unit by the cell that its dimension values select."""
    positions = [to_price.dimensions.index(name) for name in model.dimensions]
    prices = {cell.values: ratio(cell.unit_amount) for cell in model.cells}
    default = ratio(model.default.unit_amount)
    for group, totals in by_group(to_price, to_price.columns.totals()):
        used: dict[Values | None, int] = {}
        for values, micro, _events in totals:
            cell = matching_cell(prices, tuple(values[position] for position in positions))
            used[cell] = used.get(cell, 0) + micro
        if any(used.values()):
            yield _priced(group, used, prices, default)


def matching_cell(prices: Mapping[Values, Fraction], values: Values) -> Values | None:
    """Return the most specific cell for some dimension values, None for the default."""
    # product() varies the last place fastest, so (a, b), (a, *), (*, b), (*, *) come in order.
    candidates = product(*((value, ANY) for value in values))
    return next((cell for cell in candidates if cell in prices), None)


def _priced(
    group: Values,
    used: Mapping[Values | None, int],
    prices: Mapping[Values, Fraction],
    default: Fraction,
) -> Priced:
    amount = Fraction(0)
    details = []
    # The default comes last, cells in the order of their values.
    for cell in sorted(used, key=lambda cell: (cell is None, cell or ())):
        if not used[cell]:
            continue
        unit_amount = default if cell is None else prices[cell]
        quantity = units(used[cell])
        amount += quantity * unit_amount
        details.append(
            {
                "values": None if cell is None else list(cell),
                "quantity": text(quantity),
                "unit_amount": text(unit_amount),
                "amount": text(quantity * unit_amount),
            }
        )
    quantity = units(sum(used.values()))
    return Priced(group, quantity, None, amount, {"cells": details})
