"""`billplane listen`: killed, cut off and started again, it leaves nothing out.

`BILLPLANE_TEST_LISTEN_EVENTS` makes it as long as a soak wants: 10,000 there.
"""

import asyncio
import json
import os
import random
import re
import sys
from collections import defaultdict

import pytest
import stripe
from billplane import catalog
from billplane.chassis.host import GRPC_PORT, Platform
from billplane_cli.client import Client
from billplane_cli.triggers import TRIGGERS, pull

from tests.chassis.waiting import eventually
from tests.fixtures.platform import RunningPlatform, running
from tests.fixtures.ports import free_port_offset
from tests.notification.hooks import hook, until

CUSTOMERS = 10
EVENTS = int(os.environ.get("BILLPLANE_TEST_LISTEN_EVENTS", "240")) // CUSTOMERS * CUSTOMERS
BACKEND = ("identity", "notification", "subscription")


class Listener:
    """The command in a process of its own; its state is in a folder of the test's."""

    def __init__(self, folder, key, url, *arguments):
        self._folder = folder
        self._environ = {
            **os.environ,
            "XDG_STATE_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "BILLPLANE_URL": url,
            "BILLPLANE_API_KEY": key,
        }
        self._arguments = arguments
        self._log = folder / "said.txt"
        self.process = None

    async def start(self):
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "billplane_cli", "listen", *self._arguments),
                env=self._environ,
                stdout=log,
                stderr=log,
            )

    async def is_there(self, seconds=30):
        """Wait until the first frame was read."""
        async with asyncio.timeout(seconds):
            while not list(self._folder.glob("billplane/listen/*")):
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)

    async def kill(self):
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def said(self):
        return self._log.read_text("utf-8")

    @property
    def secret(self):
        found = set(re.findall(r"whsec_\w+", self.said))
        assert len(found) == 1, "the secret is the same each time"
        return found.pop()


class Gateway:
    """The gateway alone, in front of services of another platform; it can be started anew."""

    def __init__(self, behind):
        self._behind = behind
        # Between those that other platforms take: nobody takes its ports while it is away.
        self._offset = free_port_offset() + 13
        self._platform = None
        self.url = f"http://127.0.0.1:{8080 + self._offset}"

    async def start(self):
        address = f"127.0.0.1:{GRPC_PORT + self._behind.port_offset}"
        environ = {**self._behind.environ, "BILLPLANE_PORT_OFFSET": str(self._offset)}
        addresses = dict.fromkeys(("identity", "notification"), address)
        self._platform = Platform([catalog.load("gateway")], environ=environ, addresses=addresses)
        await self._platform.start()

    async def stop(self):
        await self._platform.stop()


async def key_of(platform: RunningPlatform) -> tuple[str, str]:
    """Register somebody; give a key that may only listen, and the tenant."""
    account = {"email": f"listen{random.random()}@example.com", "password": "a-long-password"}
    user = await platform.request("POST", "/auth/register", json=account, expect=201)
    session = await platform.request("POST", "/auth/login", json=account, expect=200)
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    body = {"name": "listen", "scopes": ["events:read"]}
    made = await platform.request("POST", "/auth/api_keys", json=body, headers=headers, expect=201)
    return made["key"], user["tenant_id"]


