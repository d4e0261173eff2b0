"""The stream of events: whoever comes again with its cursor misses nothing."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fixtures.platform import running

SERVICES = ("gateway", "identity", "notification", "tax", "subscription")
PATH = "/v1/events/stream"


class Writer:
    """A tenant to which things happen."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.headers = platform.headers(tenant)

    async def happen(self, name):
        """Make a customer, which is an event."""
        body = {"name": name, "external_id": name}
        made = await self.platform.request(
            "POST", "/v1/customers", json=body, headers=self.headers, expect=201
        )
        return made["id"]

    async def change(self, customer, name):
        await self.platform.request(
            "PATCH", f"/v1/customers/{customer}", json={"name": name}, headers=self.headers
        )

    def listen(self, query="", **options):
        url = self.platform.url(PATH).replace("http:", "ws:") + query
        return connect(url, additional_headers=self.headers | options)


async def frame(socket, seconds=10):
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def test_events_come_as_they_happen_with_their_cursor(platform):
    writer = Writer(platform, "ten_stream_happen")
    async with writer.listen() as socket:
        assert await frame(socket) == {"cursor": "0", "event": None}
        made = await writer.happen("ada")
        got = await frame(socket)
        assert (got["cursor"], got["event"]["type"]) == ("1", "customer.created")
        assert got["event"]["data"]["object"]["id"] == made
        await writer.change(made, "Ada L.")
        got = await frame(socket)
        assert (got["cursor"], got["event"]["type"]) == ("2", "customer.updated")


async def test_it_goes_on_after_a_cursor_or_an_event_and_from_the_beginning(platform):
    writer = Writer(platform, "ten_stream_after")
    # Of several objects the order is that of their publishing, so each waits for the one before.
    async with writer.listen() as socket:
        await frame(socket)
        for name in ("a", "b", "c"):
            await writer.happen(name)
            await frame(socket)
    async with writer.listen("?after=0") as socket:
        await frame(socket)
        frames = [await frame(socket) for _ in range(3)]
        names = [item["event"]["data"]["object"]["name"] for item in frames]
    assert names == ["a", "b", "c"]
    for after in (frames[0]["cursor"], frames[0]["event"]["id"]):
        async with writer.listen(f"?after={after}") as socket:
            assert (await frame(socket))["cursor"] == "1"
            assert (await frame(socket))["event"]["id"] == frames[1]["event"]["id"]
    async with writer.listen() as socket:
        assert await frame(socket) == {"cursor": "3", "event": None}


async def test_only_the_wanted_types_come(platform):
    writer = Writer(platform, "ten_stream_types")
    async with writer.listen("?types=customer.updated,invoice.*") as socket:
        await frame(socket)
        made = await writer.happen("ada")
        await writer.change(made, "Ada L.")
        assert (await frame(socket))["event"]["type"] == "customer.updated"


async def test_nobody_hears_of_another_tenant_or_mode(platform):
    mine, other = Writer(platform, "ten_stream_mine"), Writer(platform, "ten_stream_other")
    live = Writer(platform, "ten_stream_mine")
    live.headers = platform.headers("ten_stream_mine", livemode=True)
    async with mine.listen() as socket, live.listen() as live_socket:
        await frame(socket)
        await frame(live_socket)
        await other.happen("theirs")
        await live.happen("live")
        await mine.happen("mine")
        assert (await frame(socket))["event"]["data"]["object"]["name"] == "mine"
        assert (await frame(live_socket))["event"]["data"]["object"]["name"] == "live"


async def test_it_refuses_before_it_begins(platform):
    writer = Writer(platform, "ten_stream_refused")
    narrow = platform.headers("ten_stream_refused", scopes=("customers:read",))
    for query, headers, status, reason in (
        ("?after=evt_nothing", writer.headers, 404, "EVENT_NOT_FOUND"),
        ("?after=-1", writer.headers, 422, "CURSOR_INVALID"),
        ("?after=%00", writer.headers, 422, "CURSOR_INVALID"),
        ("", {}, 401, "CREDENTIAL_MISSING"),
        ("", narrow, 403, "SCOPE_MISSING"),
    ):
        writer.headers = headers
        with pytest.raises(InvalidStatus) as refused:
            async with writer.listen(query):
                pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["reason"] == reason
        async with platform.http.get(platform.url(PATH + query), headers=headers) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (status, reason)
    writer.headers = platform.headers("ten_stream_refused")
    url = platform.url("/v1/customers").replace("http:", "ws:")
    with pytest.raises(InvalidStatus):
        async with connect(url, additional_headers=writer.headers):
            pass


