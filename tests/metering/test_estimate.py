"""The estimate: everything acknowledged so far, priced as if the period ended now."""

from datetime import datetime, timedelta

import pytest

from tests.metering.usage import event

USAGE = {"name": "calls", "usage": {"meter": "units", "model": {"perUnit": {"unitAmount": "0.10"}}}}


async def plan(usage, *charges, name="pro", **values):
    spec = {"currency": "EUR", "interval": {"unit": "Month", "anchor": "Calendar"}, **values}
    spec["charges"] = list(charges)
    return await usage.request("POST", "/v1/plans", 201, json={"name": name, "spec": spec})


async def estimate(usage, customer="ada", expect=200):
    return await usage.request("GET", f"/api/v1/billing/{customer}", expect)


async def test_the_default_plan_prices_what_a_moment_ago_was_acknowledged(usage):
    await usage.meter()
    made = await plan(usage, USAGE, default=True)
    await usage.send(*(event(number, time=None, data={"units": 2.5}) for number in range(4)))
    await usage.kept(quantity=5)
    found = await estimate(usage)
    (line,) = found["lines"]
    assert (line["resource_type"], line["quantity"], line["amount_minor"]) == (
        "api.request",
        "15",
        150,
    )
    assert (found["subtotal_minor"], found["total_minor"]) == (150, 150)
    assert found["currency_code"] == "EUR"
    assert found["plan"] == {"id": made["id"], "version": 1}
    assert found["estimated"] is True
    await usage.kept(quantity=1)
    assert (await estimate(usage))["total_minor"] == 160


async def test_without_a_plan_there_is_no_estimate(usage):
    assert (await estimate(usage, expect=404))["reason"] == "PLAN_NOT_FOUND"


@pytest.mark.parametrize(("unit", "days"), [("Day", {1}), ("Week", {7}), ("Year", {365, 366})])
async def test_the_default_plans_own_interval_is_the_period(usage, unit, days):
    await usage.meter()
    await plan(usage, USAGE, default=True, interval={"unit": unit, "anchor": "Calendar"})
    found = await estimate(usage)
    starts_at, ends_at = (
        datetime.fromisoformat(found["period"][name]) for name in ("starts_at", "ends_at")
    )
    assert (ends_at - starts_at) // timedelta(days=1) in days
    assert starts_at <= datetime.fromisoformat(found["calculated_at"]) < ends_at


async def test_a_subscriber_is_priced_under_every_name_on_the_version_it_has(usage):
    await usage.meter(groupBy=[{"name": "region", "property": "$.region"}])
    by_region = {**USAGE, "usage": {**USAGE["usage"], "groupBy": ["region"]}}
    only_eu = {
        "name": "eu-calls",
        "usage": {
            "meter": "units",
            "filter": [{"property": "region", "in": ["eu"]}],
            "model": {"perUnit": {"unitAmount": "1"}},
        },
    }
    await plan(usage, by_region, only_eu)
    clock = await usage.request(
        "POST", "/v1/test_clocks", 201, json={"now": "2026-01-20T00:00:00Z"}
    )
    body = {"name": "Ada", "external_id": "ada", "test_clock_id": clock["id"]}
    customer = await usage.request("POST", "/v1/customers", 201, json=body)
    body = {"customer_id": "ada", "plan": "pro"}
    await usage.request("POST", "/v1/subscriptions", 201, json=body)
    times = {"2026-01-20T01:00:00Z": 1, "2026-01-31T23:59:59Z": 2, "2026-02-01T00:00:00Z": 100}
    for number, (at, units) in enumerate(times.items()):
        for region in ("eu", "us"):
            subject = customer["id"] if region == "us" else "ada"
            data = {"units": units, "region": region}
            await usage.send(event(f"{number}{region}", subject, time=at, data=data))
    for name in ("ada", customer["id"]):
        found = await estimate(usage, name)
        lines = [(line["quantity"], line["amount_minor"]) for line in found["lines"]]
        assert lines == [("3", 30), ("3", 30), ("3", 300)]
        assert found["period"]["ends_at"] == "2026-02-01T00:00:00Z"


async def test_models_that_need_single_events_or_hours_are_estimated_too(usage):
    await usage.meter()
    await usage.meter("most", aggregation="Max")
    await usage.meter("mean", aggregation="Average")
    grid = [[0] * 12 + [1] * 12] * 12
    periods = [{"name": "night", "unitAmount": "1"}, {"name": "day", "unitAmount": "1"}]
    by_hour = {"timeZone": "Etc/UTC", "periods": periods, "weekday": grid, "weekend": grid}
    models = {
        "fees": ("units", {"percentage": {"rate": "0.5", "fixedAmount": "1"}}),
        "peak": ("most", {"perUnit": {"unitAmount": "1"}}),
        "average": ("mean", {"perUnit": {"unitAmount": "1"}}),
        "hours": ("units", {"timeOfUse": by_hour}),
    }
    charges = [
        {"name": name, "usage": {"meter": meter, "model": model}}
        for name, (meter, model) in models.items()
    ]
    await plan(usage, *charges, default=True, interval={"unit": "Week", "anchor": "Calendar"})
    await usage.send(*(event(number, time=None, data={"units": number}) for number in (2, 4)))
    found = await estimate(usage)
    # 2 × 1 + half of 6; the greater; the mean; 6 at 1 whatever the hour.
    assert found["subtotal_minor"] == 500 + 400 + 300 + 600


async def test_a_plan_on_a_meter_that_is_not_there_says_so(usage):
    await plan(usage, USAGE, default=True)
    assert (await estimate(usage, expect=404))["reason"] == "METER_NOT_FOUND"


async def test_an_estimate_wants_its_scope(usage):
    usage.headers = usage.platform.headers(usage.tenant, scopes=("usage:write",))
    assert (await estimate(usage, expect=403))["reason"] == "SCOPE_MISSING"
