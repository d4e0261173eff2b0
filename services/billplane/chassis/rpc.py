"""gRPC manners: a servicer is a set of functions; credentials, transactions and errors are here."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf import any_pb2, timestamp_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry import context as trace_context
from opentelemetry.propagate import extract
from structlog.contextvars import bind_contextvars

from billplane.chassis import acting, idempotency, ids, logging, metrics
from billplane.chassis.call import Call
from billplane.chassis.channels import DOMAIN
from billplane.chassis.errors import BillplaneError, FieldError, Invalid, MalformedBody
from billplane.chassis.rest import TextError, check_text

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

_log = logging.get("rpc")

__all__ = ["Call", "Rpc", "from_timestamp", "to_timestamp"]

Choose = Callable[[Any], "Runtime"]
Method = TypeVar("Method", bound=Callable[..., Awaitable[Message]])


@dataclass(frozen=True, slots=True)
class _Entry:
    function: Callable[..., Awaitable[Message]]
    mode: str


class Rpc:
    """One gRPC service: its functions take (tx, request) and return the response."""

    def __init__(self, descriptor: ServiceDescriptor) -> None:
        self.descriptor = descriptor
        self._entries: dict[str, _Entry] = {}

    @property
    def full_name(self) -> str:
        """The name on the wire."""
        return str(self.descriptor.full_name)

    def read(self, function: Method) -> Method:
        """Register a query: `async def GetX(tx: ReadTransaction, request)`."""
        return self._add(function, "read")

    def write(self, function: Method) -> Method:
        """Register a change: `async def CreateX(tx: Transaction, request)`, once a request_id."""
        return self._add(function, "write")

    def steps(self, function: Method) -> Method:
        """Register work of several transactions: `async def FinalizeX(call: Call, request)`."""
        return self._add(function, "steps")

    def _add(self, function: Method, mode: str) -> Method:
        name = str(getattr(function, "__name__", ""))
        if name not in self.descriptor.methods_by_name:
            raise ValueError(f"{self.full_name} has no method {name}")
        self._entries[name] = _Entry(function, mode)
        return function

    def missing(self) -> list[str]:
        """List methods of the proto that nothing implements."""
        return sorted(set(self.descriptor.methods_by_name) - set(self._entries))

    def handler(self, runtime: "Runtime", choose: "Choose | None" = None) -> grpc.GenericRpcHandler:
        """Make the handler of a server; `choose` tells whose transactions a request needs.

        Raises: ValueError when a method is missing.
        """
        if self.missing():
            raise ValueError(f"{self.full_name} lacks {', '.join(self.missing())}")
        handlers: dict[str, Any] = {}
        for name, entry in self._entries.items():
            method = self.descriptor.methods_by_name[name]
            # The bytes are read once the caller is known, so that bad ones get an answer of ours.
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                _serve(runtime, f"{self.full_name}/{name}", entry, method, choose),
                response_serializer=lambda response: response.SerializeToString(),
            )
        return grpc.method_handlers_generic_handler(self.full_name, handlers)


def _serve(
    runtime: "Runtime", name: str, entry: _Entry, method: MethodDescriptor, choose: "Choose | None"
) -> Any:
    classes = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    # Once, and not by each call: binding a logger and looking for a counter cost more than they do.
    log, count_of = _log.bind(), metrics.CALLS.labels
    counters: dict[str, Any] = {}

    async def serve(raw: bytes, context: Any) -> Message:
        started = time.perf_counter()
        headers = dict(context.invocation_metadata() or ())
        call_id = str(headers.get("x-request-id") or ids.new("req"))[:128]
        # Each call is a task of its own, and what is bound here ends with it.
        if "traceparent" in headers or "baggage" in headers:
            trace_context.attach(extract(headers))
        bind_contextvars(service=runtime.name, request_id=call_id)
        code = "OK"
        try:
            return await _answer(runtime, name, entry, raw, headers, call_id, classes, choose)
        except BillplaneError as error:
            code = error.kind.grpc_code.name
            await context.abort_with_status(rpc_status.to_status(status_of(error)))
            raise
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            code = "INTERNAL"
            log.exception("rpc_failed", method=name, request_id=call_id)
            hidden = BillplaneError("an internal error; the log has it under this request id")
            hidden.metadata = {"request_id": call_id}
            await context.abort_with_status(rpc_status.to_status(status_of(hidden)))
            raise error  # not reached: abort raises
        finally:
            counter = counters.get(code)
            if counter is None:
                counter = counters[code] = count_of(runtime.name, name, code)
            counter.inc()
            log.debug("rpc_answered", method=name, code=code, seconds=time.perf_counter() - started)

    return serve


async def _answer(
    runtime: "Runtime",
    name: str,
    entry: _Entry,
    raw: bytes,
    headers: dict[str, Any],
    call_id: str,
    classes: tuple[type[Message], type[Message]],
    choose: "Choose | None",
) -> Message:
    request_class, response_class = classes
    principal = await runtime.authenticator.authenticate(
        str(headers.get("authorization", "")),
        headers.get("billplane-livemode") == "true",
        str(headers.get("x-admin-key", "")),
        str(headers.get("billplane-tenant", "")),
    )
    acting.note_action(principal, name)
    request = _parsed(request_class, raw)
    if choose is not None:
        runtime = choose(request)
    if entry.mode == "read":
        async with runtime.database.read(runtime, principal, call_id) as reading:
            return await entry.function(reading, request)
    key, print_ = str(getattr(request, "request_id", "")), ""
    if key:
        idempotency.check_key(key, "request_id")
        print_ = idempotency.fingerprint("RPC", name, request.SerializeToString(deterministic=True))
    if entry.mode == "steps":
        try:
            async with Call(runtime, principal, call_id, key=key, fingerprint=print_) as call:
                response = await entry.function(call, request)
                await call.answer(200, {}, response.SerializeToString() if key else b"")
                return response
        except idempotency.Replay as replay:
            return response_class.FromString(replay.answer.body)
    async with runtime.database.write(runtime, principal, call_id) as tx:
        if not key:
            response = await entry.function(tx, request)
            await acting.tell(tx)
            return response
        answer = await idempotency.claim(tx, key, print_)
        if answer is not None:
            return response_class.FromString(answer.body)
        response = await entry.function(tx, request)
        await acting.tell(tx)
        await idempotency.store(tx, key, print_, 200, {}, response.SerializeToString())
        return response


def _parsed(request_class: type[Message], raw: bytes) -> Message:
    """Read a request.

    Raises: MalformedBody, Invalid where text is such as no store can hold.
    """
    try:
        request = request_class.FromString(raw)
    except DecodeError:
        name = request_class.DESCRIPTOR.full_name
        raise MalformedBody(f"the bytes are no {name}") from None
    # Strings were read as UTF-8, so only a NUL can be wrong in them: most requests have none.
    if b"\0" not in raw:
        return request
    stack: list[tuple[Message, str]] = [(request, "")]
    while stack:
        message, prefix = stack.pop()
        for field, value in message.ListFields():
            name = f"{prefix}{field.name}"
            below = field.message_type
            if below is None or below.GetOptions().map_entry:
                _check_text(name, value, repeated=field.is_repeated)
            elif field.is_repeated:
                stack += [(item, f"{name}[{index}].") for index, item in enumerate(value)]
            else:
                stack.append((value, f"{name}."))
    return request


def _check_text(name: str, value: Any, *, repeated: bool) -> None:
    if repeated:
        value = dict(value) if hasattr(value, "items") else list(value)
    try:
        check_text(value)
    except TextError as error:
        raise Invalid([FieldError(name, "TEXT_INVALID", str(error))]) from None


def status_of(error: BillplaneError) -> status_pb2.Status:
    """Return the rich status: ErrorInfo, and BadRequest when fields are wrong.

    Source: google.rpc error model, AIP-193.
    """
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={key: str(value) for key, value in error.metadata.items()},
    )
    details = [_packed(info)]
    if error.errors or error.field:
        items = error.errors or (FieldError(error.field or "", error.reason, error.detail),)
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=item.field, description=item.detail, reason=item.reason
            )
            for item in items
        ]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    return status_pb2.Status(
        code=error.kind.grpc_code.value[0], message=error.detail, details=details
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def to_timestamp(instant: Any) -> timestamp_pb2.Timestamp | None:
    """Return a proto timestamp, None for None."""
    if instant is None:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def from_timestamp(message: Message, field: str) -> Any:
    """Return an aware UTC instant, None when the field is absent.

    Raises: Invalid when it is out of the calendar's range.
    """
    if not message.HasField(field):
        return None
    try:
        return getattr(message, field).ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            [FieldError(field, "TIME_OUT_OF_RANGE", "the instant is not within years 1 to 9999")]
        ) from None
