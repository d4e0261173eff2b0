"""Outgoing requests reach what is public and nothing else, by whatever name it is called."""

import asyncio
import gzip
import socket
import threading
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from billplane.chassis import http_client
from billplane.chassis.http_client import FetchFailed, Guard, HttpClient, UrlRefused
from hypothesis import given, settings
from hypothesis import strategies as st

PRIVATE = [
    "0.0.0.1",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "100::1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:a9fe:a9fe::",
    "2002:100::",
    "2002:808:808::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "feff::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    assert not Guard([]).allows("name.example", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address):
    assert Guard([]).allows("name.example", address)


@given(st.ip_addresses())
@settings(max_examples=300, deadline=None)
def test_only_global_unicast_addresses_pass(address):
    if Guard([]).allows("name.example", str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_private


def test_the_allow_list_names_hosts_addresses_and_networks():
    guard = Guard(["Bank.Example", "10.1.0.0/16", "127.0.0.1", "fd00::/8"])
    assert guard.allows("bank.example", "10.9.9.9")
    assert guard.allows("x", "10.1.2.3")
    assert guard.allows("x", "::ffff:10.1.2.3")
    assert guard.allows("x", "fd12::1")
    assert not guard.allows("x", "10.2.0.1")
    assert not guard.allows("x", "127.0.0.2")
    assert not guard.allows("bank.example.evil", "10.9.9.9")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x/",
        "ftp://x/",
        "http:///path",
        "http://",
        "//x",
        "x",
        "",
        "javascript:alert(1)",
        "http://user:password@example.com/",
        "http://user@example.com/",
        "http://[::1",
        "http://x:99999/",
    ],
)
async def test_what_is_no_plain_web_address_is_refused(url):
    async with _client() as client:
        with pytest.raises(UrlRefused):
            await client.fetch(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "①②⑦.⓪.⓪.①",
    ],
)
async def test_this_machine_is_not_reached_by_any_of_its_names(host):
    async with _server() as port:
        async with _client(allowed=()) as client:
            with pytest.raises((UrlRefused, FetchFailed)):
                await client.fetch(f"http://{host}:{port}/secret")


@asynccontextmanager
async def _server(handler=None):
    async def secret(_request):
        raise AssertionError("this must not be reached")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler or secret)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _client(allowed=("127.0.0.1",), timeout_seconds=5):
    client = HttpClient(allowed, timeout_seconds)
    try:
        yield client
    finally:
        await client.close()


async def test_an_allowed_server_is_read_whole():
    async def answer(request):
        return web.json_response({"asked": await request.json()}, headers={"X-Own": "1"})

    async with _server(answer) as port, _client() as client:
        got = await client.fetch(f"http://127.0.0.1:{port}/", method="POST", json={"a": 1})
    assert (got.status, got.body) == (200, b'{"asked": {"a": 1}}')
    assert got.headers["X-Own"] == "1"


async def test_a_redirect_is_told_and_not_followed():
    async def answer(_request):
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    async with _server(answer) as port, _client() as client:
        got = await client.fetch(f"http://127.0.0.1:{port}/")
    assert got.status == 302


async def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(http_client, "ANSWER_BYTES_MAX", 100_000)

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 65_536)
        return response

    async with _server(answer) as port, _client() as client:
        with pytest.raises(FetchFailed, match="longer than"):
            await client.fetch(f"http://127.0.0.1:{port}/")


async def test_a_compressed_answer_may_not_grow_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(http_client, "ANSWER_BYTES_MAX", 100_000)
    bomb = gzip.compress(b"0" * 50_000_000)

    async def answer(_request):
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with _server(answer) as port, _client() as client:
        with pytest.raises(FetchFailed, match="longer than"):
            await client.fetch(f"http://127.0.0.1:{port}/")


async def test_a_server_that_never_answers_is_given_up():
    async def answer(_request):
        await asyncio.sleep(60)

    async with _server(answer) as port, _client(timeout_seconds=0.3) as client:
        with pytest.raises(FetchFailed):
            await client.fetch(f"http://127.0.0.1:{port}/")


async def test_a_name_is_looked_up_once_and_only_what_was_checked_is_connected(monkeypatch):
    """A name that is public when it is checked and private when it is used gets nowhere."""
    looked = []

    def answers(host, port, *_options):
        looked.append(host)
        address = "127.0.0.1" if len(looked) > 1 else "8.8.8.8"
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    resolver = http_client._Resolver(Guard([]), 1)
    found = await resolver.resolve("rebinding.example", 80)
    assert [item["host"] for item in found] == ["8.8.8.8"]
    with pytest.raises(UrlRefused):
        await resolver.resolve("rebinding.example", 80)


async def test_a_name_that_changes_its_answer_between_two_requests_gets_nowhere(monkeypatch):
    """The second request asks again, and what it is told then is checked again."""
    reached = []

    async def answer(_request):
        reached.append(1)
        return web.Response(headers={"Connection": "close"})

    async with _server(answer) as port:
        asked = []

        def answers(host, wanted, *_options):
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, wanted))]

        monkeypatch.setattr(socket, "getaddrinfo", answers)
        async with _client(("127.0.0.1",)) as client:
            url = f"http://rebinding.example:{port}/"
            assert (await client.fetch(url)).status == 200
            # What was looked up is remembered for some seconds; then it is looked up anew.
            client._session.connector.clear_dns_cache()
            with pytest.raises(UrlRefused):
                await client.fetch(url)
    assert (len(asked), len(reached)) == (2, 1)


async def test_a_slow_look_up_holds_up_no_other_client(monkeypatch):
    async def answer(_request):
        return web.Response(text="fast")

    release = threading.Event()

    def answers(host, wanted, *_options):
        if host == "slow.example":
            release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", wanted))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    async with _server(answer) as port, _client() as client, _client() as other:
        url = f"http://slow.example:{port}/"
        waiting = [asyncio.create_task(client.fetch(url)) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert (await other.fetch(f"http://fast.example:{port}/")).body == b"fast"
        release.set()
        assert {item.status for item in await asyncio.gather(*waiting)} == {200}


async def test_as_much_of_an_answer_is_kept_as_was_asked_for():
    async def answer(_request):
        return web.Response(body=b"x" * 1_000_000)

    async with _server(answer) as port, _client() as client:
        got = await client.fetch(f"http://127.0.0.1:{port}/", answer_bytes_kept=100)
    assert (got.status, got.body) == (200, b"x" * 100)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    async def answer(_request):
        return web.Response(text="direct")

    async with _server(answer) as port, _client() as client:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert (await client.fetch(f"http://127.0.0.1:{port}/")).body == b"direct"
