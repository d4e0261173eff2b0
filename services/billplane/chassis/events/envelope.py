"""The envelope, the same on every broker: `{"metadata": {…}, "payload": {…}}`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What every message says of itself; also travels as `ce_*` headers."""

    event_id: str
    event_type: str
    event_version: int
    source: str
    tenant_id: str
    livemode: bool
    occurred_at: str
    correlation_id: str
    causation_id: str
    traceparent: str
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int

    def headers(self) -> dict[str, str]:
        """Return the CloudEvents binary-mode headers."""
        return {
            "ce_specversion": "1.0",
            "ce_id": self.event_id,
            "ce_type": self.event_type,
            "ce_source": self.source,
            "ce_time": self.occurred_at,
            "ce_subject": self.aggregate_id,
            "ce_tenantid": self.tenant_id,
            "ce_livemode": "true" if self.livemode else "false",
        }


def instant_text(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC with `Z`, microseconds only when there are some."""
    return instant.isoformat().replace("+00:00", "Z")


def encode(metadata: Metadata, message: Message) -> bytes:
    """Return the envelope as JSON."""
    return msgspec.json.encode({"metadata": asdict(metadata), "payload": payload_of(message)})


def decode(envelope: bytes) -> tuple[Metadata, dict[str, Any]]:
    """Return metadata and payload; unknown metadata fields are ignored here, kept in the bytes."""
    data = msgspec.json.decode(envelope)
    known = {name: data["metadata"][name] for name in Metadata.__dataclass_fields__}
    return Metadata(**known), data["payload"]


def payload_of(message: Message) -> dict[str, Any]:
    """Return a message as JSON values.

    Shape: proto names, all fields present, enums by name without prefix, 64-bit integers as
    numbers.
    """
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def parse_payload(proto: type[Message], payload: dict[str, Any]) -> Message:
    """Read a payload back; unknown fields are skipped, integers may be strings."""
    return ParseDict(_with_prefixes(proto.DESCRIPTOR, payload), proto(), ignore_unknown_fields=True)


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_scalar(item, field) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _scalar(value, field)


def _scalar(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return value.ToJsonString()
        return payload_of(value)
    if field.enum_type is not None:
        return _enum_name(field, value)
    return int(value) if field.cpp_type in _INTEGERS else value


def _enum_prefix(field: Any) -> str:
    return str(field.enum_type.values_by_number[0].name).removesuffix("UNSPECIFIED")


def _enum_name(field: Any, number: int) -> str:
    value = field.enum_type.values_by_number.get(number)
    return str(value.name).removeprefix(_enum_prefix(field)) if value else str(number)


def _with_prefixes(descriptor: Any, payload: dict[str, Any]) -> dict[str, Any]:
    read = dict(payload)
    for field in descriptor.fields:
        value = read.get(field.name)
        if value is None:
            read.pop(field.name, None)
        elif field.enum_type is not None:
            prefix = _enum_prefix(field)
            read[field.name] = (
                [prefix + item for item in value] if field.is_repeated else prefix + value
            )
    return read
