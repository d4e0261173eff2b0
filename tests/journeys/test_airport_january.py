"""The main job on real input: January 2013 of three airports becomes sixteen right invoices."""

import asyncio
import csv
import json
import tomllib
from datetime import UTC, datetime

import pytest
import yaml
from billplane.chassis.rpc import to_timestamp
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2 as fx
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2_grpc as fx_grpc

from tests.chassis.waiting import eventually
from tests.fixtures.airport import EXAMPLE
from tests.invoice.judge import broken, needs_judges
from tests.journeys.test_metered_usage_becomes_an_invoice import billed

TENANT = "ten_airport"


def _documents(name):
    return list(yaml.safe_load_all((EXAMPLE / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
async def january(platform, airport_source, tmp_path_factory):
    """Bill January as the example does; return the invoices by airline."""
    folder = tmp_path_factory.mktemp("airport")
    airport_source.prepare("2013-01", folder)

    async def call(method, path, body=None, expect=None):
        headers = platform.headers(TENANT)
        return await platform.request(method, path, json=body, headers=headers, expect=expect)

    for meter in _documents("meters.yaml"):
        await call(
            "POST", "/v1/meters", {"name": meter["metadata"]["name"], "spec": meter["spec"]}, 201
        )
    await _apply_feed(platform)
    (plan,) = _documents("billing_plan.yaml")
    await call("POST", "/v1/plans", {"name": plan["metadata"]["name"], "spec": plan["spec"]}, 201)
    document = tomllib.loads((EXAMPLE / "customers.toml").read_text(encoding="utf-8"))
    seller = document["seller"]
    await call("PUT", "/v1/tax_settings", {"country": seller["country"]}, 200)
    # Each of them has to be an e-invoice, or it is not issued at all.
    issued = {"seller": seller["invoice"], "e_invoice": "required"}
    await call("PUT", "/v1/invoice_settings", issued, 200)
    for coupon in document["coupons"]:
        await call("POST", "/v1/coupons", coupon, 201)
    clock = await call("POST", "/v1/test_clocks", {"now": "2013-01-01T05:00:00Z"}, 201)
    for customer in document["customers"]:
        subscription = customer.pop("subscription")
        await call("POST", "/v1/customers", customer | {"test_clock_id": clock["id"]}, 201)
        wanted = subscription | {"customer_id": customer["external_id"]}
        await call("POST", "/v1/subscriptions", wanted, 201)
    with (folder / "flights-2013-01.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 27_004
    for start in range(0, len(rows), 1000):
        events = [_event(row) for row in rows[start : start + 1000]]
        answer = await call("POST", "/v1/usage_events", events, 202)
        assert answer["accepted"] == len(events)
    advance = {"to": "2013-02-01T05:00:00Z"}
    await call("POST", f"/v1/test_clocks/{clock['id']}:advance", advance, 200)
    run = await billed(platform, TENANT)
    assert run["errors"] == []
    async with asyncio.timeout(180):
        invoices = []
        while len(invoices) < 16:
            invoices = (await call("GET", "/v1/invoices?limit=200", None, 200))["data"]
            await asyncio.sleep(0.1)
    return {invoice["customer"]["external_id"]: invoice for invoice in invoices}


def _event(row):
    data = {name: row[name] for name in ("distance", "origin", "dest", "cancelled")}
    attributes = {name: row[name] for name in ("id", "source", "type", "subject", "time")}
    return {"specversion": "1.0", **attributes, "data": data}


async def _apply_feed(platform):
    """Apply the feed as the operator does."""
    (feed,) = _documents("exchange_rate_feed.yaml")
    async with platform.channel() as channel:
        stub = fx_grpc.ExchangeRateServiceStub(channel)
        metadata = platform.metadata(TENANT, subject="operator")
        applied = await stub.ApplyFeed(
            fx.ApplyFeedRequest(
                uid="feed-1",
                namespace=TENANT,
                name=feed["metadata"]["name"],
                generation=1,
                spec_json=json.dumps(feed["spec"]),
            ),
            metadata=metadata,
        )
        done = await stub.RefreshFeed(fx.RefreshFeedRequest(id=applied.id), metadata=metadata)
        assert done.feed.rate_count == 257
        rate = await stub.GetRate(
            fx.GetRateRequest(
                base="EUR",
                quote="USD",
                as_of="2013-01-31",
                at=to_timestamp(datetime(2013, 2, 1, tzinfo=UTC)),
            ),
            metadata=metadata,
        )
        assert rate.rate.rate == "1.355"


async def test_sixteen_invoices_equal_the_independent_computation(january, airport_source):
    expected = airport_source.expected("2013-01")
    assert january.keys() == expected.keys()
    differing = {}
    for airline, wanted in expected.items():
        invoice = january[airline]
        found = {
            "currency": invoice["currency_code"],
            "subtotal_minor": invoice["subtotal_minor"],
            "discount_minor": invoice["discount_minor"],
            "tax_minor": invoice["tax_minor"],
            "total_minor": invoice["total_minor"],
        }
        same = {name: wanted[name] for name in found}
        if found != same:
            differing[airline] = (found, same)
    assert not differing


@needs_judges
async def test_every_invoice_keeps_the_rules_of_en_16931(january, platform):
    for invoice in january.values():
        for syntax in ("cii", "ubl"):
            url = platform.url(f"/v1/invoices/{invoice['id']}/xml?format={syntax}", 8003)
            async with platform.http.get(url, headers=platform.headers(TENANT)) as answer:
                xml = await answer.read()
                assert answer.status == 200, xml
            assert broken(xml) == [], invoice["customer"]["external_id"]


async def test_numbers_have_no_gap(january):
    numbers = sorted(invoice["number"] for invoice in january.values())
    assert numbers == [f"TEST-2013-{number:06d}" for number in range(1, 17)]


async def test_revenue_and_tax_in_the_books_equal_the_invoices(january, platform):
    wanted = {}
    for invoice in january.values():
        currency = invoice["currency_code"]
        amounts = {
            f"revenue:{currency}": invoice["net_minor"],
            f"receivables:{currency}": invoice["total_minor"],
        }
        for tax in invoice["taxes"]:
            name = f"tax_payable:{tax['jurisdiction']}:{currency}"
            amounts[name] = amounts.get(name, 0) + tax["tax_minor"]
        for name, amount in amounts.items():
            wanted[name] = wanted.get(name, 0) + amount
    headers = platform.headers(TENANT)

    async def books():
        page = await platform.request("GET", "/v1/ledger/accounts?limit=200", headers=headers)
        found = {account["external_id"]: account["balance_minor"] for account in page["data"]}
        return {name: found.get(name, 0) for name in wanted} == wanted or None

    assert sum(amount for name, amount in wanted.items() if name.startswith("revenue:")) > 0
    await eventually(books)
