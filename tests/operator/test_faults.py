"""What a cluster does to an operator: it is killed, cut off, lied to, and overtaken by another."""

import asyncio
import time

import aiohttp
import pytest
from billplane_operator import cluster_run
from billplane_operator.lease import Lease

from tests.operator.folder import METER, PLAN, eventually
from tests.operator.test_cluster import SIMULATED

STEPS_MAX = 40


async def converged(kube):
    """Wait until everything is as it was asked for, and nothing was done twice."""
    plan = await kube.ready("BillingPlan", "pro")
    await kube.ready("UtilityProvider", "northwind")
    await eventually(lambda: kube.get("Meter", "old") is None)
    (running,) = await kube.running("/v1/plans")
    assert (running["version"], plan["status"]["version"]) == (2, 2)
    assert running["spec"]["displayName"] == "Pro"
    assert await kube.running("/v1/meters") == []
    assert len(await kube.running("/v1/utility_providers")) == 1
    for kind in ("Deployment", "Service", "NetworkPolicy"):
        assert kube.get(kind, "simulator-northwind") is not None


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_an_operator_killed_at_any_write_is_continued_by_the_next(kube, before):
    await kube.apply("BillingPlan", "pro", PLAN)
    await kube.apply("Meter", "old", METER)
    async with kube.operating():
        await kube.ready("BillingPlan", "pro")
        await kube.ready("Meter", "old")
    await kube.apply("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
    await kube.apply("UtilityProvider", "northwind", SIMULATED)
    await kube.delete("Meter", "old")
    kills = 0
    # Each operator is killed at its second write, so that every write is the last of one.
    while await kube.killed_operator(kube.api.hold_request(2, before=before).reached):
        kills += 1
        assert kills < STEPS_MAX
        if kills >= 8:
            break
    kube.api.held = None
    async with kube.operating():
        await converged(kube)
    assert kills >= 3


async def test_lost_and_repeated_events_cost_time_and_nothing_else(kube):
    kube.api.repeats_events = True
    async with kube.operating():
        await kube.apply("Meter", "one", METER)
        await kube.ready("Meter", "one")
        kube.api.lost_events = 2
        await kube.apply("Meter", "one", METER | {"unit": "call"})
        await kube.apply("Meter", "two", METER)
        await kube.ready("Meter", "two")
        await kube.ready("Meter", "one")
        units = {meter["name"]: meter["version"] for meter in await kube.running("/v1/meters")}
        assert units == {"one": 2, "two": 1}


async def test_a_cut_watch_and_forgotten_history_are_caught_up_with(kube):
    async with kube.operating():
        await kube.apply("Meter", "one", METER)
        await kube.ready("Meter", "one")
        await kube.api.store.compact()
        kube.api.cut_watches()
        await kube.apply("Meter", "two", METER)
        await kube.ready("Meter", "two")


async def test_an_api_server_that_is_away_is_waited_for(kube):
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating() as operator:
        await kube.ready("BillingPlan", "pro")
        kube.api.down = True
        kube.api.cut_watches()
        await kube.apply("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        await asyncio.sleep(3)
        assert operator._health.stalls() == {}
        kube.api.down = False
        plan = await kube.ready("BillingPlan", "pro")
        assert plan["status"]["version"] == 2


async def test_an_operator_that_starts_before_its_api_server_waits_for_it(kube):
    await kube.apply("Meter", "one", METER)
    kube.api.down = True
    async with kube.operating():
        await asyncio.sleep(1)
        kube.api.down = False
        await kube.ready("Meter", "one")


@pytest.mark.parametrize("code", [409, 429, 500])
async def test_a_refused_write_is_tried_again(kube, code):
    kube.api.refuse(code, path="/meters", times=3)
    await kube.apply("Meter", "one", METER)
    async with kube.operating():
        await kube.ready("Meter", "one")
    assert len(await kube.running("/v1/meters")) == 1


async def test_a_refused_child_is_told_and_holds_up_no_other_kind(kube):
    kube.api.refuse(422, path="/deployments", times=3)
    await kube.apply("UtilityProvider", "northwind", SIMULATED)
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating():
        await kube.ready("BillingPlan", "pro")
        await kube.ready("UtilityProvider", "northwind")


async def test_a_service_that_is_away_stops_no_other_kind(kube, monkeypatch):
    for number in range(6):
        await kube.apply("Meter", f"meter-{number}", METER | {"eventType": f"type.{number}"})
    await kube.apply("BillingPlan", "pro", PLAN)
    async with kube.operating() as operator:
        away = operator._peers._channels
        address = away._addresses["metering"]
        away._addresses["metering"] = "127.0.0.1:1"
        away._channels.pop("metering", None)
        await kube.ready("BillingPlan", "pro")
        away._addresses["metering"] = address
        away._channels.pop("metering", None)
        for number in range(6):
            await kube.ready("Meter", f"meter-{number}")


async def test_an_operator_of_an_older_epoch_changes_nothing_and_ends(kube):
    await kube.apply("BillingPlan", "pro", PLAN)
    older = cluster_run.Operator(kube.settings(http_port="8098", compare_seconds="60"))
    working = asyncio.create_task(older.run())
    await kube.ready("BillingPlan", "pro")
    # It does not notice that the Lease is another's, and is slow to read what changed.
    read, gate = older.resources.read, asyncio.Event()
    older._lease.renew = lambda: asyncio.sleep(0)

    async def read_later(key):
        await gate.wait()
        return await read(key)

    older.resources.read = read_later
    async with kube.operating() as newer:
        await eventually(lambda: newer._lease.epoch == older._lease.epoch + 1)
        await kube.apply("BillingPlan", "pro", PLAN | {"displayName": "Pro"})
        await kube.ready("BillingPlan", "pro")
        gate.set()
        assert await asyncio.wait_for(working, 15) == 1
        (running,) = await kube.running("/v1/plans")
        assert running["version"] == 2


async def test_a_deleted_lease_does_not_bring_an_old_epoch_back(kube):
    kube.api.store.objects.clear()
    await kube.start()
    await kube.apply("Meter", "one", METER)
    for _ in range(3):
        async with kube.operating():
            await kube.ready("Meter", "one")
    store = kube.api.store
    ((_, namespace, name),) = [key for key in store.objects if key[0] == "Lease"]
    await store.delete("Lease", namespace, name)
    await kube.apply("Meter", "one", METER | {"unit": "call"})
    async with kube.operating() as operator:
        await kube.ready("Meter", "one")
        await kube.apply("Meter", "one", METER | {"unit": "calls"})
        await kube.ready("Meter", "one")
        assert operator._lease.epoch >= 1


async def test_a_standby_waits_and_takes_over(kube):
    await kube.apply("Meter", "one", METER)
    first = cluster_run.Operator(kube.settings(standby="true", http_port="8097"))
    working = asyncio.create_task(first.run())
    await kube.ready("Meter", "one")
    async with kube.operating(standby="true") as second:
        await asyncio.sleep(1)
        assert second._lease.epoch == 0
        assert second._health.ready()
        first.stop()
        assert await asyncio.wait_for(working, 10) == 0
        await eventually(lambda: second._lease.epoch == first._lease.epoch + 1)
        await kube.apply("Meter", "one", METER | {"unit": "call"})
        await kube.ready("Meter", "one")


async def test_two_that_want_the_lease_at_once_get_it_one_after_the_other(kube):
    operators = [cluster_run.Operator(kube.settings(standby="true")) for _ in range(3)]
    leases: list[Lease] = [operator._lease for operator in operators]
    tasks = [asyncio.create_task(lease.acquire()) for lease in leases]
    epochs = []
    while tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert len(done) == 1
        tasks = [task for task in tasks if task not in done]
        (held,) = [lease for lease in leases if lease.epoch]
        epochs.append(held.epoch)
        leases.remove(held)
    assert epochs == [1, 2, 3]
    for operator in operators:
        await operator._cluster.close()


async def test_probes_and_metrics_tell_of_progress_and_of_a_stall(kube):
    await kube.apply("Meter", "one", METER)
    async with kube.operating(stall_seconds="1.5") as operator:
        await kube.ready("Meter", "one")
        url = f"http://127.0.0.1:{8099 + operator._settings.port_offset}"
        async with aiohttp.ClientSession() as http:
            for path in ("/health/live", "/health/ready"):
                async with http.get(url + path) as answer:
                    assert answer.status == 200, await answer.text()
            async with http.get(f"{url}/metrics") as answer:
                text = await answer.text()
            for name in (
                'last_event_age_seconds{kind="Meter"}',
                'reconcile_duration_seconds_count{kind="Meter"}',
                "queue_depth 0.0",
                "resources 1.0",
            ):
                assert f"billplane_operator_{name}" in text
            # The watch says nothing any more, though things happen: the list finds them.
            kube.api.silent = True
            await asyncio.sleep(1)
            await kube.apply("Meter", "two", METER)
            await kube.ready("Meter", "two")
            began = time.monotonic()
            while True:
                async with http.get(f"{url}/health/live") as answer:
                    if answer.status == 503:
                        assert "watch Meter" in await answer.text()
                        break
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.2)


def ready_meters(kube):
    """Count meters that are ready, without copying any."""
    return sum(
        found["status"]["conditions"][0]["status"] == "True"
        for found in kube.api.store.list("Meter")
        if "status" in found
    )


async def test_a_look_around_many_settled_resources_writes_nothing(kube):
    for number in range(500):
        await kube.apply("Meter", f"meter-{number:03}", METER | {"eventType": f"type.{number}"})
    async with kube.operating(workers="8", compare_seconds="3"):
        await eventually(lambda: ready_meters(kube) == 500, seconds=90)
        await asyncio.sleep(0.5)
        kube.api.requests.clear()
        await asyncio.sleep(4)
        assert kube.api.writes() == []
    kube.api.requests.clear()
    async with kube.operating(workers="8", compare_seconds="3"):
        await asyncio.sleep(4)
    assert kube.api.writes() == []
