"""What every service promises, whatever it does."""

import re

import asyncpg
import grpc
import pytest
from billplane import catalog
from billplane.chassis.middleware import OPEN_PATHS
from billplane.chassis.migrations import foundation, runner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.fixtures.platform import with_database


def _paths(platform, service):
    """Give every documented operation of a service with its path parameters filled in."""
    if catalog.load(service).front is not None:
        return  # the door's document is that of the others
    document = platform.platform.runtimes[service].openapi
    for path, operations in document.get("paths", {}).items():
        for method in operations:
            yield method.upper(), path, re.sub(r"\{[^}]+\}", "x_1", path)


async def test_it_starts_alone_and_stops(service, make_stores, run_platform):
    async with run_platform(await make_stores(), (service,)) as alone:
        async with alone.http.get(alone.url("/health/ready")) as answer:
            assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("path", OPEN_PATHS)
async def test_open_paths_answer_without_credential(service, platform, path):
    for port in platform.platform.apps_by_name[service].kept_rest_ports:
        async with platform.http.get(platform.url(path, port)) as answer:
            assert answer.status == 200
            if path == "/openapi.json":
                title = platform.platform.apps_by_name[service].title
                assert (await answer.json())["info"]["title"] == f"Billplane {title}"


async def test_every_route_wants_a_credential(service, platform):
    public = [route for route in catalog.load(service).routes if route.public or route.demo]
    for method, template, path in _paths(platform, service):
        if any(route.matches(template) for route in public):
            continue
        async with platform.http.request(method, platform.url(path)) as answer:
            assert answer.status == 401, f"{method} {path}"
            problem = await answer.json(content_type=None)
            # In Stripe's dialect the request's id is in a header alone.
            problem = problem.get("error", problem) | {"stripe": "error" in problem}
            assert problem["reason"] in ("CREDENTIAL_MISSING", "DEMO_DISABLED")
            id_ = answer.headers["Request-Id"] if problem["stripe"] else problem["request_id"]
            assert answer.headers["X-Request-Id"] == id_
        bad = {"Authorization": "Bearer sk_test_0000000000_nonsense"}
        async with platform.http.request(method, platform.url(path), headers=bad) as answer:
            assert answer.status == 401, f"{method} {path}"


async def test_every_documented_route_is_declared_for_the_gateway(service, platform):
    routes = catalog.load(service).routes
    for method, template, _ in _paths(platform, service):
        assert any(route.matches(template) for route in routes), f"{method} {template}"


async def test_every_rpc_wants_a_credential(service, platform):
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(b"")
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, method.name


async def test_its_grpc_health_is_known_by_name(service, platform):
    async with platform.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for rpc in catalog.load(service).rpc:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=rpc.full_name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_its_schema_goes_up_down_and_up_again(service, make_stores):
    if not runner.has_history(service):
        assert catalog.load(service).messages == ()
        return
    stores = await make_stores()
    await runner.migrate(stores.admin_url, [service], to="base")
    connection = await asyncpg.connect(stores.admin_url)
    left = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = $1"
        " AND table_name <> 'alembic_version'",
        service,
    )
    assert left == []
    await runner.migrate(stores.admin_url, [service])
    assert await connection.fetchval(f"SELECT count(*) FROM {service}.outbox") == 0
    await connection.close()


async def test_its_tables_are_closed_to_other_tenants(service, make_stores):
    """No tenant set → error; tenant A set → only A's rows, and no write for B."""
    if not runner.has_history(service):
        return
    stores = await make_stores()
    connection = await asyncpg.connect(stores.admin_url)
    tables = await connection.fetch(
        "SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS closed,"
        " EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')"
        " AS tenant FROM pg_class c WHERE c.relnamespace = $1::regnamespace"
        " AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'",
        service,
    )
    assert tables
    partitions = await _partitions_nobody_reads(connection, service)
    for table in tables:
        assert table["tenant"], f"{table['name']} has no tenant_id"
        assert table["closed"], f"{table['name']} has no forced row-level security"
        if table["name"] in partitions:
            continue
        await _assert_closed(connection, f"{service}.{table['name']}", service)
    await connection.close()


