"""What identity refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class EmailTaken(BillplaneError):
    """The e-mail address has an account."""

    kind = Kind.ALREADY_EXISTS
    reason = "EMAIL_TAKEN"


class CredentialsInvalid(BillplaneError):
    """E-mail or password is wrong; which of them is not told."""

    kind = Kind.UNAUTHENTICATED
    reason = "CREDENTIALS_INVALID"


class RefreshTokenInvalid(BillplaneError):
    """The refresh token is unknown, expired, used or revoked."""

    kind = Kind.UNAUTHENTICATED
    reason = "REFRESH_TOKEN_INVALID"


class TooManyLogins(BillplaneError):
    """Too many attempts to log in to one account."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_LOGINS"


class KeyNotFound(BillplaneError):
    """No such API key."""

    kind = Kind.NOT_FOUND
    reason = "API_KEY_NOT_FOUND"


class TenantNotActivated(BillplaneError):
    """The tenant may not make live keys yet."""

    kind = Kind.FAILED_PRECONDITION
    reason = "TENANT_NOT_ACTIVATED"


class UserOnly(BillplaneError):
    """Only a person who logged in may do this, not an API key."""

    kind = Kind.PERMISSION_DENIED
    reason = "USER_ONLY"


class UserNotFound(BillplaneError):
    """No such user."""

    kind = Kind.NOT_FOUND
    reason = "USER_NOT_FOUND"


class StaffMemberNotFound(BillplaneError):
    """No such member of the staff."""

    kind = Kind.NOT_FOUND
    reason = "STAFF_MEMBER_NOT_FOUND"


class TenantNotFound(BillplaneError):
    """No such tenant."""

    kind = Kind.NOT_FOUND
    reason = "TENANT_NOT_FOUND"
