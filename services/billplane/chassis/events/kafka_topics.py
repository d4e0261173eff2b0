"""Topics on Kafka as the registry wants them, and what every Kafka client is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from billplane.chassis.events.transport import KAFKA_MIRROR, Destination, TopologyDiffers
from billplane.chassis.settings import Settings

ADMIN_SECONDS = 5
MESSAGE_BYTES_MAX = 4 * 1024 * 1024


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's settings: addresses, TLS with verification, log-in."""
    tls = bool(settings.kafka_ca_file or settings.kafka_cert_file)
    protocol = ("SASL_" if settings.kafka_sasl_mechanism else "") + ("SSL" if tls else "PLAINTEXT")
    given: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol or protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ca_file,
        "ssl.certificate.location": settings.kafka_cert_file,
        "ssl.key.location": settings.kafka_key_file,
        "client.id": "billplane",
        # A broker that is back is found within a second.
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        # Only what ends a client: that a broker is away is said once, as our own state.
        "log_level": 2,
    }
    return {name: value for name, value in given.items() if value != ""}


def topic_of(destination: str, prefix: str) -> str:
    """Return the topic of a stream of facts, or of a copy for programs outside."""
    return prefix + destination.removeprefix(KAFKA_MIRROR)


class Topics:
    """Makes topics, and refuses to work with ones that promise less."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def wanted(self, fact: Destination) -> dict[str, str]:
        """Return a topic's settings."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(fact.retention_seconds * 1000),
            "min.insync.replicas": str(self._settings.kafka_min_insync_replicas),
            "max.message.bytes": str(MESSAGE_BYTES_MAX),
        }

    async def declare(self, facts: Sequence[Destination]) -> None:
        """Make the topics that are missing and look at those that are there.

        Raises: TopologyDiffers; KafkaException when no broker answers.
        """
        by_topic = {topic_of(fact.name, self._settings.broker_prefix): fact for fact in facts}
        if not by_topic:
            return
        admin = AdminClient(client_settings(self._settings))
        there = (await asyncio.to_thread(admin.list_topics, timeout=ADMIN_SECONDS)).topics
        missing = {name: fact for name, fact in by_topic.items() if name not in there}
        if missing:
            await self._make(admin, missing)
        for name in by_topic.keys() - missing.keys():
            replicas = min(len(one.replicas) for one in there[name].partitions.values())
            await self._look(admin, name, by_topic[name], replicas)

    async def _make(self, admin: AdminClient, missing: dict[str, Destination]) -> None:
        chosen = self._settings
        topics = [
            NewTopic(
                name,
                num_partitions=chosen.kafka_partitions,
                replication_factor=chosen.kafka_replication_factor,
                config=self.wanted(fact),
            )
            for name, fact in missing.items()
        ]
        made = admin.create_topics(topics, request_timeout=ADMIN_SECONDS)
        for name, future in made.items():
            try:
                await asyncio.wrap_future(future)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.INVALID_REPLICATION_FACTOR:
                    raise TopologyDiffers(
                        f"Kafka cannot keep {chosen.kafka_replication_factor} replicas of topic"
                        f" {name}: {error.args[0].str()}; add brokers, or set"
                        " BILLPLANE_KAFKA_REPLICATION_FACTOR and"
                        " BILLPLANE_KAFKA_MIN_INSYNC_REPLICAS"
                    ) from error
                # Another process may have been first.
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    async def _look(self, admin: AdminClient, name: str, fact: Destination, replicas: int) -> None:
        resource = ConfigResource(ResourceType.TOPIC, name)
        (future,) = admin.describe_configs([resource], request_timeout=ADMIN_SECONDS).values()
        found = await asyncio.wrap_future(future)
        wanted = self.wanted(fact)
        less = []
        if replicas < self._settings.kafka_replication_factor:
            less.append(f"{replicas} replicas, not {self._settings.kafka_replication_factor}")
        if found["cleanup.policy"].value != wanted["cleanup.policy"]:
            less.append(f"cleanup.policy {found['cleanup.policy'].value}, not delete")
        for setting in ("retention.ms", "min.insync.replicas"):
            value = int(found[setting].value)
            if 0 <= value < int(wanted[setting]):
                less.append(f"{setting} {value}, not {wanted[setting]}")
        if less:
            raise TopologyDiffers(
                f"Kafka's topic {name} keeps less than Billplane needs: {'; '.join(less)}."
                " Change the topic, or the settings BILLPLANE_KAFKA_*"
            )
