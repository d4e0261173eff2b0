"""Stopping in order: not ready, no new calls, what is in hand is finished, then pools close."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys

import aiohttp
import asyncpg
import grpc
import pytest
from billplane import catalog
from billplane.chassis.auth import Principal
from billplane.chassis.events import Consumers, fact
from billplane.chassis.events.redis_streams import RedisStreams
from billplane.chassis.finishing import finish
from billplane.chassis.host import Platform
from billplane.chassis.jobs import Jobs
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from fastapi import APIRouter
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.fixtures.ports import free_port_offset

TENANT = "ten_stopping"


class Slow:
    """A route, a job and a handler that take their time, and what became of them."""

    def __init__(self):
        self.begun, self.ended = set(), []
        self.router = APIRouter()
        self.jobs, self.consumers = Jobs(), Consumers()

        @self.router.get("/v1/tax_rules")
        async def route():
            await self._take("request")
            return {}

        @self.jobs.every(0.01)
        async def job(worker):
            await self._take("job")
            async with worker.reading(TENANT, False) as tx:  # the pool must still be open
                assert not await tx.wrote()

        @self.consumers.on(fact(PlanPublished, "plan"))
        async def handler(tx, _event):
            await self._take("message")
            assert not await tx.wrote()

    async def _take(self, name):
        self.begun.add(name)
        await asyncio.sleep(0.5)
        self.ended.append(name)


@pytest.fixture
async def slow(make_stores):
    """Run tax with slow work of every kind, and pricing to send it messages."""
    found = Slow()
    stores = await make_stores()
    app = dataclasses.replace(
        catalog.load("tax"), rest=found.router, jobs=found.jobs, consumers=found.consumers
    )
    offset = free_port_offset()
    platform = Platform([app, catalog.load("pricing")], environ=stores.environ(offset))
    await platform.start()
    yield found, platform, offset, stores
    if not platform._serving.done():
        await platform.stop()


async def _begin_everything(slow, platform, offset, session):
    """Start a request and a message and wait until they and the job are under way."""
    headers = {"Authorization": f"Bearer {_token(platform)}"}
    request = asyncio.ensure_future(
        session.get(f"http://127.0.0.1:{8080 + offset}/v1/tax_rules", headers=headers)
    )
    runtime = platform.runtimes["pricing"]
    principal = dataclasses.replace(_principal(), subject="service:pricing")
    async with runtime.database.write(runtime, principal) as tx:
        await tx.publish(PlanPublished(plan_id="p"), aggregate_id="p")

    async def all_begun():
        return slow.begun == {"request", "job", "message"}

    await eventually(all_begun)
    return request


def _principal():
    return Principal("user:usr_x", TENANT, False, frozenset({"*"}))


def _token(platform):
    return platform.tokens.mint(_principal())


async def test_what_is_in_hand_is_finished_before_pools_close(slow):
    found, platform, offset, stores = slow
    async with aiohttp.ClientSession() as session:
        request = await _begin_everything(found, platform, offset, session)
        found.ended.clear()
        await platform.stop()
        async with await request as answer:
            assert answer.status == 200
    assert {"request", "job", "message"} <= set(found.ended)
    connection = await asyncpg.connect(stores.admin_url)
    # The message was acknowledged and noted; nothing of ours is left on the server.
    assert await connection.fetchval("SELECT count(*) FROM tax.inbox") == 1
    left = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'billplane'"
    )
    assert left == 0
    await connection.close()


async def test_new_calls_are_refused_once_the_stop_has_begun(slow):
    found, platform, offset, _ = slow
    async with (
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(f"127.0.0.1:{50051 + offset}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        ready = await stub.Check(health_pb2.HealthCheckRequest())
        assert ready.status == health_pb2.HealthCheckResponse.SERVING
        request = await _begin_everything(found, platform, offset, session)
        stopping = asyncio.ensure_future(platform.stop())

        async def refused():
            try:
                async with session.get(f"http://127.0.0.1:{8080 + offset}/health"):
                    return False
            except OSError:
                return True

        await eventually(refused)
        assert not stopping.done()
        async with await request as answer:
            assert answer.status == 200
        await stopping


async def test_a_platform_says_that_it_stops_before_it_refuses_calls(make_stores):
    offset = free_port_offset()
    environ = (await make_stores()).environ(offset) | {"BILLPLANE_DRAIN_SECONDS": "2"}
    platform = Platform([catalog.load("tax")], environ=environ)
    await platform.start()
    url = f"http://127.0.0.1:{8080 + offset}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/health/ready") as answer:
            assert answer.status == 200
        stopping = asyncio.ensure_future(platform.stop())
        await asyncio.sleep(0.2)
        async with session.get(f"{url}/health/ready") as answer:
            assert answer.status == 503
        # uvicorn takes new headers over once a second.
        await asyncio.sleep(1)
        headers = {"Authorization": f"Bearer {_token(platform)}"}
        async with session.get(f"{url}/v1/tax_rules", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
        await stopping


async def test_work_that_outlasts_the_grace_is_cut_off(make_stores):
    jobs, begun, cut_off = Jobs(), asyncio.Event(), asyncio.Event()

    @jobs.every(0.01)
    async def endless(_worker):
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cut_off.set()
            raise

    environ = (await make_stores()).environ(free_port_offset())
    environ["BILLPLANE_STOP_GRACE_SECONDS"] = "0.3"
    app = dataclasses.replace(catalog.load("tax"), jobs=jobs)
    platform = Platform([app], environ=environ)
    await platform.start()
    await asyncio.wait_for(begun.wait(), 10)
    await asyncio.wait_for(platform.stop(), 5)
    assert cut_off.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_with_nothing_left_behind(make_stores, number):
    stores, offset = await make_stores(), free_port_offset()
    environ = {**os.environ, **stores.environ(offset), "BILLPLANE_LOG_LEVEL": "INFO"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "all"),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:

            async def ready():
                try:
                    url = f"http://127.0.0.1:{8080 + offset}/health"
                    async with session.get(url) as answer:
                        return answer.status == 200
                except OSError:
                    return False

            await eventually(ready, 60)
        process.send_signal(number)
        _, log = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()[-2000:]
    assert b"platform_stopped" in log
    assert b'"exception"' not in log


async def test_a_cancelled_caller_waits_for_what_it_began_and_is_cancelled_then():
    done = []

    async def work():
        await asyncio.sleep(0.05)
        done.append("work")
        return 1

    assert await finish(work()) == 1
    caller = asyncio.ensure_future(finish(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["work", "work"]

    async def fails():
        await asyncio.sleep(0.01)
        raise ValueError("lost")

    caller = asyncio.ensure_future(finish(fails()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(ValueError, match="lost"):
        await finish(fails())


async def test_a_second_cancellation_gives_up():
    gone = asyncio.Event()

    async def endless():
        try:
            await asyncio.sleep(3600)
        finally:
            gone.set()

    caller = asyncio.ensure_future(finish(endless()))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert gone.is_set()


async def test_a_consumer_ends_also_when_its_client_loses_the_cancellation(valkey_url):
    class Losing(Redis):
        async def xreadgroup(self, *arguments, **options):
            with contextlib.suppress(asyncio.CancelledError):
                return await super().xreadgroup(*arguments, **options)

    async with Losing.from_url(valkey_url) as redis:
        reading = RedisStreams(redis, "process").deliveries("consumer", ["a_stream_of_tests"])
        task = asyncio.create_task(anext(reading))
        await asyncio.sleep(0.2)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=10)
        assert ended
        assert task.cancelled()
