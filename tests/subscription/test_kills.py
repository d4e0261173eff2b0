"""A process that dies while it bills: the next one ends the run, and bills nothing twice."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from billplane.chassis.auth import INTERNAL_INFO, InternalTokens, Principal, derive_seed

from tests.chassis.waiting import eventually
from tests.fixtures.platform import SECRET
from tests.fixtures.ports import free_port_offset
from tests.subscription.billing import fee, plan

TENANT = "ten_killed_billing"
ADVANCED = {"to": "2026-02-01T00:00:00Z"}


class Tenant:
    """Somebody who calls a platform in a process of its own."""

    def __init__(self, port_offset):
        self.url = f"http://127.0.0.1:{8080 + port_offset}"
        self._tokens = InternalTokens(derive_seed(SECRET, INTERNAL_INFO))

    @property
    def headers(self):
        """A token lives for a minute, a slow machine's start may take longer."""
        principal = Principal("key:test", TENANT, livemode=False, scopes=frozenset({"*"}))
        return {"Authorization": f"Bearer {self._tokens.mint(principal)}"}

    async def call(self, method, path, body=None):
        async with (
            aiohttp.ClientSession(headers=self.headers) as http,
            http.request(method, self.url + path, json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def ready(self):
        try:
            return (await self.call("GET", "/health/ready"))["status"] == "ok"
        except (aiohttp.ClientError, AssertionError):
            return False


@asynccontextmanager
async def serving(stores, fault=""):
    """Run every service in one process; give it with somebody who calls it."""
    offset = free_port_offset()
    environ = {**os.environ, **stores.environ(offset), "BILLPLANE_LOG_LEVEL": "WARNING"}
    environ["BILLPLANE_SUBSCRIPTION_BILLING_LEASE_SECONDS"] = "4"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "all"), env={**environ, "FAULT": fault}
    )
    tenant = Tenant(offset)
    try:
        await eventually(tenant.ready, 180)
        yield process, tenant
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@pytest.mark.parametrize(
    "fault", ["billing.after_create_invoice", "billing.after_finalize_invoice"]
)
async def test_a_billing_run_that_was_cut_off_bills_each_period_once(make_stores, fault):
    stores = await make_stores()
    async with serving(stores, f"{fault}:2") as (process, tenant):
        await tenant.call("POST", "/v1/plans", {"name": "pro", "spec": plan(fee("10"))})
        clock = await tenant.call("POST", "/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"})
        for number in range(4):
            name = f"customer-{number}"
            customer = {"name": name, "external_id": name, "test_clock_id": clock["id"]}
            await tenant.call("POST", "/v1/customers", customer)
            await tenant.call("POST", "/v1/subscriptions", {"customer_id": name, "plan": "pro"})
        await tenant.call("POST", f"/v1/test_clocks/{clock['id']}:advance", ADVANCED)
        async with asyncio.timeout(180):
            assert await process.wait() == 137
    async with serving(stores) as (_, tenant):

        async def billed():
            found = (await tenant.call("GET", "/v1/invoices?order=asc"))["data"]
            states = [invoice["state"] for invoice in found]
            return found if states == ["finalized"] * 4 else None

        invoices = await eventually(billed, 180)
        assert [invoice["net_minor"] for invoice in invoices] == [1_000] * 4
        assert len({invoice["customer"]["external_id"] for invoice in invoices}) == 4
        numbers = sorted(invoice["number"] for invoice in invoices)
        assert numbers == [f"TEST-2026-{number:06d}" for number in range(1, 5)]
