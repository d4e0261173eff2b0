"""The audit log cannot be changed, and what is changed by force is found."""

import asyncio

import asyncpg
import pytest
from billplane.chassis.invariants import check
from billplane.listener.domain import GENESIS, chain
from hypothesis import given
from hypothesis import strategies as st

from tests.chassis.waiting import eventually
from tests.listener.test_rest import CALCULATION, calculated, entries

TENANT = "ten_chain"


@given(st.binary(max_size=40), st.binary(max_size=40), st.text(max_size=9), st.integers(1, 9**15))
def test_another_fact_place_tenant_or_past_gives_another_hash(one, other, tenant, sequence):
    made = chain(GENESIS, tenant, sequence, one)
    assert len(made) == 32
    assert (made == chain(GENESIS, tenant, sequence, other)) == (one == other)
    assert made != chain(GENESIS, tenant, sequence + 1, one)
    assert made != chain(GENESIS, tenant + "x", sequence, one)
    assert made != chain(made, tenant, sequence, one)


@pytest.mark.parametrize("role", ["listener_app", "listener_worker", "listener_owner"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE listener.audit_entries SET envelope = ''", "DELETE FROM listener.audit_entries"],
)
async def test_nobody_changes_or_deletes_an_entry(platform, role, statement):
    await calculated(platform, platform.headers("ten_immutable"))
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        await connection.execute(f"SET ROLE {role}")
        await connection.execute("SELECT set_config('billplane.tenant_id', 'ten_immutable', false)")
        with pytest.raises(asyncpg.PostgresError, match=r"permission denied|never changed"):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("forgery", "said"),
    [
        (
            "UPDATE listener.audit_entries SET envelope = 'forged' WHERE sequence = 2",
            "entry 2 is not what was recorded",
        ),
        ("DELETE FROM listener.audit_entries WHERE sequence = 2", "entry 3 follows entry 1"),
        (
            "DELETE FROM listener.audit_entries WHERE sequence = 3",
            "the log does not end at entry 3",
        ),
        (
            "UPDATE listener.audit_entries SET previous_hash = hash WHERE sequence = 2",
            "entry 2 is not chained to the one before it",
        ),
    ],
)
async def test_what_was_forged_by_force_is_found(run_platform, make_stores, forgery, said):
    stores = await make_stores()
    async with run_platform(stores, ("listener", "tax")) as platform:
        for _ in range(3):
            await calculated(platform, platform.headers(TENANT))
        runtime = platform.platform.runtimes["listener"]
        assert await check(runtime) == []
        connection = await asyncpg.connect(stores.admin_url)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("CREATE TABLE kept AS TABLE listener.audit_entries")
        await connection.execute(forgery)
        found = await check(runtime)
        assert said in [violation.detail for violation in found]
        assert {violation.tenant_id for violation in found} == {TENANT}
        await connection.execute("DELETE FROM listener.audit_entries")
        await connection.execute("INSERT INTO listener.audit_entries TABLE kept")
        await connection.close()


async def test_facts_that_come_at_once_are_chained_one_after_the_other(platform):
    headers = platform.headers("ten_at_once")

    async def one():
        await platform.request(
            "POST", "/v1/tax_calculations", json=CALCULATION, headers=headers, expect=201
        )

    await asyncio.gather(*(one() for _ in range(20)))

    async def all_there():
        return len(await entries(platform, headers)) == 20

    await eventually(all_there)
    listed = await entries(platform, headers)
    assert [item["sequence"] for item in listed] == list(range(20, 0, -1))
