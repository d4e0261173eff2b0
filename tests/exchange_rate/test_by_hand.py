"""Rates by hand: they win over feeds while they hold, and those that deviate need two people."""

import asyncio

import grpc
import pytest
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2 as pb
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2_grpc

FEED = {
    "base": "EUR",
    "currencies": ["USD", "GBP"],
    "maxDeviation": "0.10",
    "source": {
        "static": {
            "rates": [
                {"quote": "USD", "rate": "1.20", "asOf": "2013-01-02"},
                {"quote": "GBP", "rate": "0.80", "asOf": "2013-01-02"},
            ]
        }
    },
}


class Rates:
    """Rates of a tenant of the test's own."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant

    async def request(self, method, path, expect=200, subject="user:usr_ada", **options):
        headers = self.platform.headers(
            self.tenant, subject=subject, livemode=options.pop("livemode", False)
        )
        return await self.platform.request(
            method,
            path,
            expect=expect,
            headers={**headers, **options.pop("headers", {})},
            **options,
        )

    async def feed(self, name="fx", **change):
        spec = {**FEED, **change}
        body = {"name": name, "spec": {name: each for name, each in spec.items() if each}}
        await self.request("POST", "/v1/exchange_rate_feeds", 201, json=body)
        await self.request("POST", f"/v1/exchange_rate_feeds/{name}:refresh")

    async def record(self, rate, expect=201, subject="user:usr_ada", livemode=False, **values):
        body = {
            "base": "EUR", "quote": "USD", "rate": rate, "as_of": "2013-02-01",
            "reason": "treasury", **values,
        }  # fmt: skip
        return await self.request(
            "POST", "/v1/exchange_rates", expect, subject, json=body, livemode=livemode
        )

    async def rate(self, pair="EUR/USD", as_of="2013-02-10", expect=200, **options):
        feed = f"&feed={options.pop('feed')}" if "feed" in options else ""
        path = f"/v1/exchange_rates/{pair}?as_of={as_of}{feed}"
        found = await self.request("GET", path, expect, **options)
        return found["rate"] if expect == 200 else found["reason"]


@pytest.fixture
def rates(platform, request):
    """Give rates of a tenant."""
    return Rates(platform, f"ten_{request.node.name}"[:200])


async def test_a_rate_by_hand_wins_from_its_day_on_until_its_end(rates):
    await rates.feed()
    made = await rates.record("1.25", until="2013-03-01")
    assert (made["feed_id"], made["state"], made["actor"]) == ("manual", "usable", "user:usr_ada")
    days = ("2013-01-31", "2013-02-01", "2013-02-28", "2013-03-01")
    assert [await rates.rate(as_of=day) for day in days] == ["1.2", "1.25", "1.25", "1.2"]
    # Also where a plan names its feed, the other way round, and as a leg of a cross.
    assert await rates.rate(feed="fx") == "1.25"
    assert await rates.rate("USD/EUR") == "0.8"
    found = await rates.request("GET", "/v1/exchange_rates/GBP/USD?as_of=2013-02-10")
    assert (found["rate"], len(found["rate_ids"])) == ("1.5625", 2)
    assert made["id"] in found["rate_ids"]
    listed = await rates.request("GET", "/v1/exchange_rates?by_hand=true")
    assert [(row["id"], row["until"], row["reason"]) for row in listed["data"]] == [
        (made["id"], "2013-03-01", "treasury")
    ]
    # A later one takes the place of an earlier one.
    await rates.record("1.26", as_of="2013-02-05")
    assert [await rates.rate(as_of=day) for day in ("2013-02-04", "2013-03-01")] == ["1.25", "1.26"]


async def test_one_that_deviates_too_far_waits_for_somebody_else(rates):
    await rates.feed()
    refused = await rates.record("1.33", expect=409)
    assert (refused["reason"], refused["field"]) == ("RATE_DEVIATES", "rate")
    assert refused["metadata"]["max_deviation"] == "0.10"
    assert await rates.rate() == "1.2"
    proposed = await rates.record("1.33", propose=True)
    assert (proposed["held_back"], proposed["state"]) == (True, "held_back")
    assert await rates.rate() == "1.2"
    held = await rates.request("GET", "/v1/exchange_rates?held_back=true")
    assert [row["id"] for row in held["data"]] == [proposed["id"]]
    path = f"/v1/exchange_rates/{proposed['id']}:approve"
    assert (await rates.request("POST", path, 403))["reason"] == "APPROVAL_BY_AUTHOR"
    done = await rates.request("POST", path, subject="user:usr_bob", json={"reason": "seen it too"})
    assert (done["state"], done["approved_by"]) == ("usable", "user:usr_bob")
    assert await rates.rate() == "1.33"
    again = await rates.request("POST", path, 409, subject="user:usr_eve")
    assert again["reason"] == "RATE_NOT_HELD_BACK"
    # What is within the allowed jump of the rate by hand needs nobody.
    assert (await rates.record("1.40", as_of="2013-02-03"))["state"] == "usable"


async def test_a_withdrawn_rate_holds_no_more(rates):
    await rates.feed()
    made = await rates.record("1.25")
    path = f"/v1/exchange_rates/{made['id']}:withdraw"
    assert (await rates.request("POST", path))["state"] == "withdrawn"
    # Earlier documents stay explained; from today on the feed is back.
    assert await rates.rate() == "1.25"
    today = (await rates.request("GET", "/v1/exchange_rates/EUR/USD"))["rate"]
    assert today == "1.2"
    assert (await rates.request("POST", path, 409))["reason"] == "RATE_WITHDRAWN"
    shown = await rates.request("GET", f"/v1/exchange_rates/{made['id']}")
    assert shown["state"] == "withdrawn"
    (of_feed,) = [
        row for row in (await rates.request("GET", "/v1/exchange_rates?quote=USD"))["data"]
        if row["feed_id"] != "manual"
    ]  # fmt: skip
    path = f"/v1/exchange_rates/{of_feed['id']}:withdraw"
    assert (await rates.request("POST", path, 409))["reason"] == "RATE_NOT_BY_HAND"


async def test_a_feeds_rate_that_was_held_back_is_used_once_approved(rates):
    days = [("2013-01-02", "1.20"), ("2013-01-03", "1.50"), ("2013-01-04", "1.51")]
    given = [{"quote": "USD", "rate": rate, "asOf": day} for day, rate in days]
    await rates.feed(currencies=["USD"], source={"static": {"rates": given}})
    assert await rates.rate() == "1.2"
    held = (await rates.request("GET", "/v1/exchange_rates?held_back=true"))["data"]
    held.sort(key=lambda row: row["as_of"])
    assert [row["rate"] for row in held] == ["1.5", "1.51"]
    await rates.request("POST", f"/v1/exchange_rates/{held[1]['id']}:approve")
    assert [await rates.rate(as_of=day) for day in ("2013-01-03", "2013-01-04")] == ["1.2", "1.51"]


async def test_rates_by_hand_alone_are_crossed_and_so_are_two_feeds(rates):
    await rates.record("100", quote="JPY")
    await rates.record("2", base="XAF", quote="JPY")
    assert await rates.rate("EUR/XAF") == "50"
    await rates.feed()
    await rates.feed(
        "other", base="USD", currencies=["MXN"], maxDeviation=None,
        source={"static": {"rates": [{"quote": "MXN", "rate": "20", "asOf": "2013-01-02"}]}},
    )  # fmt: skip
    found = await rates.request("GET", "/v1/exchange_rates/EUR/MXN?as_of=2013-02-10")
    assert (found["rate"], found["feed"], len(found["rate_ids"])) == ("24", "fx other", 2)


async def test_modes_and_tenants_keep_their_rates(rates, platform):
    await rates.feed()
    await rates.record("1.25")
    assert await rates.rate(livemode=True) == "1.2"
    stranger = Rates(platform, "ten_rates_of_a_stranger")
    assert await stranger.rate(expect=404) == "RATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"rate": "0"}, "OUT_OF_RANGE", "rate"),
        ({"rate": "-1"}, "DECIMAL_INVALID", "/rate"),
        ({"rate": 1.25}, "NUMBER_NOT_QUOTED", "/rate"),
        ({"rate": "NaN"}, "DECIMAL_INVALID", "/rate"),
        ({"quote": "EUR"}, "FIELD_INVALID", "quote"),
        ({"quote": "ABC"}, "CURRENCY_UNKNOWN", "quote"),
        ({"until": "2013-02-01"}, "FIELD_INVALID", "until"),
        ({"reason": ""}, "FIELD_TOO_SHORT", "/reason"),
        ({"actor": "user:usr_eve"}, "FIELD_UNKNOWN", "/actor"),
    ],
)
async def test_a_bad_rate_is_refused_by_name(rates, values, reason, field):
    problem = await rates.record(values.pop("rate", "1.25"), expect=422, **values)
    assert (problem["reason"], problem["field"]) == (reason, field)
    assert (await rates.request("GET", "/v1/exchange_rates"))["data"] == []


async def test_of_many_approvals_at_once_one_is_given(rates):
    await rates.feed()
    proposed = await rates.record("2", propose=True)
    path = f"/v1/exchange_rates/{proposed['id']}:approve"

    async def approve(number):
        headers = rates.platform.headers(rates.tenant, subject=f"user:usr_{number}")
        async with rates.platform.http.post(rates.platform.url(path), headers=headers) as answer:
            return answer.status

    found = await asyncio.gather(*(approve(number) for number in range(12)))
    assert sorted(found) == [200] + [409] * 11


async def test_a_tenant_enables_disables_and_chooses_its_default_currency(rates):
    await rates.feed()
    listed = {item["code"]: item for item in (await rates.request("GET", "/v1/currencies"))["data"]}
    assert listed["JPY"] == {
        "code": "JPY", "name": "Yen", "minor_units": 0, "enabled": True, "default": False,
    }  # fmt: skip
    body = {"amount_minor": 100, "currency_code": "EUR", "as_of": "2013-02-10"}
    refused = await rates.request("POST", "/v1/exchange_rates:convert", 422, json=body)
    assert (refused["reason"], refused["field"]) == ("FIELD_REQUIRED", "to")
    await rates.request("PATCH", "/v1/currencies/GBP", json={"default": True})
    await rates.request("PATCH", "/v1/currencies/USD", json={"default": True})
    converted = await rates.request("POST", "/v1/exchange_rates:convert", json=body)
    assert (converted["amount_minor"], converted["currency_code"]) == (120, "USD")
    change = {"enabled": False}
    refused = await rates.request("PATCH", "/v1/currencies/USD", 409, json=change)
    assert refused["reason"] == "CURRENCY_IS_DEFAULT"
    assert not (await rates.request("PATCH", "/v1/currencies/GBP", json=change))["enabled"]
    assert await rates.rate("EUR/GBP", expect=409) == "CURRENCY_DISABLED"
    refused = await rates.request("PATCH", "/v1/currencies/GBP", 409, json={"default": True})
    assert refused["reason"] == "CURRENCY_DISABLED"
    unknown = await rates.request("PATCH", "/v1/currencies/ABC", 422, json=change)
    assert unknown["reason"] == "CURRENCY_UNKNOWN"
    await rates.request("PATCH", "/v1/currencies/GBP", json={"enabled": True})
    assert await rates.rate("EUR/GBP") == "0.8"


async def test_grpc_records_approves_withdraws_and_sets_alike(rates, platform):
    await rates.feed()
    async with platform.channel() as channel:
        stub = exchange_rate_pb2_grpc.ExchangeRateServiceStub(channel)
        ada = platform.metadata(rates.tenant, subject="user:usr_ada")
        bob = platform.metadata(rates.tenant, subject="user:usr_bob")
        request = pb.RecordRateRequest(
            request_id="r1", base="EUR", quote="USD", rate="3", as_of="2013-02-01", reason="why",
            propose=True,
        )  # fmt: skip
        made = [(await stub.RecordRate(request, metadata=ada)).rate for _ in range(2)]
        assert made[0] == made[1]
        assert (made[0].state, made[0].actor) == ("held_back", "user:usr_ada")
        approval = pb.ApproveRateRequest(id=made[0].id)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ApproveRate(approval, metadata=ada)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (await stub.ApproveRate(approval, metadata=bob)).rate.state == "usable"
        assert await rates.rate() == "3"
        withdrawn = await stub.WithdrawRate(pb.WithdrawRateRequest(id=made[0].id), metadata=ada)
        assert withdrawn.rate.state == "withdrawn"
        change = pb.SetCurrencyRequest(code="CHF", enabled=False)
        assert not (await stub.SetCurrency(change, metadata=ada)).currency.enabled
        found = await stub.ListCurrencies(pb.ListCurrenciesRequest(), metadata=ada)
        assert [item.code for item in found.currencies if not item.enabled] == ["CHF"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RecordRate(
                pb.RecordRateRequest(base="EUR", quote="USD", rate="1e5", reason="x"), metadata=ada
            )
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
