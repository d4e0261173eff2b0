"""What the utility refuses, in the words of its own API."""

from typing import Any


class Refused(Exception):
    """An answer that is no success; `code` tells programs why."""

    status = 400
    code = "refused"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        return {"error": self.code, "detail": self.detail, **self.extra}


class CredentialsInvalid(Refused):
    """No such customer, or another password or code."""

    status = 401
    code = "credentials_invalid"


class TokenInvalid(Refused):
    """No session, or none of this utility's."""

    status = 401
    code = "token_invalid"


class TokenExpired(Refused):
    """The session has ended."""

    status = 401
    code = "token_expired"


class SecondFactorNeeded(Refused):
    """The customer has to tell the code that was sent."""

    status = 403
    code = "mfa_required"


class AccountLocked(Refused):
    """The utility has locked the customer out."""

    status = 403
    code = "account_locked"


class NotFound(Refused):
    """No such account of this customer, or no such path."""

    status = 404
    code = "not_found"


class RequestInvalid(Refused):
    """The request is not as the API describes it."""

    status = 422
    code = "request_invalid"


class TooManyRequests(Refused):
    """The session, or a fault, asks to wait."""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after_seconds)}


class Unavailable(Refused):
    """The utility is out of order."""

    status = 503
    code = "unavailable"
