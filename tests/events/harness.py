"""A producer with its relay, a service that handles what it says, and one transport between."""

import dataclasses
import json
from collections import defaultdict
from contextlib import asynccontextmanager

import asyncpg
from billplane import catalog
from billplane.chassis import ids
from billplane.chassis.auth import service_principal
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.errors import NotFound
from billplane.chassis.events import Consumers, fact, task
from billplane.chassis.events.transport import Outgoing
from billplane.chassis.host import Platform
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from sqlalchemy import select

from tests.chassis.waiting import eventually
from tests.fixtures import brokers
from tests.fixtures.ports import free_port_offset

TENANT = "ten_messages"
# The same proto as a fact and as a task: what is tried is how it travels.
MESSAGES = {"fact": fact(PlanPublished, "plan"), "task": task(PlanPublished)}


@dataclasses.dataclass(frozen=True)
class Way:
    """A transport and what goes over it."""

    broker: str
    kind: str

    @property
    def message(self):
        return MESSAGES[self.kind]

    def environ(self, prefix):
        """Give the settings that send this kind of message over this broker."""
        wanted = {"redis": "-", "kafka": "KAFKA", "rabbitmq": "RABBITMQ"}[self.broker]
        return {
            name: value
            for name, value in brokers.environ(prefix).items()
            if wanted in name or name == "BILLPLANE_BROKER_PREFIX"
        }


class Handled:
    """What two handlers of one message did, and what they are told to do."""

    def __init__(self, message):
        self.message = message
        self.ordered = defaultdict(list)
        self.any_order = defaultdict(list)
        self.failing = set()
        self.gates = {}

    def consumers(self):
        consumers = Consumers()

        @consumers.on(self.message, ordered=True)
        async def in_order(_tx, event):
            self.ordered[event.payload.plan_id].append(event.metadata.aggregate_version)

        @consumers.on(self.message)
        async def in_any_order(_tx, event):
            if event.payload.plan_id in self.failing:
                raise NotFound("not there yet")
            if gate := self.gates.get(event.payload.plan_id):
                await gate(event)
            self.any_order[event.payload.plan_id].append(event.metadata.aggregate_version)

        return consumers

    async def until(self, plan_id, count, handler="ordered", seconds=30):
        """Wait until a handler has done so much."""

        async def enough():
            return len(getattr(self, handler)[plan_id]) >= count

        await eventually(enough, seconds)


class Messages:
    """Both services in this process, and what a test does with them."""

    def __init__(self, stores, way, prefix, **environ):
        self.stores = stores
        self.way = way
        self.message = way.message
        self.environ = {**way.environ(prefix), **environ}
        self.handled = Handled(self.message)
        self.platform = None

    async def start(self):
        apps = [
            dataclasses.replace(
                catalog.load("pricing"), messages=[self.message], consumers=None, jobs=None
            ),
            dataclasses.replace(
                catalog.load("subscription"),
                messages=[],
                consumers=self.handled.consumers(),
                jobs=None,
                start=None,
            ),
        ]
        environ = {**self.stores.environ(free_port_offset()), **self.environ}
        platform = Platform(apps, environ=environ)
        await platform.start()
        self.platform = platform

    async def stop(self):
        if self.platform is not None:
            await self.platform.stop()
            self.platform = None

    @property
    def producer(self):
        return self.platform.runtimes["pricing"]

    @property
    def worker(self):
        return self.platform.runtimes["subscription"]

    @asynccontextmanager
    async def transaction(self, service="pricing"):
        runtime = self.platform.runtimes[service]
        principal = service_principal(service, TENANT, livemode=False)
        async with runtime.database.write(runtime, principal) as tx:
            yield tx

    async def publish(self, plan_id, count=1):
        """Say in so many transactions that a plan was published."""
        for version in range(count):
            async with self.transaction() as tx:
                await tx.publish(
                    PlanPublished(plan_id=plan_id, version=version + 1), aggregate_id=plan_id
                )

    def outgoing(self, envelope):
        """Give an envelope as a relay hands it to the transport."""
        headers = {"ce_id": ids.new("evt")}
        return Outgoing(self.message.destination, f"{TENANT}:x", envelope, headers, 3600)

    async def deliver(self, *envelopes):
        """Give envelopes to the broker."""
        await self.producer.transport.publish([self.outgoing(item) for item in envelopes])

    async def letters(self):
        """Return the dead letters of the handling service."""
        async with self.transaction("subscription") as tx:
            return list((await tx.session.scalars(select(DeadLetterRow))).all())

    async def waiting(self):
        """Count what stands in the outbox."""
        connection = await asyncpg.connect(self.stores.admin_url)
        try:
            return await connection.fetchval("SELECT count(*) FROM pricing.outbox")
        finally:
            await connection.close()

    async def flowed(self, seconds=30):
        """Wait until the outbox is empty."""

        async def empty():
            return await self.waiting() == 0

        await eventually(empty, seconds)

    def envelope(self, plan_id, version):
        """Write an envelope as the outbox would, with fields of tomorrow."""
        metadata = {
            "event_id": ids.new("evt"),
            "event_type": self.message.wire_type,
            "event_version": 1,
            "source": "billplane/pricing",
            "tenant_id": TENANT,
            "livemode": False,
            "occurred_at": "2026-01-01T00:00:00Z",
            "correlation_id": "",
            "causation_id": "",
            "traceparent": "",
            "aggregate_type": "plan",
            "aggregate_id": plan_id,
            "aggregate_version": version,
            "a_field_of_tomorrow": 1,
        }
        payload = {"plan_id": plan_id, "version": str(version), "unknown": {"a": 1}}
        return json.dumps({"metadata": metadata, "payload": payload}).encode()
