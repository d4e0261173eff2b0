"""Plans in the database: versions that cannot change, facts, damage found and repaired."""

import asyncio
import json

import asyncpg
import pytest
from billplane.chassis.applied import Application, NameTaken
from billplane.chassis.auth import service_principal
from billplane.pricing.service import plans

from tests.pricing.service import spec


class Plans:
    """The use cases as the operator of one tenant calls them, a transaction each."""

    def __init__(self, platform, tenant):
        self.runtime = platform.platform.runtimes["pricing"]
        self.principal = service_principal("operator", tenant, livemode=False)
        self.generation = 0

    async def apply(self, document, name="pro"):
        self.generation += 1
        given = Application(
            f"uid-{name}", "default", name, self.generation, 0, "", json.dumps(document)
        )
        async with self.runtime.database.write(self.runtime, self.principal) as tx:
            return await plans.apply_plan(tx, given)

    async def publish(self, plan, document):
        async with self.runtime.database.write(self.runtime, self.principal) as tx:
            return await plans.publish_version(tx, plan, json.dumps(document))

    async def applied_hash(self):
        async with self.runtime.database.read(self.runtime, self.principal) as tx:
            (found,) = (await plans.list_applied(tx, PAGE))[0]
            return found.spec_hash


PAGE = plans.Page(limit=50)


@pytest.fixture
async def database(platform):
    connection = await asyncpg.connect(platform.stores.admin_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pricing.plan_versions SET spec = '{}' WHERE tenant_id = 'ten_immutable'",
        "DELETE FROM pricing.plan_versions WHERE tenant_id = 'ten_immutable'",
        "TRUNCATE pricing.plan_versions",
    ],
)
async def test_the_database_refuses_to_change_a_version(platform, database, statement):
    await Plans(platform, "ten_immutable").apply(spec())
    with pytest.raises(asyncpg.RestrictViolationError, match="never changes"):
        await database.execute(statement)


async def test_each_new_version_is_announced_once(platform, database):
    tenant = "ten_plan_facts"
    use = Plans(platform, tenant)
    selector = {"applyTo": "Selector", "selector": {"customers": ["cus_1"]}}
    for document in (spec(), spec(), spec(rollout=selector)):
        found = await use.apply(document)
    await use.runtime.relay.publish_claimed()
    entries = await use.runtime.redis.xrange("billplane.pricing.v1")
    facts = [json.loads(fields[b"envelope"]) for _, fields in entries]
    # Two relays at once may publish a fact twice: its id tells, and its readers look at that.
    own = {
        fact["metadata"]["event_id"]: fact
        for fact in facts
        if fact["metadata"]["tenant_id"] == tenant
    }
    told = list(own.values())
    assert [fact["payload"]["version"] for fact in told] == [1, 2]
    assert [fact["metadata"]["aggregate_version"] for fact in told] == [1, 2]
    assert told[0]["metadata"]["event_type"] == "plan.published"
    assert told[1]["payload"] == {
        "plan_id": found.row.id,
        "name": "pro",
        "version": 2,
        "spec_hash": found.spec_hash,
        "apply_to": "selector",
        "customer_ids": ["cus_1"],
        "effective_at": None,
    }


async def test_versions_published_at_once_are_numbered_without_gaps(platform, database):
    use = Plans(platform, "ten_at_once")
    async with use.runtime.database.write(use.runtime, use.principal) as tx:
        made = await plans.create_plan(tx, "pro", spec())
    documents = [spec(displayName=f"Pro {number}") for number in range(8)]
    found = await asyncio.gather(*(use.publish(made.row.id, item) for item in documents))
    assert sorted(view.version.version for view in found) == list(range(2, 10))


async def test_a_name_is_given_once_however_many_ask_at_once(platform):
    use = Plans(platform, "ten_names")

    async def create():
        async with use.runtime.database.write(use.runtime, use.principal) as tx:
            return await plans.create_plan(tx, "pro", spec())

    found = await asyncio.gather(*(create() for _ in range(5)), return_exceptions=True)
    assert [type(item) for item in found if isinstance(item, Exception)] == [NameTaken] * 4


@pytest.mark.parametrize("damage", ['{"currency": "EUR"}', "[]", None])
async def test_a_hand_edit_of_a_plan_is_seen_and_repaired_without_a_version(
    platform, database, damage
):
    tenant = f"ten_edit_{len(damage or '')}"
    use = Plans(platform, tenant)
    made = await use.apply(spec())
    edit = damage or json.dumps(made.row.spec | {"displayName": "edited"})
    await database.execute(
        "UPDATE pricing.plans SET spec = $1::jsonb WHERE tenant_id = $2", edit, tenant
    )
    assert await use.applied_hash() == ""
    repaired = await use.apply(spec())
    assert (repaired.version.version, await use.applied_hash()) == (1, made.spec_hash)


async def test_a_version_changed_behind_the_trigger_is_seen_and_succeeded(platform, database):
    tenant = "ten_edit_version"
    use = Plans(platform, tenant)
    made = await use.apply(spec())
    edited = json.dumps(made.row.spec | {"minimumCommitment": "1000000"})
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(
            "UPDATE pricing.plan_versions SET spec = $1::jsonb WHERE tenant_id = $2", edited, tenant
        )
    assert await use.applied_hash() == ""
    repaired = await use.apply(spec())
    assert (repaired.version.version, await use.applied_hash()) == (2, made.spec_hash)
