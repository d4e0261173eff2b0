"""Prices that somebody else sets: what is asked of a source, and what an answer means.

Nothing here reaches a network: answers are fetched before rating and handed in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec

from billplane.pricing.domain.priced import (
    Priced,
    UsageToPrice,
    Values,
    text,
    units,
)
from billplane.pricing.domain.usage import UsageColumns
from billplane.pricing.errors import ChargeModelNotRated, PriceAnswerInvalid
from billplane.resources import charge_models as models
from billplane.resources.billing_plan import BillingPlanSpec, Usage

_USUAL_FIELDS: Final = (
    ("meter", "Meter"),
    ("quantity", "Quantity"),
    ("dimensions", "Dimensions"),
    ("customer", "Customer"),
    ("at", "At"),
)
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Question:
    """What one group of a charge's usage costs.

    Shape: `fields` is what is sent; `standing` is what stays the same as long as a price per unit
        may serve in place of a fresh one.
    """

    charge: str
    group: Values
    model: models.External
    fields: Mapping[str, Any]
    standing: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A price, for all units or for each.

    Units: as text in the plan's currency's own unit.
    """

    amount: str | None
    unit_amount: str | None


def questions(
    spec: BillingPlanSpec, usage: Mapping[str, UsageColumns], *, customer: str, at: datetime
) -> Iterator[Question]:
    """Yield what must be asked before a period's usage can be rated."""
    for charge in spec.charges:
        columns = usage.get(charge.name)
        if charge.usage is None or columns is None:
            continue
        model = charge.usage.model.chosen
        if isinstance(model, models.External):
            for group, micro, _events in columns.totals():
                if micro:
                    quantity = text(units(micro))
                    fields = _fields(charge.usage, group, quantity, customer, at)
                    yield Question(
                        charge.name,
                        group,
                        model,
                        _named(model, fields),
                        _standing(model, charge.name, fields),
                    )


def read_answer(body: bytes, model: models.External, currency: str) -> Answer:
    """Read a source's answer; numbers keep their digits.

    Raises: PriceAnswerInvalid.
    """
    try:
        data = msgspec.json.Decoder(float_hook=Decimal).decode(body)
    except (msgspec.DecodeError, RecursionError, ArithmeticError) as error:
        raise PriceAnswerInvalid(f"the price source's answer is not JSON: {error}") from None
    response = model.response
    if response.currency is not None:
        found = _at(data, response.currency)
        if found != currency:
            raise PriceAnswerInvalid(
                f"the price source answered in {str(found)[:20]}, the plan is priced in {currency}"
            )
    if response.amount is not None:
        return Answer(_number(_at(data, response.amount), response.amount), None)
    path = str(response.unit_amount)
    return Answer(None, _number(_at(data, path), path))


def price_external(_model: models.External, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price each group as its source answered."""
    for group, micro, _events in to_price.columns.totals():
        if not micro:
            continue
        price = to_price.prices.get(group)
        if price is None:
            raise ChargeModelNotRated(
                "the usage is priced by an external source, which was not asked",
                metadata={"group": list(group)},
            )
        quantity = units(micro)
        unit_amount = None if price.unit_amount is None else Fraction(price.unit_amount)
        amount = Fraction(price.amount or 0) if unit_amount is None else quantity * unit_amount
        detail = {"external_price": price.detail()}
        yield Priced(group, quantity, unit_amount, amount, detail)


def _fields(
    usage: Usage, group: Values, quantity: str, customer: str, at: datetime
) -> dict[str, Any]:
    return {
        "Meter": usage.meter,
        "Quantity": quantity,
        "Dimensions": dict(zip(usage.group_by, group, strict=False)),
        "Customer": customer,
        "At": at.isoformat().replace("+00:00", "Z"),
    }


def _named(model: models.External, fields: Mapping[str, Any]) -> dict[str, Any]:
    wanted: Sequence[tuple[str, str]] = _USUAL_FIELDS
    if model.request is not None:
        wanted = [(field.name, field.value) for field in model.request.fields_sent]
    return {name: fields[value] for name, value in wanted}


def _standing(model: models.External, charge: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A price for all units holds for that many only, a price for each for any number."""
    kept = {name: value for name, value in fields.items() if name != "At"}
    if model.response.unit_amount is not None:
        del kept["Quantity"]
    return {"charge": charge, "url": model.url, **kept}


def _at(data: Any, path: str) -> Any:
    """Follow `$.a.b`."""
    value = data
    for part in path.removeprefix("$.").split("."):
        if not isinstance(value, dict) or part not in value:
            raise PriceAnswerInvalid(f"the price source's answer has no {path}")
        value = value[part]
    return value


def _number(value: Any, path: str) -> str:
    if isinstance(value, Decimal):
        # Written out only where that is short: 1e999999999 is a number too.
        found = f"{value:f}" if -13 < value.adjusted() < 19 else ""
    else:
        found = str(value) if isinstance(value, (str, int)) and value is not True else ""
    if not _NUMBER.fullmatch(found):
        raise PriceAnswerInvalid(
            f"{path} of the price source's answer must be a number from 0 on with at most 18 "
            "digits before and 12 after the point"
        )
    return found
