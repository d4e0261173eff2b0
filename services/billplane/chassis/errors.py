"""Errors as every transport tells them: a kind, a reason, what to do about it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc


class Kind(Enum):
    """The closed list of kinds: HTTP status and gRPC code of each."""

    MALFORMED = (400, grpc.StatusCode.INVALID_ARGUMENT)
    INVALID_ARGUMENT = (422, grpc.StatusCode.INVALID_ARGUMENT)
    DECLINED = (402, grpc.StatusCode.FAILED_PRECONDITION)
    UNAUTHENTICATED = (401, grpc.StatusCode.UNAUTHENTICATED)
    PERMISSION_DENIED = (403, grpc.StatusCode.PERMISSION_DENIED)
    NOT_FOUND = (404, grpc.StatusCode.NOT_FOUND)
    METHOD_NOT_ALLOWED = (405, grpc.StatusCode.UNIMPLEMENTED)
    ALREADY_EXISTS = (409, grpc.StatusCode.ALREADY_EXISTS)
    ABORTED = (409, grpc.StatusCode.ABORTED)
    FAILED_PRECONDITION = (409, grpc.StatusCode.FAILED_PRECONDITION)
    TOO_LARGE = (413, grpc.StatusCode.INVALID_ARGUMENT)
    UNSUPPORTED_MEDIA_TYPE = (415, grpc.StatusCode.INVALID_ARGUMENT)
    RESOURCE_EXHAUSTED = (429, grpc.StatusCode.RESOURCE_EXHAUSTED)
    INTERNAL = (500, grpc.StatusCode.INTERNAL)
    UNAVAILABLE = (503, grpc.StatusCode.UNAVAILABLE)
    DEADLINE_EXCEEDED = (504, grpc.StatusCode.DEADLINE_EXCEEDED)

    @property
    def http_status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def grpc_code(self) -> grpc.StatusCode:
        """The gRPC code."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: a JSON pointer (REST) or a dotted path (specs)."""

    field: str
    reason: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"field": self.field, "reason": self.reason, "detail": self.detail}


class BillplaneError(Exception):
    """What a use case raises; subclasses set `kind` and `reason`, one class a reason."""

    kind: Kind = Kind.INTERNAL
    reason: str = "INTERNAL"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        metadata: Mapping[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.errors = tuple(errors)
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


class PeerError(BillplaneError):
    """An error that another service answered with; keeps its kind and reason."""

    def __init__(self, kind: Kind, reason: str, detail: str, **values: Any) -> None:
        super().__init__(detail, **values)
        self.kind = kind
        self.reason = reason


class Invalid(BillplaneError):
    """Some fields are wrong."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID"

    def __init__(self, errors: Sequence[FieldError], detail: str | None = None) -> None:
        first = errors[0]
        super().__init__(detail or first.detail, field=first.field, errors=errors)
        self.reason = first.reason


class MalformedBody(BillplaneError):
    """The body cannot be read at all."""

    kind = Kind.MALFORMED
    reason = "BODY_MALFORMED"


class BodyTooLarge(BillplaneError):
    """The body exceeds the limit."""

    kind = Kind.TOO_LARGE
    reason = "BODY_TOO_LARGE"


class UnsupportedMediaType(BillplaneError):
    """The body is of a type that the route does not read."""

    kind = Kind.UNSUPPORTED_MEDIA_TYPE
    reason = "UNSUPPORTED_MEDIA_TYPE"


class NotFound(BillplaneError):
    """No such thing for this tenant."""

    kind = Kind.NOT_FOUND
    reason = "NOT_FOUND"


class CredentialMissing(BillplaneError):
    """No credential was given."""

    kind = Kind.UNAUTHENTICATED
    reason = "CREDENTIAL_MISSING"


class CredentialInvalid(BillplaneError):
    """The credential is wrong, expired or revoked."""

    kind = Kind.UNAUTHENTICATED
    reason = "CREDENTIAL_INVALID"


class ScopeMissing(BillplaneError):
    """The credential may not do this."""

    kind = Kind.PERMISSION_DENIED
    reason = "SCOPE_MISSING"


class InternalOnly(BillplaneError):
    """Only services and the operator may call this."""

    kind = Kind.PERMISSION_DENIED
    reason = "INTERNAL_ONLY"


class StaffOnly(BillplaneError):
    """Only people of the operating company may call this."""

    kind = Kind.PERMISSION_DENIED
    reason = "STAFF_ONLY"


class TenantRequired(BillplaneError):
    """Staff did not say for which tenant it acts."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TENANT_REQUIRED"


class CursorInvalid(BillplaneError):
    """The page cursor is not one of ours."""

    kind = Kind.INVALID_ARGUMENT
    reason = "CURSOR_INVALID"


class IdempotencyKeyReused(BillplaneError):
    """The key was used for another request."""

    kind = Kind.INVALID_ARGUMENT
    reason = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInUse(BillplaneError):
    """The first request with this key still runs."""

    kind = Kind.ABORTED
    reason = "IDEMPOTENCY_KEY_IN_USE"


class StoreUnavailable(BillplaneError):
    """A store cannot be reached now; nothing was changed."""

    kind = Kind.UNAVAILABLE
    reason = "STORE_UNAVAILABLE"


class RateLimited(BillplaneError):
    """Too many requests."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"


def problem_json(error: BillplaneError, request_id: str) -> bytes:
    """Return the problem+json body as bytes: all ASCII, whatever text was at fault."""
    return json.dumps(problem(error, request_id), default=str).encode()


def problem(error: BillplaneError, request_id: str) -> dict[str, Any]:
    """Return the problem+json body.

    Source: RFC 9457.
    """
    return {
        "type": f"urn:billplane:error:{error.reason}",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": error.kind.http_status,
        "detail": error.detail,
        "reason": error.reason,
        "field": error.field,
        "errors": [item.as_json() for item in error.errors],
        "metadata": error.metadata,
        "request_id": request_id,
    }