async def happen(platform, tenant, count):
    """Make customers and change their names at the same time: c:0, c:1, c:2 … for each."""

    async def one(number):
        headers = platform.headers(tenant)
        body = {"name": f"{number}:0"}
        made = await platform.request(
            "POST", "/v1/customers", json=body, headers=headers, expect=201
        )
        path = f"/v1/customers/{made['id']}"
        for version in range(1, count // CUSTOMERS):
            headers = platform.headers(tenant)  # a token lasts a minute
            body = {"name": f"{number}:{version}"}
            await platform.request("PATCH", path, json=body, headers=headers, expect=200)

    await asyncio.gather(*(one(number) for number in range(CUSTOMERS)))


def named(heard):
    return json.loads(heard.body)["data"]["object"]["name"]


async def test_killed_and_cut_off_it_hears_every_event_in_order(make_stores, tmp_path):
    async with running(await make_stores(), BACKEND) as platform, hook() as target:
        key, tenant = await key_of(platform)
        gateway = Gateway(platform)
        await gateway.start()
        listener = Listener(tmp_path, key, gateway.url, "--forward-to", f"{target.url}/webhook")
        try:
            await listener.start()
            await listener.is_there()
            happening = asyncio.create_task(happen(platform, tenant, EVENTS))
            chance = random.Random(7)
            for round_ in range(6):
                await target.count(len(target.heard) + chance.randrange(1, EVENTS // 20), 60)
                if round_ % 3 == 2:
                    await gateway.stop()
                    await asyncio.sleep(chance.random() / 2)
                    await gateway.start()
                else:
                    await listener.kill()
                    await asyncio.sleep(chance.random() / 2)
                    await listener.start()
            await happening
            await until(lambda: target.different() >= EVENTS, 60 + EVENTS / 10)
        finally:
            await listener.kill()
            await gateway.stop()
    order = defaultdict(list)
    for heard in target.heard:
        number, _, version = named(heard).partition(":")
        if int(version) not in order[number]:
            order[number].append(int(version))
        stripe.Webhook.construct_event(
            heard.body, heard.headers["Stripe-Signature"], listener.secret, tolerance=600
        )
    for versions in order.values():
        assert versions == sorted(versions)
    # Of those that were in hand when it was killed some came twice, under the same id.
    assert len({heard.headers["webhook-id"] for heard in target.heard}) == EVENTS
    assert len(target.heard) - EVENTS <= 4


async def test_it_hears_only_what_was_asked_for_and_waits_for_a_program_that_is_away(
    platform, tmp_path
):
    key, tenant = await key_of(platform)
    headers = platform.headers(tenant)
    async with hook() as gone:
        address = gone.url
    listener = Listener(
        tmp_path, key, platform.url(""), "--forward-to", address, "--events", "customer.updated"
    )
    try:
        await listener.start()
        await listener.is_there()
        made = await platform.request(
            "POST", "/v1/customers", json={"name": "a"}, headers=headers, expect=201
        )
        path = f"/v1/customers/{made['id']}"
        await platform.request("PATCH", path, json={"name": "b"}, headers=headers, expect=200)
        await until(lambda: "trying again" in listener.said)
        async with hook(int(address.rpartition(":")[2])) as back:
            (heard,) = await back.count(1)
            assert named(heard) == "b"
            await until(lambda: "customer.updated" in listener.said)
    finally:
        await listener.kill()
    assert "[200]" in listener.said
    assert "customer.created" not in listener.said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--since", "evt_nothing"), 5, "EVENT_NOT_FOUND"),
        (("--since", "x"), 7, "CURSOR_INVALID"),
        (("--forward-to", "ftp://x"), 2, "is not an address"),
    ],
)
async def test_it_says_what_is_wrong(platform, tmp_path, arguments, code, words):
    key, _ = await key_of(platform)
    listener = Listener(tmp_path, key, platform.url(""), *arguments)
    await listener.start()
    async with asyncio.timeout(20):
        assert await listener.process.wait() == code, listener.said
    assert words in listener.said


async def test_each_trigger_causes_its_event(platform, tmp_path):
    account = {"email": f"trigger{random.random()}@example.com", "password": "a-long-password"}
    user = await platform.request("POST", "/auth/register", json=account, expect=201)
    session = await platform.request("POST", "/auth/login", json=account, expect=200)
    token = {"Authorization": f"Bearer {session['access_token']}"}
    made = await platform.request(
        "POST", "/auth/api_keys", json={"name": "t"}, headers=token, expect=201
    )
    environ = {
        **os.environ,
        "XDG_CONFIG_HOME": str(tmp_path),
        "BILLPLANE_URL": platform.url(""),
        "BILLPLANE_API_KEY": made["key"],
    }

    async def run(*arguments):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "billplane_cli", "trigger", *arguments),
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    code, listed = await run("--list")
    assert (code, set(listed.split())) == (0, set(TRIGGERS))
    assert (await run("customer.created"))[0] == 0
    code, said = await run("nothing.such")
    assert (code, "cannot be caused" in said) == (2, True)
    client = Client(platform.url(""), credential=lambda: made["key"])

    def pull_all():
        for name, steps in TRIGGERS.items():
            list(pull(client, steps, name.replace(".", "-").replace("_", "-")))
        client.close()

    await asyncio.to_thread(pull_all)
    headers, missing = platform.headers(user["tenant_id"]), set(TRIGGERS)

    async def all_there():
        page = await platform.request("GET", "/v1/events?limit=100", headers=headers)
        missing.difference_update(event["type"] for event in page["data"])
        return not missing

    try:
        await eventually(all_there)
    except TimeoutError:
        assert not missing
