"""Our cross rates against CurrencyConverter's, on the same published rates."""

import random
from datetime import date, timedelta
from decimal import Decimal, localcontext

import pytest
from currency_converter import CurrencyConverter

from tests.judges.conftest import RATES, Judged

PAIRS = 500


@pytest.fixture(scope="module")
def judge() -> CurrencyConverter:
    """Give the converter that goes on with the last known rate, in decimals."""
    return CurrencyConverter(
        str(RATES),
        decimal=True,
        fallback_on_missing_rate=True,
        fallback_on_missing_rate_method="last_known",
    )


def test_every_currency_of_today_is_known(judged: Judged, judge: CurrencyConverter) -> None:
    newest = max(judge.bounds[name].last_date for name in ("USD", "JPY", "GBP"))
    traded = {name for name in judge.currencies if judge.bounds[name].last_date == newest}
    assert traded - {"EUR"} <= judged.currencies


def test_crosses_of_any_day_are_those_of_the_judge(
    judged: Judged, judge: CurrencyConverter
) -> None:
    choice = random.Random(20130101)
    currencies = sorted(judged.currencies | {"EUR"})
    differing = {}
    for _ in range(PAIRS):
        base, quote = choice.sample(currencies, 2)
        first = max(judge.bounds[name].first_date for name in (base, quote))
        last = min(judge.bounds[name].last_date for name in (base, quote))
        if first >= last:
            continue
        day = first + timedelta(days=choice.randrange((last - first).days + 1))
        found = judged.call("GET", f"/v1/exchange_rates/{base}/{quote}?as_of={day}")
        expected = cross(judge, base, quote, day)
        if abs(Decimal(found["rate"]) - expected) > expected * Decimal("1e-15"):
            differing[base, quote, day.isoformat()] = (found["rate"], expected)
        assert date.fromisoformat(found["as_of"]) <= day
    assert not differing


def cross(judge: CurrencyConverter, base: str, quote: str, day: date) -> Decimal:
    """Return the judge's rate, of more digits than its own context gives."""
    with localcontext() as context:
        context.prec = 50
        return Decimal(judge.convert(1, base, quote, date=day))
