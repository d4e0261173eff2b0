"""A check of what must always be true sees one instant, while work goes on."""

import dataclasses

import asyncpg
from billplane import catalog
from billplane.chassis.host import Platform
from billplane.chassis.invariants import Violation, check
from sqlalchemy import text

from tests.fixtures.ports import free_port_offset

WRITE = """
INSERT INTO tax.tax_settings (tenant_id, country, updated_at) VALUES ('ten_meanwhile', 'AT', now())
"""
COUNT = text("SELECT count(*) FROM tax.tax_settings")


async def test_what_is_written_during_a_check_is_not_half_seen(make_stores):
    stores = await make_stores()

    async def counts_twice(session):
        before = await session.scalar(COUNT)
        administrator = await asyncpg.connect(stores.admin_url)
        await administrator.execute(WRITE)
        await administrator.close()
        after = await session.scalar(COUNT)
        return [] if before == after else [Violation("counts_twice", "", "", f"{before}, {after}")]

    app = dataclasses.replace(catalog.load("tax"), invariants=[counts_twice])
    platform = Platform([app], environ=stores.environ(free_port_offset()))
    await platform.start()
    try:
        runtime = platform.runtimes["tax"]
        assert await check(runtime) == []
        async with runtime.database.across_tenants("reader") as session:
            assert await session.scalar(COUNT) == 1
            assert await session.scalar(text("SHOW transaction_isolation")) == "read committed"
    finally:
        await platform.stop()
