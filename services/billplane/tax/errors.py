"""What tax refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class TaxRateUnknown(BillplaneError):
    """No rate is known for the place and date."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TAX_RATE_UNKNOWN"


class TaxRuleNotFound(BillplaneError):
    """No such rule."""

    kind = Kind.NOT_FOUND
    reason = "TAX_RULE_NOT_FOUND"


class TaxCalculationNotFound(BillplaneError):
    """No such calculation."""

    kind = Kind.NOT_FOUND
    reason = "TAX_CALCULATION_NOT_FOUND"


class TaxRuleSuperseded(BillplaneError):
    """A later version of the rule exists, or one that begins no earlier."""

    kind = Kind.FAILED_PRECONDITION
    reason = "TAX_RULE_SUPERSEDED"


class TaxRuleShipped(BillplaneError):
    """The shipped table is not changed; a rule of the tenant goes before it."""

    kind = Kind.FAILED_PRECONDITION
    reason = "TAX_RULE_SHIPPED"
