"""Settings from the environment: one typed class a service over one shared class.

`BILLPLANE_<SERVICE>_<NAME>` wins over `BILLPLANE_<NAME>`; four plain names that deployments have
are read last. Nothing else reads the environment.
"""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PLAIN_NAMES = ("REDIS_URL", "JWT_SECRET", "ADMIN_KEY", "STRIPE_WEBHOOK_SECRET")


class SettingsError(Exception):
    """The environment is wrong; the message names each variable."""


class Settings(BaseModel):
    """What every service reads."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")

    database_url: str = "postgresql://billplane@postgres:5432/billplane"
    """Where the application connects; its role may only switch to the services' app roles."""
    admin_database_url: str = ""
    """Administrator's connection for `init-database` and `migrate`; empty = `database_url`."""
    database_answer_seconds: float = Field(default=60, gt=0)
    """How long Postgres may leave a statement unanswered before its connection is cut: longer than
    the longest statement, for a path that swallows packets ends no connection by itself."""
    redis_url: str = "redis://redis:6379"
    """Messages, caches and limits. Must keep what it acknowledges (appendfsync always)."""
    rabbitmq_url: str = Field(default="", repr=False)
    """`amqp://` or `amqps://user:pass@host:port,host:port/vhost`, hosts tried in turn: tasks go
    through RabbitMQ. Empty = through Redis."""
    rabbitmq_prefetch: int = Field(default=50, ge=1, le=200)
    """Tasks that RabbitMQ hands out ahead to each consumer."""
    rabbitmq_reconnect_delay_seconds: float = Field(default=1, gt=0)
    """Longest first pause before connecting again; doubles with each failure, with full jitter."""
    rabbitmq_reconnect_delay_max_seconds: float = Field(default=60, gt=0)
    """Longest pause between attempts; a broker that answers again ends the pause early."""
    rabbitmq_circuit_breaker_enabled: bool = True
    """Stop publishing tasks after failures in a row; they wait in the outbox."""
    rabbitmq_circuit_breaker_threshold: int = Field(default=5, ge=1)
    """Failed publishes in a row that open the circuit breaker."""
    rabbitmq_ca_file: str = ""
    """Certificates that RabbitMQ's is verified against; empty = the system's."""
    rabbitmq_cert_file: str = ""
    """Our certificate for RabbitMQ, PEM."""
    rabbitmq_key_file: str = ""
    """Key of that certificate, PEM."""
    kafka_bootstrap_servers: str = ""
    """`host:port,host:port`: facts go through Kafka. Empty = through Redis."""
    kafka_partitions: int = Field(default=8, ge=1)
    """Partitions of a topic that is made; an existing topic keeps its own."""
    kafka_replication_factor: int = Field(default=3, ge=1)
    """Replicas of a topic that is made; an existing one must have as many. Development: 1."""
    kafka_min_insync_replicas: int = Field(default=2, ge=1)
    """Replicas that must have a fact before it counts as published. Development: 1."""
    kafka_security_protocol: str = ""
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; empty = by the other settings."""
    kafka_sasl_mechanism: str = ""
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty = no log-in."""
    kafka_sasl_username: str = ""
    """User of the log-in."""
    kafka_sasl_password: str = Field(default="", repr=False)
    """Password of the log-in."""
    kafka_ca_file: str = ""
    """Certificates that Kafka's is verified against; set = TLS; empty = the system's."""
    kafka_cert_file: str = ""
    """Our certificate for Kafka, PEM."""
    kafka_key_file: str = ""
    """Key of that certificate, PEM."""
    broker_prefix: str = ""
    """Before the name of every exchange, queue, topic and group: several platforms on a broker."""
    jwt_secret: str = Field(default="", repr=False)
    """At least 32 bytes; the signing keys of internal and user tokens are derived from it."""
    internal_seed: str = Field(default="", repr=False)
    """Hex seed of the internal signing key, for processes that must not hold `jwt_secret`."""
    admin_key: str = Field(default="", repr=False)
    """Staff key, at least 32 bytes; during rotation two with a comma between; empty = off."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: str = "json"
    """json or console."""
    bind_host: str = "127.0.0.1"
    """Address that every server listens on."""
    port_offset: int = 0
    """Added to every port, so that several platforms fit on one machine."""
    pool_size: int = 5
    """Connections kept to each database server."""
    pool_overflow: int = 5
    """Further connections under load."""
    body_limit_bytes: int = 1_048_576
    """Largest request body, in bytes."""
    stop_grace_seconds: float = 25
    """How long a stop waits for what runs, in seconds."""
    drain_seconds: float = 0
    """How long a stop waits before refusing new calls, so that load balancers notice."""
    outgoing_allow_list: tuple[str, ...] = ()
    """Hosts or networks that outgoing requests may reach although they are private."""
    otlp_endpoint: str = ""
    """gRPC address of a trace collector; empty = no export."""
    peer_suffix: str = "-peers"
    """Appended to a service's name to make the DNS name of its peers."""
    test_clock: bool = False
    """Development only: lets tests replace the clock."""

    @classmethod
    def load(cls, service: str = "", environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment for one service.

        Raises: SettingsError naming each bad variable.
        """
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        names: dict[str, str] = {}
        for field, info in cls.model_fields.items():
            for name in candidates(service, field):
                if source.get(name):
                    values[field] = _parse(source[name], info.annotation)
                    names[field] = name
                    break
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [
                f"{names.get(str(item['loc'][0]), item['loc'][0])}: {item['msg']}"
                for item in error.errors()
            ]
            raise SettingsError("; ".join(lines)) from None


def candidates(service: str, field: str) -> list[str]:
    """List the variables that may set a field, the strongest first."""
    upper = field.upper()
    names = [f"BILLPLANE_{service.upper()}_{upper}"] if service else []
    names.append(f"BILLPLANE_{upper}")
    if upper in PLAIN_NAMES:
        names.append(upper)
    return names


def _parse(text: str, annotation: Any) -> Any:
    if str(annotation).startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text
