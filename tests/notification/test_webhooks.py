"""Webhooks: what arrives can be checked, and nobody's trouble is another's."""

import asyncio
import json
import time
from statistics import median

import asyncpg
import pytest
import stripe
from aiohttp import web

from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.notification.hooks import hook, until


class Developer:
    """A tenant with endpoints."""

    def __init__(self, platform, tenant, **options):
        self.platform = platform
        self.headers = platform.headers(tenant, **options)

    async def send(self, method, path, body=None, expect=200, **headers):
        return await self.platform.request(
            method, path, json=body, headers=self.headers | headers, expect=expect
        )

    async def endpoint(self, url, *events, **more):
        body = {"url": url, "enabled_events": list(events) or ["customer.*"], **more}
        return await self.send("POST", "/v1/webhook_endpoints", body)

    async def happen(self, name="ada"):
        body = {"name": name, "external_id": name}
        return await self.send("POST", "/v1/customers", body, 201)

    async def deliveries(self, query=""):
        return (await self.send("GET", f"/v1/webhook_deliveries{query}"))["data"]

    async def delivered(self, state, query=""):
        """Wait for the one delivery to come to a state."""

        async def found():
            rows = await self.deliveries(query)
            return [row for row in rows if row["state"] == state]

        (row,) = await eventually(found)
        return row

    async def execute(self, statement, *values):
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def make_due(self):
        await self.execute(
            "UPDATE notification.deliveries SET due_at = now(), claimed_by = NULL"
            " WHERE state = 'pending'"
        )


async def test_a_delivery_is_checked_by_stripes_library_and_says_what_the_api_says(platform):
    developer = Developer(platform, "ten_hook_checked")
    async with hook() as target:
        made = await developer.endpoint(target.url + "/hook?a=1")
        customer = await developer.happen()
        (heard,) = await target.count(1)
        row = await developer.delivered("succeeded")
    event = stripe.Webhook.construct_event(
        heard.body, heard.headers["Stripe-Signature"], made["secret"]
    )
    assert (event.type, event.data.object.id) == ("customer.created", customer["id"])
    assert heard.headers["webhook-id"] == event.id == row["event_id"]
    told = await developer.send("GET", f"/v1/events/{event.id}")
    assert told | {"pending_webhooks": 1} == json.loads(heard.body)
    assert told["pending_webhooks"] == 0
    detail = await developer.send("GET", f"/v1/webhook_deliveries/{row['id']}")
    (attempt,) = detail["log"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, "")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            heard.body + b" ", heard.headers["Stripe-Signature"], made["secret"]
        )


async def test_only_what_an_endpoint_wants_goes_to_it(platform):
    developer = Developer(platform, "ten_hook_wants")
    other = Developer(platform, "ten_hook_wants", livemode=True)
    async with hook() as target:
        await developer.endpoint(target.url + "/updated", "customer.updated")
        await developer.endpoint(target.url + "/all", "*")
        await other.happen("live")
        await developer.happen()
        await developer.send("PATCH", "/v1/customers/ada", {"name": "b"})
        await target.count(3)
        await asyncio.sleep(0.3)
    heard = sorted((item.path, json.loads(item.body)["type"]) for item in target.heard)
    assert heard == [
        ("/all", "customer.created"),
        ("/all", "customer.updated"),
        ("/updated", "customer.updated"),
    ]


async def test_what_fails_is_tried_again_and_each_attempt_is_in_the_log(platform):
    developer = Developer(platform, "ten_hook_again")
    answers = [500, 302, 200]
    async with hook() as target:

        async def answer(_heard):
            status = answers.pop(0)
            location = {"Location": "http://169.254.169.254/"} if status == 302 else {}
            return web.Response(status=status, text=f"said {status}", headers=location)

        target.answer = answer
        await developer.endpoint(target.url)
        await developer.happen()
        for number in (1, 2):

            async def tried(number=number):
                rows = await developer.deliveries()
                return [row for row in rows if row["attempts"] == number]

            (row,) = await eventually(tried)
            assert row["state"] == "pending"
            assert row["next_attempt_at"] is not None
            await developer.make_due()
        row = await developer.delivered("succeeded")
    detail = await developer.send("GET", f"/v1/webhook_deliveries/{row['id']}")
    assert [(item["status"], item["answer"]) for item in detail["log"]] == [
        (500, "said 500"),
        (302, "said 302"),
        (200, "said 200"),
    ]
    bodies = {heard.body for heard in target.heard}
    assert (len(target.heard), len(bodies)) == (3, 1)