@asynccontextmanager
async def sse(platform, headers, query=""):
    async with platform.http.get(platform.url(PATH + query), headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield answer.content


async def message(content):
    """Read one message of a server-sent stream."""
    found = {}
    async with asyncio.timeout(10):
        while True:
            line = (await content.readline()).decode().rstrip("\n")
            if not line and found:
                return found
            name, _, value = line.partition(": ")
            if name:
                found[name] = value


async def test_server_sent_events_say_the_same_and_go_on_by_their_last_id(platform):
    writer = Writer(platform, "ten_stream_sse")
    async with sse(platform, writer.headers) as content:
        assert json.loads((await message(content))["data"]) == {"cursor": "0", "event": None}
        await writer.happen("a")
        got = await message(content)
        assert json.loads(got["data"])["event"]["data"]["object"]["name"] == "a"
    await writer.happen("b")
    again = writer.headers | {"Last-Event-ID": got["id"]}
    async with sse(platform, again) as content:
        await message(content)
        assert json.loads((await message(content))["data"])["event"]["type"] == "customer.created"


async def test_a_silent_redis_costs_delay_and_no_event(platform, monkeypatch):
    """Wake-ups that are never said: the stream looks by itself every two seconds."""
    state = platform.platform.runtimes["notification"].state
    monkeypatch.setattr(state.wakeups, "wake", lambda _topic: None)
    writer = Writer(platform, "ten_stream_silent")
    async with writer.listen() as socket:
        await frame(socket)
        await writer.happen("a")
        assert (await frame(socket))["event"]["type"] == "customer.created"


async def test_a_stop_closes_with_the_cursor_and_nothing_is_lost(make_stores):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        writer = Writer(platform, "ten_stream_stop")
        async with writer.listen() as socket, sse(platform, writer.headers) as content:
            await frame(socket)
            await message(content)
            await writer.happen("a")
            assert (await frame(socket))["cursor"] == "1"
            await message(content)
            await platform.platform.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await frame(socket)
            assert closed.value.rcvd.code == 1012
            last = json.loads(closed.value.rcvd.reason)["cursor"]
            ended = await message(content)
            assert ended["event"] == "close"
            assert json.loads(ended["data"])["cursor"] == last == "1"
    async with running(stores, SERVICES) as platform:
        writer = Writer(platform, "ten_stream_stop")
        await writer.happen("b")
        async with writer.listen(f"?after={last}") as socket:
            await frame(socket)
            assert (await frame(socket))["event"]["data"]["object"]["name"] == "b"
            with pytest.raises(TimeoutError):
                await frame(socket, 0.3)


async def test_no_more_streams_than_a_mode_may_have(platform, monkeypatch):
    monkeypatch.setattr("billplane.gateway.stream.STREAMS_MAX", 1)
    writer = Writer(platform, "ten_stream_many")
    async with writer.listen() as socket:
        await frame(socket)
        with pytest.raises(InvalidStatus) as refused:
            async with writer.listen():
                pass
        assert refused.value.response.status_code == 429
    for _ in range(100):
        with pytest.MonkeyPatch.context():
            try:
                async with writer.listen() as socket:
                    await frame(socket)
                    return
            except (InvalidStatus, aiohttp.ClientError):
                await asyncio.sleep(0.02)
    raise AssertionError("the place is not given back")


async def test_a_credential_that_ends_ends_the_stream(platform, monkeypatch):
    monkeypatch.setattr("billplane.gateway.stream.CREDENTIAL_SECONDS", 0)
    writer = Writer(platform, "ten_stream_ended")
    edge = platform.platform.runtimes["gateway"]
    async with writer.listen() as socket:
        await frame(socket)
        refuse = edge.authenticator.authenticate

        async def ended(*_credentials):
            return await refuse("Bearer nonsense", False)

        monkeypatch.setattr(edge.authenticator, "authenticate", ended)
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
        assert closed.value.rcvd.code == 4401
