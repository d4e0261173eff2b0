"""What discount refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class CouponNotFound(BillplaneError):
    """No such coupon."""

    kind = Kind.NOT_FOUND
    reason = "COUPON_NOT_FOUND"


class DiscountRuleNotFound(BillplaneError):
    """No such rule."""

    kind = Kind.NOT_FOUND
    reason = "DISCOUNT_RULE_NOT_FOUND"


class CustomerNotFound(BillplaneError):
    """No such customer."""

    kind = Kind.NOT_FOUND
    reason = "CUSTOMER_NOT_FOUND"


class CouponCodeTaken(BillplaneError):
    """Another coupon of the tenant and mode has the code, in whatever case."""

    kind = Kind.ALREADY_EXISTS
    reason = "COUPON_CODE_TAKEN"