async def test_after_three_days_it_is_given_up_and_a_person_can_replay_it(platform):
    developer = Developer(platform, "ten_hook_replay")
    async with hook() as target:

        async def answer(_heard):
            return 500 if len(target.heard) < 3 else 200

        target.answer = answer
        endpoint = await developer.endpoint(target.url)
        await developer.happen()
        await target.count(1)
        row = await eventually(lambda: _attempted(developer, 1))
        under_way = await developer.send(
            "POST", f"/v1/webhook_deliveries/{row['id']}:replay", expect=409
        )
        assert under_way["reason"] == "WEBHOOK_DELIVERY_PENDING"
        await developer.execute(
            "UPDATE notification.deliveries SET started_at = now() - interval '3 days',"
            " due_at = now() WHERE id = $1",
            row["id"],
        )
        row = await developer.delivered("failed")
        assert (row["attempts"], row["last_error"]) == (2, "answered 500")
        again = await developer.send("POST", f"/v1/webhook_deliveries/{row['id']}:replay")
        assert again["state"] == "pending"
        row = await developer.delivered("succeeded")
        retry = f"/v1/events/{row['event_id']}/retry"
        await developer.send("POST", retry, {"webhook_endpoint": endpoint["id"]})
        await target.count(4)
    assert len({heard.headers["webhook-id"] for heard in target.heard}) == 1


async def _attempted(developer, number):
    rows = await developer.deliveries()
    return rows[0] if rows and rows[0]["attempts"] == number else None


async def test_during_a_rotation_both_secrets_are_good_and_then_the_new_one_alone(platform):
    developer = Developer(platform, "ten_hook_rotate")
    async with hook() as target:
        made = await developer.endpoint(target.url)
        path = f"/v1/webhook_endpoints/{made['id']}"
        rotated = await developer.send("POST", f"{path}/rotate_secret", {"expires_in": 3600})
        assert rotated["secret"] != made["secret"]
        assert rotated["previous_secret_expires_at"] > time.time() + 3000
        assert "secret" not in await developer.send("GET", path)
        await developer.happen("a")
        (heard,) = await target.count(1)
        for secret in (made["secret"], rotated["secret"]):
            stripe.Webhook.construct_event(heard.body, heard.headers["Stripe-Signature"], secret)
        assert len(heard.headers["webhook-signature"].split()) == 2
        await developer.execute(
            "UPDATE notification.webhook_endpoints SET previous_expires_at = now() WHERE id = $1",
            made["id"],
        )
        await developer.happen("b")
        heard = (await target.count(2))[1]
    stripe.Webhook.construct_event(heard.body, heard.headers["Stripe-Signature"], rotated["secret"])
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            heard.body, heard.headers["Stripe-Signature"], made["secret"]
        )


async def test_gone_disables_at_once_with_an_event_and_a_letter_and_it_can_be_enabled(platform):
    developer = Developer(platform, "ten_hook_gone")
    await developer.send("PUT", "/v1/notification_settings", {"notice_email": "ops@example.com"})
    async with hook() as target:

        async def answer(heard):
            return 410 if heard.path == "/gone" and len(target.heard) < 3 else 200

        target.answer = answer
        watch = await developer.endpoint(target.url + "/watch", "webhook_endpoint.*")
        made = await developer.endpoint(target.url + "/gone")
        await developer.happen("a")
        await until(lambda: any(item.path == "/watch" for item in target.heard))
        found = await developer.send("GET", f"/v1/webhook_endpoints/{made['id']}")
        assert (found["status"], found["disabled_reason"]) == ("disabled", "gone")
        (letter,) = (await developer.send("GET", "/v1/notifications"))["data"]
        assert letter["recipient"] == "ops@example.com"
        assert (letter["template"], letter["variables"]["reason"]) == (
            "webhook_endpoint_disabled",
            "gone",
        )
        row = await developer.delivered("canceled", f"?endpoint_id={made['id']}")
        refused = await developer.send(
            "POST", f"/v1/webhook_deliveries/{row['id']}:replay", expect=409
        )
        assert refused["reason"] == "WEBHOOK_ENDPOINT_DISABLED"
        await developer.happen("b")

        async def both_told():
            page = await developer.send("GET", "/v1/events?type=customer.created")
            return len(page["data"]) == 2

        await eventually(both_told)
        on = await developer.send(
            "POST", f"/v1/webhook_endpoints/{made['id']}", {"disabled": False}
        )
        assert (on["status"], on["disabled_reason"]) == ("enabled", None)
        await developer.send("POST", f"/v1/webhook_deliveries/{row['id']}:replay")
        await developer.delivered("succeeded", f"?endpoint_id={made['id']}")
        await developer.send("DELETE", f"/v1/webhook_endpoints/{watch['id']}")


async def test_an_endpoint_that_fails_for_three_days_is_disabled(platform):
    developer = Developer(platform, "ten_hook_failing")
    async with hook() as target:

        async def answer(_heard):
            return 503

        target.answer = answer
        made = await developer.endpoint(target.url)
        await developer.happen()
        await eventually(lambda: _attempted(developer, 1))
        found = await developer.send("GET", f"/v1/webhook_endpoints/{made['id']}")
        assert found["failing_since"] is not None
        await developer.execute(
            "UPDATE notification.webhook_endpoints SET failing_since = now() - interval '3 days'"
            " WHERE id = $1",
            made["id"],
        )
        await developer.make_due()

        async def disabled():
            found = await developer.send("GET", f"/v1/webhook_endpoints/{made['id']}")
            return found["disabled_reason"] == "failing"

        await eventually(disabled)


