"""External prices: asked once a while, kept, replaced by the last good one, and billed."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from billplane.pricing.domain import read_answer
from billplane.pricing.errors import PriceAnswerInvalid
from billplane.resources import charge_models

from tests.subscription.billing import Seller, plan

JANUARY = "2026-01-15T12:00:00Z"


class Source:
    """A price list that somebody else runs."""

    def __init__(self):
        self.url = ""
        self.answer = {"price": {"each": "0.25", "currency": "EUR"}}
        self.status = 200
        self.asked = []

    async def handle(self, request):
        body = await request.json() if request.method == "POST" else dict(request.query)
        self.asked.append((request.headers.get("Authorization"), body))
        return web.Response(
            text=json.dumps(self.answer), status=self.status, content_type="application/json"
        )


@asynccontextmanager
async def serving():
    source = Source()
    app = web.Application()
    app.router.add_route("*", "/price", source.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source.url = f"http://127.0.0.1:{runner.addresses[0][1]}/price"
    try:
        yield source
    finally:
        await runner.cleanup()


@pytest.fixture
async def source():
    async with serving() as found:
        yield found


def priced_by(source, **fields):
    """Give a plan whose calls are priced by a source."""
    model = {
        "url": source.url,
        "response": {"unitAmount": "$.price.each", "currency": "$.price.currency"},
        **fields,
    }
    usage = {"meter": "calls", "model": {"external": model}}
    return plan({"name": "calls", "usage": usage})


def quote(quantity="100", at=JANUARY, **fields):
    return {"plan": "pro", "items": [{"meter": "calls", "quantity": quantity}], "at": at, **fields}


async def offering(platform, tenant, source, **fields):
    """Give a seller whose plan asks a source."""
    seller = Seller(platform, tenant)
    await seller.call(
        "POST", "/v1/plans", {"name": "pro", "spec": priced_by(source, **fields)}, 201
    )
    return seller


async def test_a_source_is_asked_with_what_is_to_be_priced_and_its_answer_is_kept(platform, source):
    seller = await offering(platform, "ten_external_asks", source, method="POST")

    answers = [await seller.call("POST", "/v1/quotes", quote()) for _ in range(3)]

    assert [answer["total_minor"] for answer in answers] == [25_00] * 3
    assert source.asked == [
        (
            None,
            {
                "meter": "calls",
                "quantity": "100",
                "dimensions": {},
                "customer": "",
                "at": JANUARY,
            },
        )
    ]
    (line,) = answers[0]["lines"]
    (kept,) = (await seller.call("GET", "/v1/external_prices?plan=pro"))["data"]
    told = line["detail"]["external_price"]
    assert (told["id"], told["stale"], line["unit_amount"]) == (kept["id"], False, "0.25")
    assert kept["asked"]["fields"]["quantity"] == "100"
    assert kept["answered"]["body"] == source.answer
    assert (kept["unit_amount"], kept["amount"]) == ("0.25", None)


async def test_a_request_may_have_other_names_and_a_token_that_nobody_reads_back(platform, source):
    fields = [{"name": "sku", "value": "Meter"}, {"name": "count", "value": "Quantity"}]
    seller = await offering(
        platform,
        "ten_external_token",
        source,
        method="GET",
        secretRef={"name": "prices", "key": "token"},
        request={"fields": fields},
    )
    refused = await seller.call("POST", "/v1/quotes", quote(), 409)
    assert refused["reason"] == "PRICE_UNAVAILABLE"
    assert source.asked == []

    secret = {"name": "prices", "key": "token", "value": "s3cret"}
    await seller.call("PUT", "/v1/price_secrets", secret, 204)
    await seller.call("POST", "/v1/quotes", quote())

    assert source.asked == [("Bearer s3cret", {"sku": "calls", "count": "100"})]
    await seller.call("DELETE", "/v1/price_secrets/prices/token", None, 204)
    gone = await seller.call("DELETE", "/v1/price_secrets/prices/token", None, 404)
    assert gone["reason"] == "PRICE_SECRET_NOT_FOUND"


async def test_the_last_good_price_serves_while_the_source_fails_and_is_marked(platform, source):
    seller = await offering(
        platform,
        "ten_external_stale",
        source,
        cacheTTL="0s",
        onFailure="LastGood",
        maxAge="1h",
    )
    fresh = await seller.call("POST", "/v1/quotes", quote("100"))
    source.status = 500

    stale = await seller.call("POST", "/v1/quotes", quote("200"))

    assert (fresh["total_minor"], stale["total_minor"]) == (25_00, 50_00)
    assert [
        answer["lines"][0]["detail"]["external_price"]["stale"] for answer in (fresh, stale)
    ] == [False, True]


@pytest.mark.parametrize(
    "answer",
    [
        {"price": {"each": "0.25", "currency": "USD"}},
        {"price": {"each": "-1", "currency": "EUR"}},
        {"price": {"each": "1e9", "currency": "EUR"}},
        {"price": {"each": None, "currency": "EUR"}},
        {"price": {"currency": "EUR"}},
        ["0.25"],
    ],
)
async def test_a_source_that_answers_no_price_is_refused(platform, source, answer, request):
    source.answer = answer
    tenant = f"ten_external_{abs(hash(request.node.name))}"
    seller = await offering(platform, tenant, source)

    refused = await seller.call("POST", "/v1/quotes", quote(), 409)

    assert (refused["reason"], refused["metadata"]["charge"]) == ("PRICE_UNAVAILABLE", "calls")
    assert (await seller.call("GET", "/v1/external_prices"))["data"] == []


async def test_a_private_address_and_a_slow_source_are_refused(platform, source):
    seller = await offering(platform, "ten_external_guard", source, timeout="1s")
    spec = priced_by(source)
    spec["charges"][0]["usage"]["model"]["external"]["url"] = "http://169.254.169.254/latest"
    await seller.call("POST", "/v1/plans", {"name": "metadata", "spec": spec}, 201)

    refused = await seller.call("POST", "/v1/quotes", quote() | {"plan": "metadata"}, 409)

    assert "not a public address" in refused["detail"]


@pytest.mark.parametrize(
    ("body", "amount"),
    [
        (b'{"a": 12.340}', "12.340"),
        (b'{"a": "0.000000000001"}', "0.000000000001"),
        (b'{"a": 7}', "7"),
        (b'{"a": 0.1e1}', "1"),
    ],
)
def test_numbers_keep_their_digits(body, amount):
    model = charge_models.External(url="https://x.example", response={"amount": "$.a"})

    assert read_answer(body, model, "EUR").amount == amount


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": true}', b'{"a": 1e999999999}', b'{"a": NaN}', b'{"a": 1e-13}', b"[" * 9999],
)
def test_what_is_no_price_is_refused(body):
    model = charge_models.External(url="https://x.example", response={"amount": "$.a"})

    with pytest.raises(PriceAnswerInvalid):
        read_answer(body, model, "EUR")


async def test_a_period_is_billed_by_the_price_of_its_end_and_stays_due_without_one(
    platform, source
):
    seller = Seller(platform, "ten_external_billed")
    meter = {"eventType": "call", "aggregation": "Sum", "valueProperty": "$.n"}
    await seller.call("POST", "/v1/meters", {"name": "calls", "spec": meter}, 201)
    await seller.sells(priced_by(source))
    await seller.subscribes()
    event = {
        "specversion": "1.0",
        "type": "call",
        "source": "tests",
        "id": "e1",
        "subject": "ada",
        "time": JANUARY,
        "data": {"n": "30"},
    }
    await seller.call("POST", "/v1/usage_events", [event], 202)
    await seller.until("2026-02-01T00:00:00Z")
    source.status = 503
    assert (await seller.bills())["errors"]
    assert await seller.invoices() == []

    source.status = 200
    await seller.bills()

    (invoice,) = await seller.invoices()
    assert invoice["net_minor"] == 7_50
    (kept,) = (await seller.call("GET", "/v1/external_prices"))["data"]
    assert kept["asked"]["fields"]["at"] == "2026-02-01T00:00:00Z"
    assert kept["asked"]["fields"]["quantity"] == "30"