async def _partitions_nobody_reads(connection, service):
    """List partitions; they are reached by their table alone, so that its policies hold."""
    found = await connection.fetch(
        "SELECT c.relname AS name, r AS role FROM pg_class c,"
        " unnest(ARRAY[$1 || '_app', $1 || '_reader']) r"
        " WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND c.relispartition",
        service,
    )
    for row in found:
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            assert not await connection.fetchval(
                "SELECT has_table_privilege($1, $2::regclass, $3)",
                row["role"],
                f"{service}.{row['name']}",
                right,
            ), f"{row['role']} may {right} {row['name']}"
    return {row["name"] for row in found}


async def _assert_closed(connection, table, service):
    columns = await connection.fetch(
        "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND attidentity <> 'a'",
        table,
    )
    values = ", ".join(_filler(column["type"], column["name"]) for column in columns)
    names = ", ".join(f'"{column["name"]}"' for column in columns)
    await connection.execute("SET session_replication_role = replica")
    for constraint in await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'", table
    ):
        await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint["conname"]}"')
    for tenant in ("ten_a", "ten_b"):
        await connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({values.replace('TENANT', tenant)})"
            " ON CONFLICT DO NOTHING"
        )
    await connection.execute("SET session_replication_role = origin")
    await connection.execute(f"SET ROLE {service}_app")
    with pytest.raises(asyncpg.PostgresError, match="no tenant is set"):
        await connection.fetch(f"SELECT * FROM {table}")
    async with connection.transaction():
        await connection.execute("SELECT set_config('billplane.tenant_id', 'ten_a', true)")
        seen = await connection.fetch(f"SELECT DISTINCT tenant_id FROM {table}")
        assert [row["tenant_id"] for row in seen] == ["ten_a"], table
    with pytest.raises(asyncpg.PostgresError, match="no tenant is set"):
        # The setting is '' now, no longer absent: that must be refused as well.
        await connection.fetch(f"SELECT * FROM {table}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with connection.transaction():
            await connection.execute("SELECT set_config('billplane.tenant_id', 'ten_a', true)")
            await connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({values.replace('TENANT', 'ten_b')})"
            )
    await connection.execute("RESET ROLE")


def _filler(kind, name):
    if name == "tenant_id":
        return "'TENANT'"
    if kind.endswith("[]"):
        return "'{}'"
    fillers = {
        "boolean": "false",
        "bytea": "'\\x00'",
        "jsonb": "'{}'",
        "date": "'2026-01-01'",
        "timestamp with time zone": "'2026-01-01T00:00:00Z'",
    }
    if kind in fillers:
        return fillers[kind]
    if kind.startswith(("bigint", "integer", "smallint", "numeric")):
        return "1"
    if kind.startswith("character(3)"):
        return "'EUR'"
    return "'x'"


async def test_functions_over_tenants_are_in_its_lists(service, make_stores):
    if not runner.has_history(service):
        return
    app = catalog.load(service)
    stores = await make_stores()
    connection = await asyncpg.connect(
        with_database(stores.admin_url, stores.admin_url.rsplit("/", 1)[1])
    )
    rows = await connection.fetch(
        "SELECT p.proname AS name, r.rolname AS owner, p.proconfig AS config,"
        " has_function_privilege('public', p.oid, 'EXECUTE') AS open"
        " FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner"
        " WHERE p.pronamespace = $1::regnamespace AND p.prosecdef",
        service,
    )
    await connection.close()
    allowed = {
        *foundation.FINDERS, *foundation.BATCH_WRITERS, *app.finders, *app.batch_writers
    }  # fmt: skip
    assert {row["name"] for row in rows} == allowed
    for row in rows:
        assert row["owner"] == f"{service}_worker", row["name"]
        assert f"search_path={service}, pg_temp" in (row["config"] or []), row["name"]
        assert not row["open"], row["name"]


def test_every_setting_says_what_it_does(service):
    for name, field in catalog.load(service).settings.model_fields.items():
        assert field.description, f"{service}.{name}"


def test_it_publishes_only_what_its_protos_hold(service):
    for message in catalog.load(service).messages:
        # A task bears the name of who works on it.
        assert message.kind == "task" or message.service == service
        assert message.kind == "task" or message.wire_type.count(".") == 1


def test_its_consumers_name_messages_as_their_producers_do(service):
    app = catalog.load(service)
    for interest in app.consumers.interests if app.consumers else ():
        wanted = interest.message
        if wanted.service in catalog.SERVICES:
            assert wanted in catalog.load(wanted.service).messages
