"""Calls to peers: credential, deadline, request id and trace go along; errors come back whole."""

import asyncio
import json
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.propagate import inject

from billplane.chassis.auth import InternalTokens, Principal
from billplane.chassis.errors import FieldError, Kind, PeerError

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
DOMAIN = "billplane"

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.max_reconnect_backoff_ms", 2000),
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "1s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        ),
    ),
]
_KINDS = {
    grpc.StatusCode.INVALID_ARGUMENT: Kind.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED: Kind.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Kind.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND: Kind.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: Kind.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED: Kind.ABORTED,
    grpc.StatusCode.FAILED_PRECONDITION: Kind.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Kind.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE: Kind.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.DEADLINE_EXCEEDED,
}


class Channels:
    """One channel a peer and process."""

    def __init__(self, tokens: InternalTokens, addresses: dict[str, str], suffix: str) -> None:
        self._tokens = tokens
        self._addresses = addresses
        self._suffix = suffix
        self._channels: dict[str, grpc.aio.Channel] = {}

    def get(self, service: str) -> grpc.aio.Channel:
        """Return the channel to a service, by its address or its DNS name."""
        if service not in self._channels:
            host = service.replace("_", "-")
            address = self._addresses.get(service, f"dns:///{host}{self._suffix}:50051")
            self._channels[service] = grpc.aio.insecure_channel(address, options=_OPTIONS)
        return self._channels[service]

    async def ask(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        principal: Principal,
        request_id: str = "",
        timeout_seconds: float = 10,
    ) -> Response:
        """Call a peer as a principal.

        Raises: PeerError with the peer's kind and reason.
        """
        carrier: dict[str, str] = {}
        inject(carrier)
        metadata = [
            ("authorization", f"Bearer {self._tokens.mint(principal)}"),
            ("x-request-id", request_id),
            *carrier.items(),
        ]
        try:
            return await method(request, metadata=metadata, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from None

    async def close(self) -> None:
        """Close every channel."""
        channels = list(self._channels.values())
        self._channels.clear()
        await asyncio.gather(*(channel.close() for channel in channels))


def peer_error(error: grpc.aio.AioRpcError) -> PeerError:
    """Read a peer's error with its reason and fields."""
    kind = _KINDS.get(error.code(), Kind.INTERNAL)
    reason, metadata, errors = f"PEER_{error.code().name}", {}, []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                errors = [
                    FieldError(item.field, item.reason or reason, item.description)
                    for item in bad.field_violations
                ]
    field = errors[0].field if errors else None
    return PeerError(
        kind, reason, error.details() or reason, field=field, errors=errors, metadata=metadata
    )
