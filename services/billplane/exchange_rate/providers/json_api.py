"""JSON APIs, read by a mapping of paths."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import SourceUnreadable
from billplane.exchange_rate.providers.base import parse_day, parse_rate, rebase
from billplane.money import wide_precision
from billplane.resources.exchange_rate_feed import JsonSource


def parse(
    body: bytes, source: JsonSource, base: str, currencies: tuple[str, ...], today: date
) -> list[Quotation]:
    """Read the answer; numbers keep their digits.

    Raises: SourceUnreadable naming the path.
    """
    try:
        data = msgspec.json.Decoder(float_hook=Decimal).decode(body)
    except (msgspec.DecodeError, RecursionError, ArithmeticError) as error:
        raise SourceUnreadable(f"the answer is not JSON: {error}") from None
    mapping = source.mapping
    as_of = parse_day(str(_at(data, mapping.as_of)), mapping.as_of) if mapping.as_of else today
    given = str(_at(data, mapping.base)) if mapping.base else base
    found = []
    for quote, value in _pairs(_at(data, mapping.rates), source):
        rate = parse_rate(str(value), quote)
        if source.invert:
            with wide_precision():
                rate = (1 / rate).quantize(Decimal("1e-18"))
        found.append(Quotation(quote, rate, as_of))
    return rebase(found, given, base, currencies)


def _pairs(rates: Any, source: JsonSource) -> Iterator[tuple[str, Any]]:
    mapping = source.mapping
    if mapping.shape == "Object":
        if not isinstance(rates, dict):
            raise SourceUnreadable(f"{mapping.rates} is not an object")
        yield from rates.items()
        return
    if not isinstance(rates, list):
        raise SourceUnreadable(f"{mapping.rates} is not a list")
    for item in rates:
        yield str(_at(item, mapping.quote or "")), _at(item, mapping.rate or "")


def _at(data: Any, path: str) -> Any:
    """Follow `$.a.b`."""
    value = data
    for part in path.removeprefix("$").split("."):
        if part:
            if not isinstance(value, dict) or part not in value:
                raise SourceUnreadable(f"the answer has no {path}")
            value = value[part]
    return value
