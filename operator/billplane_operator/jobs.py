"""What the Jobs of an install run: each makes its clients, does one thing and ends."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from billplane.chassis.errors import BillplaneError, Kind

from billplane_operator.bootstrap import Bootstrap, read_store
from billplane_operator.cluster import Cluster
from billplane_operator.drain import drain
from billplane_operator.peers import Peers
from billplane_operator.settings import OperatorSettings

FIRST_KEY_NAME = "first key"


class PeersAway(BillplaneError):
    """The services did not answer in time."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "PEERS_AWAY"


async def bootstrap_secrets(options: argparse.Namespace) -> int:
    """Make the Secrets of an install that are absent."""
    stores = [read_store(text, options.prefix) for text in options.store]
    async with _cluster() as cluster:
        await _bootstrap(cluster, options).make_secrets(stores, options.people)
    return 0


async def bootstrap_tenant(options: argparse.Namespace, settings: OperatorSettings) -> int:
    """Make the tenant and its first key, unless the Secret of it is there."""
    tenant = options.tenant or settings.default_tenant
    name = f"{options.prefix}-first-key"
    async with _cluster() as cluster:
        bootstrap = _bootstrap(cluster, options)
        if await bootstrap.read(name):
            return 0
        peers = Peers(settings)
        try:
            async with asyncio.timeout(options.timeout):
                await peers.wait_reachable()
                await peers.create_tenant(tenant)
                key, key_id = await peers.create_test_key(tenant, FIRST_KEY_NAME)
        except TimeoutError:
            raise PeersAway(f"identity did not answer within {options.timeout:g} s") from None
        finally:
            await peers.close()
        await bootstrap.ensure(name, {"api-key": key, "key-id": key_id, "tenant": tenant})
    return 0


async def drain_finalizers(options: argparse.Namespace, settings: OperatorSettings) -> int:
    """Take the operator's finalizer off everything that it looks after."""
    async with _cluster() as cluster:
        await drain(cluster, settings, options.timeout)
    return 0


def _bootstrap(cluster: Cluster, options: argparse.Namespace) -> Bootstrap:
    """Read where Secrets go.

    Raises: ValueError for a label that is none.
    """
    labels = {}
    for text in options.label:
        key, found, value = text.partition("=")
        if not found or not key:
            raise ValueError(f"{text!r} is no label: write key=value")
        labels[key] = value
    namespace = options.namespace or cluster.namespace
    return Bootstrap(cluster, namespace, options.prefix, labels)


@asynccontextmanager
async def _cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    try:
        yield cluster
    finally:
        await cluster.close()
