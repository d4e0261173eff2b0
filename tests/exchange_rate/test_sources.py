"""What Secrets and ConfigMaps hold that feeds name: handed over, sealed, used, dropped."""

import json
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest
from aiohttp import web
from billplane.chassis.auth import internal_seed
from billplane.chassis.sealing import SealBroken, Sealer
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2 as pb
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

TOKEN = b"a-token-that-nobody-else-has"
TABLE = b"Date,USD\n2026-01-02,1.25\n"
PURPOSE = "exchange_rate.feed_sources"


def spec(*sources):
    first, *others = sources
    return {
        "base": "EUR",
        "currencies": ["USD"],
        "schedule": "0 16 * * *",
        "source": first,
        "fallbacks": others,
    }


def table(name="rates"):
    return {"csv": {"configMapRef": {"name": name, "key": "table.csv"}, "wide": True}}


def answers(url, name="bank"):
    mapping = {"asOf": "$.day", "rates": "$.rates"}
    secret = {"name": name, "key": "token"}
    return {"json": {"url": url, "secretRef": secret, "mapping": mapping}}


def config_map(content=TABLE, name="rates"):
    return pb.SourceValue(kind="ConfigMap", name=name, key="table.csv", content=content)


def secret(content=TOKEN, name="bank"):
    return pb.SourceValue(kind="Secret", name=name, key="token", content=content)


@asynccontextmanager
async def bank():
    """Answer rates to who has the token."""

    async def rates(request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN.decode()}":
            return web.Response(status=401)
        return web.json_response({"day": "2026-01-05", "rates": {"USD": 1.5}})

    app = web.Application()
    app.router.add_get("/", rates)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/"
    await runner.cleanup()


class Operator:
    """What the operator does for one tenant."""

    def __init__(self, platform, channel, tenant):
        self.platform, self.tenant = platform, tenant
        self.stub = exchange_rate_pb2_grpc.ExchangeRateServiceStub(channel)
        self.metadata = platform.metadata(tenant, subject="operator")

    async def apply(self, document, generation=1, epoch=0):
        return await self.stub.ApplyFeed(
            pb.ApplyFeedRequest(
                uid="uid-1", namespace="default", name="fx", generation=generation, epoch=epoch,
                spec_json=json.dumps(document),
            ),
            metadata=self.metadata,
        )  # fmt: skip

    async def provide(self, digest, *values, epoch=0):
        request = pb.ProvideSourceRequest(uid="uid-1", epoch=epoch, digest=digest, values=values)
        await self.stub.ProvideSource(request, metadata=self.metadata)

    async def refused(self, call):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        info = error_details_pb2.ErrorInfo()
        assert any(item.Unpack(info) for item in rpc_status.from_call(refused.value).details)
        assert TOKEN.decode() not in refused.value.details()
        return info.reason, refused.value.details()

    async def refresh(self):
        request = pb.RefreshFeedRequest(id="fx")
        return await self.stub.RefreshFeed(request, metadata=self.metadata)

    async def digest(self):
        listed = await self.stub.ListApplied(pb.ListAppliedRequest(), metadata=self.metadata)
        return listed.applied[0].source_digest

    async def rows(self):
        database = await asyncpg.connect(self.platform.stores.admin_url)
        query = "SELECT * FROM exchange_rate.feed_sources WHERE tenant_id = $1"
        found = await database.fetch(query, self.tenant)
        await database.close()
        return found


@pytest.fixture
async def operator(platform, request):
    async with platform.channel() as channel:
        yield Operator(platform, channel, f"ten_fxs_{abs(hash(request.node.name))}")


async def test_a_table_of_a_config_map_is_read_and_a_changed_one_anew(operator):
    await operator.apply(spec(table()))
    await operator.provide("one", config_map())
    done = await operator.refresh()
    assert (done.feed.as_of, done.added) == ("2026-01-02", 1)
    assert await operator.digest() == "one"
    await operator.provide("two", config_map(TABLE + b"2026-01-03,1.26\n"))
    assert (await operator.refresh()).feed.as_of == "2026-01-03"
    assert await operator.digest() == "two"


async def test_a_token_is_sent_as_bearer_and_a_rotated_one_after_it(operator):
    async with bank() as url:
        await operator.apply(spec(answers(url)))
        await operator.provide("one", secret(b"of-yesterday"))
        reason, detail = await operator.refused(operator.refresh())
        assert (reason, "answered 401" in detail) == ("SOURCE_UNREADABLE", True)
        await operator.provide("two", secret(TOKEN + b"\n"))
        assert (await operator.refresh()).feed.as_of == "2026-01-05"


