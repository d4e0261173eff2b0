"""What an install needs before anything runs: Secrets with random values, and a first key.

Everything is made only if it is absent, by creating it: who comes second keeps what is there, so
that two Jobs at once, or a Job after a rollback, agree. No value is written anywhere else.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from billplane.chassis import logging
from billplane.chassis.auth import INTERNAL_INFO, derive_seed
from billplane.chassis.errors import BillplaneError, Kind

from billplane_operator.cluster import SECRETS, Cluster, Document

_log = logging.get("operator")

STORES: Final = ("postgres", "redis", "rabbitmq", "kafka")
_USER: Final = "billplane"
_PORTS: Final = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672, "kafka": 9092}


class SecretIncomplete(BillplaneError):
    """A Secret that somebody made lacks a key, or holds a bad value."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SECRET_INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Store:
    """A bundled store: which it is and where it answers."""

    name: str
    host: str
    port: int


def read_store(text: str, prefix: str) -> Store:
    """Read `postgres`, `postgres=host` or `postgres=host:port`; the host is `<prefix>-postgres`.

    Raises: ValueError.
    """
    name, _, address = text.partition("=")
    if name not in STORES:
        raise ValueError(f"{name!r} is none of {', '.join(STORES)}")
    host, _, port = (address or f"{prefix}-{name}").partition(":")
    if port and not port.isdigit():
        raise ValueError(f"{address!r} is no host:port")
    return Store(name, host, int(port or _PORTS[name]))


def values_of(store: Store) -> dict[str, str]:
    """Make what a store and its users need; every value is new."""
    password, at = secrets.token_urlsafe(32), f"{store.host}:{store.port}"
    if store.name == "postgres":
        admin = secrets.token_urlsafe(32)
        return {
            "postgres-password": admin,
            "username": _USER,
            "password": password,
            "database-url": f"postgresql://{_USER}:{password}@{at}/{_USER}",
            "admin-database-url": f"postgresql://postgres:{admin}@{at}/{_USER}",
        }
    if store.name == "redis":
        return {"password": password, "redis-url": f"redis://:{password}@{at}"}
    if store.name == "rabbitmq":
        return {
            "username": _USER,
            "password": password,
            "erlang-cookie": secrets.token_hex(32),
            "rabbitmq-url": f"amqp://{_USER}:{password}@{at}",
        }
    return {
        "username": _USER,
        "password": password,
        "cluster-id": _cluster_id(),
        "kafka-bootstrap-servers": at,
    }


def _cluster_id() -> str:
    """Name a cluster as KRaft does: 16 bytes in URL-safe base64 without padding.

    As in Kafka's own Uuid.randomUuid it begins with no dash: `kafka-storage format` would take it
    for an option, and the broker would never start.
    """
    while True:
        name = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def people_values() -> dict[str, str]:
    """Make what people may set but have not."""
    return {"jwt-secret": secrets.token_urlsafe(48), "admin-key": secrets.token_urlsafe(48)}


class Bootstrap:
    """Makes the Secrets of one install in one namespace."""

    def __init__(
        self, cluster: Cluster, namespace: str, prefix: str, labels: Mapping[str, str]
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._prefix = prefix
        self._labels = {"app.kubernetes.io/part-of": "billplane", **labels}

    async def make_secrets(self, stores: Sequence[Store], people: str) -> None:
        """Make every Secret that is absent, and derive the internal seed from the people's.

        `people` names an existing Secret; empty = `<prefix>-people`, made here.

        Raises: KubernetesError, SecretIncomplete.
        """
        for store in stores:
            await self.ensure(f"{self._prefix}-{store.name}", values_of(store))
        name = people or f"{self._prefix}-people"
        if not people:
            await self.ensure(name, people_values())
        secret = (await self.read(name)).get("jwt-secret", "")
        if len(secret.encode()) < 32:
            detail = f"Secret {self._namespace}/{name} must hold jwt-secret of at least 32 bytes"
            raise SecretIncomplete(detail)
        await self._derive(f"{self._prefix}-internal", secret)

    async def ensure(self, name: str, values: Mapping[str, str]) -> bool:
        """Create a Secret unless there is one; tell whether this call did.

        Raises: KubernetesError.
        """
        made = await self._cluster.create(SECRETS, self._secret(name, values))
        event = "secret_kept" if made is None else "secret_created"
        _log.info(event, name=name, namespace=self._namespace)
        return made is not None

    async def read(self, name: str) -> dict[str, str]:
        """Return the values of a Secret; empty when there is none.

        Raises: KubernetesError.
        """
        found = await self._cluster.get(SECRETS, self._namespace, name)
        data = (found or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    async def _derive(self, name: str, secret: str) -> None:
        """Keep the seed of internal tokens for the pods that must not hold the secret itself."""
        values = {"internal-seed": derive_seed(secret, INTERNAL_INFO).hex()}
        if await self.read(name) != values:
            await self._cluster.apply(SECRETS, self._secret(name, values))
            _log.info("seed_derived", name=name, namespace=self._namespace)

    def _secret(self, name: str, values: Mapping[str, str]) -> Document:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"labels": self._labels}
        return SECRETS.object(name, self._namespace, metadata=metadata, type="Opaque", data=data)
