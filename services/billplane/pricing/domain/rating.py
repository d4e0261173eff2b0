"""Rating of one billing period: usage and fees in, lines out.

A pure function of the plan's version, the usage, the period and one exchange rate.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from billplane.money import CurrencyCode, to_ratio
from billplane.pricing.domain import (
    event_models,
    external,
    matrix,
    quantity_models,
    time_models,
)
from billplane.pricing.domain.lines import Conversion, Draft, RatedLine
from billplane.pricing.domain.list_columns import ListColumns
from billplane.pricing.domain.periods import Period, calendar_period, share_of
from billplane.pricing.domain.priced import (
    FetchedPrice,
    Priced,
    UsageToPrice,
    Values,
    ratio,
    text,
)
from billplane.pricing.domain.usage import UsageColumns, UsageLists
from billplane.pricing.errors import (
    ChargeModelNotRated,
    CurrencyNotPriced,
    PeriodInvalid,
    RateRequired,
    UsageChargeUnknown,
    UsageShapeMismatch,
)
from billplane.resources import charge_models as models
from billplane.resources.billing_plan import BillingPlanSpec, Charge, Recurring, Usage
from billplane.resources.usage_windows import dimensions_of, properties_of

COMMITMENT: Final = "minimumCommitment"
CAP: Final = "maximumCharge"

_NO_USAGE: Final = UsageLists((), (), (), (), (), ())
Prices = Mapping[str, Mapping[Values, FetchedPrice]]
_Price = Callable[[Any, UsageToPrice], Iterator[Priced]]
_MODELS: Final[dict[type, _Price]] = {
    models.Flat: quantity_models.price_flat,
    models.PerUnit: quantity_models.price_per_unit,
    models.Graduated: quantity_models.price_graduated,
    models.Volume: quantity_models.price_volume,
    models.GraduatedPercentage: quantity_models.price_graduated_percentage,
    models.Package: quantity_models.price_package,
    models.Capacity: quantity_models.price_capacity,
    models.Matrix: matrix.price_matrix,
    models.Percentage: event_models.price_percentage,
    models.Dynamic: event_models.price_dynamic,
    models.TimeOfUse: time_models.price_time_of_use,
    models.Demand: time_models.price_demand,
    models.Seats: time_models.price_seats,
    models.External: external.price_external,
}


def rate_period(
    spec: BillingPlanSpec,
    *,
    starts_at: datetime,
    ends_at: datetime,
    usage: Mapping[str, UsageColumns],
    nominal: Period | None = None,
    advance: Period | None = None,
    advance_only: bool = False,
    target_currency: CurrencyCode | None = None,
    rate: Decimal | None = None,
    rate_id: str | None = None,
    prices: Prices | None = None,
) -> list[RatedLine]:
    """Rate the period [starts_at, ends_at): its usage, its fees in arrears, its bounds.

    `nominal` is the whole period that the rated one is part of; without it the calendar's for
    plans anchored there, else the rated period itself. `advance` is the period whose fees in
    advance fall due now; `advance_only` rates nothing else. A minimum commitment or maximum
    counts the period's own fees in advance too, which an earlier invoice has billed; the
    commitment is prorated by days, the maximum is not.

    Units: `rate` in target currency for one unit of the plan's.
    Shape: `usage` by charge name, `prices` of external sources by charge and group. Lines in the
        plan's order, then the bound that took effect.
    Raises: PeriodInvalid, CurrencyNotPriced, RateRequired, UsageChargeUnknown,
        UsageShapeMismatch, UsageWindowMismatch, ChargeModelNotRated, AmountTooLarge.
    """
    conversion = _conversion(spec, target_currency, rate, rate_id)
    _require_known_charges(spec, usage)
    in_advance = None if advance is None else _Span(spec, advance, nominal)
    if advance_only:
        return _fees_in_advance(spec, conversion, in_advance)
    rated = _Span(spec, Period(starts_at, ends_at), nominal, prices)
    lines: list[RatedLine] = []
    total_minor = 0
    for charge in spec.charges:
        drafts = rated.drafts(charge, usage.get(charge.name))
        own = [conversion.line(draft) for draft in drafts]
        total_minor += sum(line.amount_minor for line in own)
        if not _is_in_advance(charge):
            lines += own
        elif in_advance is not None:
            lines += [conversion.line(fee) for fee in in_advance.drafts(charge, None)]
    return lines + list(rated.bounds(conversion, total_minor))


def _fees_in_advance(
    spec: BillingPlanSpec, conversion: Conversion, in_advance: "_Span | None"
) -> list[RatedLine]:
    if in_advance is None:
        raise PeriodInvalid("fees in advance need the period that they pay for", field="advance")
    charges = [charge for charge in spec.charges if _is_in_advance(charge)]
    return [
        conversion.line(draft) for charge in charges for draft in in_advance.drafts(charge, None)
    ]


class _Span:
    """The charges of one period."""

    def __init__(
        self,
        spec: BillingPlanSpec,
        period: Period,
        nominal: Period | None,
        prices: Prices | None = None,
    ) -> None:
        self._spec = spec
        self._prices = prices or {}
        self._period = period
        self._zone = ZoneInfo(spec.interval.time_zone)
        if nominal is not None and nominal.contains(period):
            self._whole = nominal
        elif spec.interval.anchor == "Calendar":
            self._whole = calendar_period(spec.interval, period.starts_at)
        else:
            self._whole = period

    def drafts(self, charge: Charge, columns: UsageColumns | None) -> Iterator[Draft]:
        """Yield the lines of a charge before they have a currency."""
        if charge.recurring is not None:
            yield from self._fee(charge, charge.recurring)
        elif charge.usage is not None:
            yield from self._usage(charge, charge.usage, columns or ListColumns.of(_NO_USAGE))

    def bounds(self, conversion: Conversion, total_minor: int) -> Iterator[RatedLine]:
        """Yield the line that lifts a total to the commitment or lowers it to the maximum."""
        commitment, maximum = self._spec.minimum_commitment, self._spec.maximum_charge
        if commitment is not None:
            share = share_of(self._period, self._whole, self._zone)
            draft = self._bound(COMMITMENT, ratio(commitment) * share, share)
            if conversion.minor(draft.amount) > total_minor:
                yield conversion.difference(draft, total_minor)
                return
        if maximum is not None:
            draft = self._bound(CAP, ratio(maximum), Fraction(1))
            if conversion.minor(draft.amount) < total_minor:
                yield conversion.difference(draft, total_minor)

    def _fee(self, charge: Charge, fee: Recurring) -> Iterator[Draft]:
        share = share_of(self._period, self._whole, self._zone) if fee.prorate else Fraction(1)
        if not share:
            return
        amount = ratio(fee.amount)
        yield Draft(
            charge=charge.name,
            kind="recurring",
            description=self._described(charge.display_name or charge.name, share),
            quantity=Fraction(1),
            unit=self._interval,
            unit_amount=amount,
            amount=amount * share,
            tax_category=charge.tax_category or self._spec.tax_category,
            detail={"billed": fee.billed, **self._proration(share)},
            period=self._period,
        )

    def _usage(self, charge: Charge, usage: Usage, columns: UsageColumns) -> Iterator[Draft]:
        to_price = UsageToPrice(
            usage=usage,
            columns=columns,
            dimensions=dimensions_of(usage),
            period=self._period,
            whole=self._whole,
            time_zone=self._spec.interval.time_zone,
            prices=self._prices.get(charge.name, {}),
        )
        _require_shape(charge.name, to_price)
        for priced in _model_of(charge.name, usage)(usage.model.chosen, to_price):
            name = charge.display_name or charge.name
            grouped = dict(zip(usage.group_by, priced.group, strict=True))
            yield Draft(
                charge=charge.name,
                kind="usage",
                description=": ".join([name, ", ".join(priced.group)]) if grouped else name,
                quantity=priced.quantity,
                unit=usage.meter,
                unit_amount=priced.unit_amount,
                amount=priced.amount,
                tax_category=charge.tax_category or self._spec.tax_category,
                detail={**({"dimensions": grouped} if grouped else {}), **priced.detail},
                period=self._period,
            )

    def _bound(self, charge: str, amount: Fraction, share: Fraction) -> Draft:
        is_commitment = charge == COMMITMENT
        return Draft(
            charge=charge,
            kind="commitment" if is_commitment else "cap",
            description=self._described(
                "Minimum commitment" if is_commitment else "Maximum charge", share
            ),
            quantity=Fraction(1),
            unit=self._interval,
            unit_amount=None,
            amount=amount,
            tax_category=self._spec.tax_category,
            detail={"bound": text(amount), **self._proration(share)},
            period=self._period,
        )

    @property
    def _interval(self) -> str:
        interval = self._spec.interval
        unit = interval.unit.lower()
        return unit if interval.count == 1 else f"{interval.count} {unit}s"

    def _described(self, name: str, share: Fraction) -> str:
        if share == 1:
            return name
        days = self._proration(share)
        return f"{name} ({days['days']} of {days['whole_days']} days)"

    def _proration(self, share: Fraction) -> dict[str, int]:
        if share == 1:
            return {}
        return {"days": self._period.days(self._zone), "whole_days": self._whole.days(self._zone)}


def _is_in_advance(charge: Charge) -> bool:
    return charge.recurring is not None and charge.recurring.billed == "InAdvance"


def _model_of(charge: str, usage: Usage) -> _Price:
    chosen = usage.model.chosen
    price = _MODELS.get(type(chosen))
    if price is None:
        raise ChargeModelNotRated(
            f"charge {charge} is priced by the model {type(chosen).__name__}, which cannot be "
            "rated from usage alone",
            metadata={"charge": charge, "model": type(chosen).__name__},
        )
    return price


def _conversion(
    spec: BillingPlanSpec, target: CurrencyCode | None, rate: Decimal | None, rate_id: str | None
) -> Conversion:
    if target is None or target == spec.currency:
        return Conversion(spec.currency, spec.currency, Fraction(1), None)
    if target not in {other.currency for other in spec.also_priced_in}:
        raise CurrencyNotPriced(
            f"the plan is priced in {spec.currency}; {target} is not among alsoPricedIn",
            field="target_currency",
            metadata={"currency_code": target},
        )
    try:
        value = Fraction(0) if rate is None else to_ratio(rate, "the rate")
    except ValueError as error:
        raise RateRequired(str(error), field="rate") from error
    if value <= 0:
        raise RateRequired(
            f"a rate above zero, {target} for one {spec.currency}, is required", field="rate"
        )
    return Conversion(spec.currency, target, value, rate_id)


def _require_known_charges(spec: BillingPlanSpec, usage: Mapping[str, UsageColumns]) -> None:
    known = {charge.name for charge in spec.charges if charge.usage is not None}
    unknown = sorted(set(usage) - known)
    if unknown:
        raise UsageChargeUnknown(
            f"the plan has no usage charge {unknown[0]}",
            field="usage",
            metadata={"charge": unknown[0]},
        )


def _require_shape(charge: str, to_price: UsageToPrice) -> None:
    columns = to_price.columns
    if not columns.size:
        return
    expected = (len(to_price.dimensions), len(properties_of(to_price.usage)))
    if (columns.dimension_count, columns.property_count) != expected:
        raise UsageShapeMismatch(
            f"usage of charge {charge} must have {expected[0]} dimensions and {expected[1]} "
            "properties a row",
            field="usage",
            metadata={"charge": charge, "dimensions": list(to_price.dimensions)},
        )
