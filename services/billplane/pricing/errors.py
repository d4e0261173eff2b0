"""Why pricing refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class PeriodInvalid(BillplaneError):
    """The period to rate is empty, runs backwards or lies outside the whole period."""

    kind = Kind.INVALID_ARGUMENT
    reason = "PERIOD_INVALID"


class CurrencyNotPriced(BillplaneError):
    """The plan is not priced in the currency that was asked for."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURRENCY_NOT_PRICED"


class PlanNotInEffect(BillplaneError):
    """Every version of the plan comes into effect later."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PLAN_NOT_IN_EFFECT"


class RateRequired(BillplaneError):
    """Another currency was asked for without a rate above zero."""

    kind = Kind.INVALID_ARGUMENT
    reason = "RATE_REQUIRED"


class AmountTooLarge(BillplaneError):
    """A line comes to more than an amount can hold."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AMOUNT_OUT_OF_RANGE"


class UsageChargeUnknown(BillplaneError):
    """Usage was given for a charge that the plan does not have or that takes no usage."""

    kind = Kind.INVALID_ARGUMENT
    reason = "USAGE_CHARGE_UNKNOWN"


class UsageQuantityInvalid(BillplaneError):
    """A quantity is not a decimal number of at most six fractional digits."""

    kind = Kind.INVALID_ARGUMENT
    reason = "USAGE_QUANTITY_INVALID"


class UsageShapeMismatch(BillplaneError):
    """Usage rows have not the dimensions or properties that the charge asks for."""

    kind = Kind.INVALID_ARGUMENT
    reason = "USAGE_SHAPE_MISMATCH"


class UsageWindowMismatch(BillplaneError):
    """Usage rows are cut wider than the charge's model can price."""

    kind = Kind.INVALID_ARGUMENT
    reason = "USAGE_WINDOW_MISMATCH"


class ChargeModelNotRated(BillplaneError):
    """The charge's model cannot be rated from what was given."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CHARGE_MODEL_NOT_RATED"


class PlanNotFound(BillplaneError):
    """No such plan, or no default plan."""

    kind = Kind.NOT_FOUND
    reason = "PLAN_NOT_FOUND"


class PlanVersionNotFound(BillplaneError):
    """The plan has no such version."""

    kind = Kind.NOT_FOUND
    reason = "PLAN_VERSION_NOT_FOUND"


class PlanArchived(BillplaneError):
    """The plan is no longer sold and gets no further version."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PLAN_ARCHIVED"


class PlanInUse(BillplaneError):
    """The plan has live subscriptions."""

    kind = Kind.FAILED_PRECONDITION
    reason = "IN_USE"


class DefaultPlanTaken(BillplaneError):
    """Another plan is the default of the tenant."""

    kind = Kind.ALREADY_EXISTS
    reason = "DEFAULT_PLAN_TAKEN"


class MeterNotPriced(BillplaneError):
    """The plan has no charge for the meter."""

    kind = Kind.INVALID_ARGUMENT
    reason = "METER_NOT_PRICED"


class UsageOutOfRange(BillplaneError):
    """A usage row says an instant, a span or a count that no usage has."""

    kind = Kind.INVALID_ARGUMENT
    reason = "USAGE_OUT_OF_RANGE"


class PriceAnswerInvalid(BillplaneError):
    """An external price source answered something that is no price."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PRICE_ANSWER_INVALID"


class PriceUnavailable(BillplaneError):
    """An external price source fails, and no earlier answer may serve in its place.

    Not UNAVAILABLE, since pricing itself answers: callers that try again at once would only ask a
    failing source again.
    """

    kind = Kind.FAILED_PRECONDITION
    reason = "PRICE_UNAVAILABLE"


class TooManyPrices(BillplaneError):
    """The usage falls into more groups than an external source is asked about at once."""

    kind = Kind.FAILED_PRECONDITION
    reason = "TOO_MANY_PRICES"


class PriceNotFound(BillplaneError):
    """No such price."""

    kind = Kind.NOT_FOUND
    reason = "PRICE_NOT_FOUND"


class PriceSecretRefused(BillplaneError):
    """What a Secret holds is no bearer token."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PRICE_SECRET_REFUSED"


class PriceSecretNotFound(BillplaneError):
    """No such secret."""

    kind = Kind.NOT_FOUND
    reason = "PRICE_SECRET_NOT_FOUND"


class CustomerNotFound(BillplaneError):
    """No such customer."""

    kind = Kind.NOT_FOUND
    reason = "CUSTOMER_NOT_FOUND"