async def test_what_is_held_is_sealed_for_this_feed_and_no_answer_tells_it(operator, capfd):
    document = spec(answers("http://127.0.0.1:1/"), table())
    made = await operator.apply(document)
    await operator.provide("one", secret(), config_map())
    (row,) = await operator.rows()
    assert TOKEN not in row["sealed"]
    assert TABLE not in row["sealed"]
    sealer = Sealer(PURPOSE, internal_seed(operator.platform.platform.settings))
    assert TOKEN in sealer.open(row["sealed"], PURPOSE, operator.tenant, made.id)
    with pytest.raises(SealBroken):
        sealer.open(row["sealed"], PURPOSE, "ten_other", made.id)
    assert (await operator.refresh()).feed.as_of == "2026-01-02"
    headers = operator.platform.headers(operator.tenant)
    answer = await operator.platform.request(
        "GET", "/v1/exchange_rate_feeds/fx", headers=headers, expect=200
    )
    listed = await operator.stub.ListApplied(
        pb.ListAppliedRequest(), metadata=operator.metadata
    )  # fmt: skip
    written = capfd.readouterr()
    for told in (json.dumps(answer), str(listed), written.out, written.err):
        assert TOKEN.decode() not in told


async def test_a_row_that_another_key_sealed_is_asked_for_again(operator):
    made = await operator.apply(spec(table()))
    await operator.provide("one", config_map())
    content = pb.SourceValues(values=[config_map()]).SerializeToString()
    sealed = Sealer(PURPOSE, bytes(32)).seal(content, PURPOSE, operator.tenant, made.id)
    database = await asyncpg.connect(operator.platform.stores.admin_url)
    query = "UPDATE exchange_rate.feed_sources SET sealed = $1 WHERE feed_id = $2"
    await database.execute(query, sealed, made.id)
    await database.close()
    reason, detail = await operator.refused(operator.refresh())
    assert reason == "SOURCE_UNREADABLE"
    assert detail.startswith("key table.csv in ConfigMap rates was not handed over")
    await operator.provide("one", config_map())
    assert (await operator.refresh()).added == 1


async def test_what_no_source_names_any_more_is_dropped(operator):
    document = spec(table())
    await operator.apply(document)
    await operator.provide("one", config_map(), secret())
    (row,) = await operator.rows()
    sealer = Sealer(PURPOSE, internal_seed(operator.platform.platform.settings))
    kept = sealer.open(row["sealed"], PURPOSE, operator.tenant, row["feed_id"])
    assert TOKEN not in kept  # no source names this Secret
    await operator.provide("")
    assert (await operator.rows(), await operator.digest()) == ([], "")
    await operator.provide("one", config_map())
    static = {"static": {"rates": [{"quote": "USD", "rate": "1.2", "asOf": "2026-01-01"}]}}
    changed = await operator.apply(spec(static), generation=2)
    assert (await operator.rows(), changed.source_digest) == ([], "")
    again = await operator.apply(document, generation=3)
    await operator.provide("one", config_map())
    request = pb.RemoveFeedRequest(uid="uid-1", generation=3)
    await operator.stub.RemoveFeed(request, metadata=operator.metadata)
    assert again.id
    assert await operator.rows() == []
    reason, _ = await operator.refused(operator.provide("one", config_map()))
    assert reason == "FEED_NOT_FOUND"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (config_map(b"x" * (1024 * 1024 + 1)), "ConfigMap rates is longer than 1048576 bytes"),
        (secret(b"x" * 20_000), "Secret bank is longer than 16384 bytes"),
        (secret(TOKEN + b"\r\nHost: elsewhere"), "Secret bank is no token"),
        (secret(b""), "Secret bank is no token"),
        (secret("tökén".encode()), "Secret bank is no token"),
    ],
    ids=["long table", "long token", "another header", "empty", "not ASCII"],
)
async def test_what_no_source_can_use_is_refused_and_what_was_held_stays(operator, value, message):
    await operator.apply(spec(answers("http://127.0.0.1:1/"), table()))
    await operator.provide("one", config_map())
    reason, detail = await operator.refused(operator.provide("two", value))
    assert (reason, message in detail) == ("SOURCE_REFUSED", True)
    assert await operator.digest() == "one"


async def test_only_the_operator_of_the_newest_epoch_hands_over(operator):
    await operator.apply(spec(table()), epoch=2)
    reason, _ = await operator.refused(operator.provide("one", config_map(), epoch=1))
    assert reason == "STALE_GENERATION"
    operator.metadata = operator.platform.metadata(operator.tenant)
    reason, _ = await operator.refused(operator.provide("one", config_map(), epoch=2))
    assert reason == "INTERNAL_ONLY"
    assert await operator.rows() == []


async def test_a_feed_of_the_api_can_name_neither(operator):
    headers = operator.platform.headers(operator.tenant)
    body = {"name": "fx", "spec": spec(table())}
    await operator.platform.request(
        "POST", "/v1/exchange_rate_feeds", json=body, headers=headers, expect=201
    )
    reason, detail = await operator.refused(operator.refresh())
    assert reason == "SOURCE_UNREADABLE"
    assert detail == "only a resource in a cluster can name key table.csv in ConfigMap rates"
