"""One table: each kind of error has one HTTP status and one gRPC code, and loses no word."""

import inspect
from importlib import import_module

import grpc
import pytest
from billplane import catalog
from billplane.chassis import errors
from billplane.chassis.channels import peer_error
from billplane.chassis.errors import BillplaneError, FieldError, Invalid, Kind, problem
from billplane.chassis.rpc import status_of
from google.rpc import error_details_pb2
from grpc_status import rpc_status

TABLE = {
    "MALFORMED": (400, "INVALID_ARGUMENT"),
    "INVALID_ARGUMENT": (422, "INVALID_ARGUMENT"),
    "UNAUTHENTICATED": (401, "UNAUTHENTICATED"),
    "DECLINED": (402, "FAILED_PRECONDITION"),
    "PERMISSION_DENIED": (403, "PERMISSION_DENIED"),
    "NOT_FOUND": (404, "NOT_FOUND"),
    "METHOD_NOT_ALLOWED": (405, "UNIMPLEMENTED"),
    "ALREADY_EXISTS": (409, "ALREADY_EXISTS"),
    "ABORTED": (409, "ABORTED"),
    "FAILED_PRECONDITION": (409, "FAILED_PRECONDITION"),
    "TOO_LARGE": (413, "INVALID_ARGUMENT"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "INVALID_ARGUMENT"),
    "RESOURCE_EXHAUSTED": (429, "RESOURCE_EXHAUSTED"),
    "INTERNAL": (500, "INTERNAL"),
    "UNAVAILABLE": (503, "UNAVAILABLE"),
    "DEADLINE_EXCEEDED": (504, "DEADLINE_EXCEEDED"),
}


def every_error():
    modules = [errors, *(import_module(f"billplane.{name}.errors") for name in _with_errors())]
    for module in modules:
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, BillplaneError) and found.__module__ == module.__name__:
                yield found


def _with_errors():
    for name in catalog.SERVICES:
        try:
            import_module(f"billplane.{name}.errors")
        except ModuleNotFoundError:
            continue
        yield name


def test_the_table_is_this():
    assert {kind.name: (kind.http_status, kind.grpc_code.name) for kind in Kind} == TABLE


def test_a_reason_belongs_to_one_kind_and_is_written_in_capitals():
    kinds = {}
    for error in every_error():
        if "reason" not in vars(error):
            continue  # its fields' reasons are its own
        assert error.reason.replace("_", "").isalnum(), error
        assert error.reason == error.reason.upper(), error
        assert kinds.setdefault(error.reason, error.kind) is error.kind, error.reason


def test_every_error_says_what_it_means():
    for error in every_error():
        assert (error.__doc__ or "").strip().endswith("."), error


# A method that is not there is a defect between services, not the caller's.
TOLD = [kind for kind in Kind if kind is not Kind.METHOD_NOT_ALLOWED]


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.name)
def test_an_error_comes_back_whole_over_grpc(kind):
    class Some(BillplaneError):
        """Something."""

    Some.kind, Some.reason = kind, "SOMETHING"
    fields = [FieldError("a.b[0]", "FIELD_INVALID", "wrong"), FieldError("c", "TOO_LONG", "long")]
    error = Some("what happened", errors=fields, metadata={"limit": 7})
    raised = _over_the_wire(error)
    found = peer_error(raised)
    assert found.kind.grpc_code is kind.grpc_code
    assert (found.reason, found.detail) == ("SOMETHING", "what happened")
    assert (found.errors, found.field) == (tuple(fields), "a.b[0]")
    assert found.metadata == {"limit": "7"}


def _over_the_wire(error):
    status = rpc_status.to_status(status_of(error))
    return grpc.aio.AioRpcError(
        status.code,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(*status.trailing_metadata),
        details=status.details,
    )


def test_an_error_without_details_is_told_by_its_code():
    bare = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details="gone"
    )
    found = peer_error(bare)
    assert (found.kind, found.reason, found.detail) == (
        Kind.UNAVAILABLE,
        "PEER_UNAVAILABLE",
        "gone",
    )


def test_a_problem_has_every_member_of_the_contract():
    error = Invalid([FieldError("/a", "FIELD_INVALID", "wrong"), FieldError("/b", "B", "b")])
    assert problem(error, "req_1") == {
        "type": "urn:billplane:error:FIELD_INVALID",
        "title": "Field invalid",
        "status": 422,
        "detail": "wrong",
        "reason": "FIELD_INVALID",
        "field": "/a",
        "errors": [
            {"field": "/a", "reason": "FIELD_INVALID", "detail": "wrong"},
            {"field": "/b", "reason": "B", "detail": "b"},
        ],
        "metadata": {},
        "request_id": "req_1",
    }


def test_a_single_field_is_a_violation_too():
    class Wrong(BillplaneError):
        """Wrong."""

        kind = Kind.INVALID_ARGUMENT
        reason = "WRONG"

    status = status_of(Wrong("no", field="amount"))
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    (violation,) = bad.field_violations
    assert (violation.field, violation.reason, violation.description) == ("amount", "WRONG", "no")
