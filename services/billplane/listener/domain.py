"""Rules of the listener: how the audit log is chained, where copies of facts go."""

import hashlib
from dataclasses import dataclass

from billplane.chassis.events.transport import KAFKA_MIRROR, RABBITMQ_MIRROR

# What the first entry of a tenant is chained to.
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Under which names programs outside know a fact."""

    rabbitmq: str = ""
    kafka: str = ""

    def destinations(self, *, rabbitmq: bool, kafka: bool) -> list[str]:
        """Return where copies go, as far as the brokers are there."""
        found = []
        if rabbitmq and self.rabbitmq:
            found.append(RABBITMQ_MIRROR + self.rabbitmq)
        if kafka and self.kafka:
            found.append(KAFKA_MIRROR + self.kafka)
        return found


def chain(previous: bytes, tenant_id: str, sequence: int, envelope: bytes) -> bytes:
    """Return an entry's hash: over the one before, whose it is, its place and the fact itself."""
    digest = hashlib.sha256(previous)
    # Lengths keep the parts apart, so that no two entries read alike.
    for part in (tenant_id.encode(), str(sequence).encode(), envelope):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