async def test_a_secret_that_cannot_be_opened_fails_as_anything_else_does(platform):
    developer = Developer(platform, "ten_hook_sealed")
    async with hook() as target:
        made = await developer.endpoint(target.url)
        await developer.execute(
            "UPDATE notification.webhook_endpoints SET secret = 'sealed elsewhere' WHERE id = $1",
            made["id"],
        )
        await developer.happen()
        row = await eventually(lambda: _attempted(developer, 1))
        assert "rotate it" in row["last_error"]
        await developer.send("POST", f"/v1/webhook_endpoints/{made['id']}/rotate_secret", {})
        await developer.make_due()
        await target.count(1)
    # Whoever sent the old one along would have failed again.
    assert len(target.heard[0].headers["webhook-signature"].split()) == 1


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"url": "ftp://example.com", "enabled_events": ["*"]}, "url_invalid", "url"),
        ({"url": "http://10.0.0.1/", "enabled_events": ["*"]}, "url_invalid", "url"),
        (
            {"url": "http://[::ffff:a9fe:a9fe]/", "enabled_events": ["*"]},
            "url_invalid",
            "url",
        ),
        ({"url": "https://u:p@example.com/", "enabled_events": ["*"]}, "url_invalid", "url"),
        ({"url": "https://example.com", "enabled_events": []}, "field_invalid", "enabled_events"),
        (
            {"url": "https://example.com", "enabled_events": ["*", "no.such"]},
            "event_type_unknown",
            "enabled_events[1]",
        ),
        ({"enabled_events": ["*"]}, "parameter_missing", "url"),
    ],
)
async def test_what_is_no_endpoint_is_refused(platform, body, code, param):
    developer = Developer(platform, "ten_hook_refused")
    refused = await developer.send("POST", "/v1/webhook_endpoints", body, 400)
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)
    assert (await developer.send("GET", "/v1/webhook_endpoints"))["data"] == []


async def test_live_mode_wants_https(platform):
    developer = Developer(platform, "ten_hook_https", livemode=True)
    body = {"url": "http://127.0.0.1/", "enabled_events": ["*"]}
    assert await developer.send("POST", "/v1/webhook_endpoints", body, 400)
    assert await developer.endpoint("https://127.0.0.1/", "*")


@pytest.mark.parametrize(("events", "dead"), [(1, 50)])
async def test_dead_and_slow_endpoints_delay_nobody_else(make_stores, events, dead):
    """One event to 1,000 endpoints, with and without 50 that are dead or slow."""
    number = 1000
    async with (
        running(
            await make_stores(),
            ("identity", "notification", "subscription"),
            BILLPLANE_NOTIFICATION_WEBHOOK_TIMEOUT_SECONDS="4",
        ) as platform,
        hook() as target,
        hook() as slow,
    ):
        hanging = asyncio.Event()

        async def hang(_heard):
            await hanging.wait()
            return 200

        slow.answer = hang
        developer = Developer(platform, "ten_hook_thousand")
        first = await developer.endpoint(target.url + "/0")
        await _clone(developer, first["id"], number, target.url)
        seconds = []
        for round_ in range(5):
            if round_ == 3:
                await _replace(developer, dead, slow.url)
            wanted = number if round_ < 3 else number - dead
            target.heard.clear()
            started = time.perf_counter()
            await developer.happen(f"c{round_}")
            await target.count(wanted, 30)
            seconds.append(time.perf_counter() - started)
            assert len({item.path for item in target.heard}) == wanted
        hanging.set()
        healthy, troubled = median(seconds[1:3]), min(seconds[3:])
        # A test of a busy machine; the bar of 5 % is measured by bench/webhooks.py.
        assert troubled < healthy * 1.5 + 0.5, seconds


async def _clone(developer, endpoint_id, number, url):
    """Make many endpoints of one; the secret is sealed for its place, so each gets its own."""
    state = developer.platform.platform.runtimes["notification"].state
    rows = await developer.execute(
        "SELECT * FROM notification.webhook_endpoints WHERE id = $1", endpoint_id
    )
    row = dict(rows[0])
    connection = await asyncpg.connect(developer.platform.stores.admin_url)
    copies = []
    for place in range(1, number):
        copy = dict(row, id=f"we_{place:05d}", url=f"{url}/{place}")
        place_of = ("webhook_endpoints", row["tenant_id"], copy["id"])
        copy["secret"] = state.sealer.seal(b"whsec_" + b"A" * 32, *place_of)
        copies.append(tuple(copy.values()))
    await connection.copy_records_to_table(
        "webhook_endpoints", schema_name="notification", records=copies, columns=list(row)
    )
    await connection.close()


async def _replace(developer, dead, url):
    """Let some endpoints be dead, and as many be slow, from here on."""
    await developer.execute(
        "UPDATE notification.webhook_endpoints SET url = CASE WHEN id < $1"
        " THEN 'http://127.0.0.1:9/' ELSE $3 END WHERE id LIKE 'we_0%' AND id <= $2",
        f"we_{dead // 2:05d}",
        f"we_{dead:05d}",
        url,
    )
