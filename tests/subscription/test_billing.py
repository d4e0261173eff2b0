"""Billing runs, cancelling, fees in advance, versions: what is on which invoice."""

import asyncio

import pytest
from billplane.subscription.service.billing import bill_due
from sqlalchemy import text

from tests.journeys.test_metered_usage_becomes_an_invoice import billed
from tests.subscription.billing import Seller, fee, plan


async def test_a_run_again_bills_nothing_again(seller):
    await seller.sells(plan(fee("31")))
    await seller.subscribes()
    assert (await seller.bills())["invoiced"] == 0
    await seller.until("2026-02-01T00:00:00Z")
    assert (await seller.bills())["invoiced"] == 1
    assert (await seller.bills())["invoiced"] == 0
    assert await seller.amounts() == [31_00]


async def test_six_runs_at_once_make_one_invoice_for_each_period(seller):
    await seller.sells(plan(fee("31")))
    names = [f"c{number}" for number in range(5)]
    for name in names:
        await seller.subscribes(name)
    await seller.until("2026-04-01T00:00:00Z")
    runs = await asyncio.gather(*(seller.bills() for _ in range(6)))
    assert sum(run["invoiced"] for run in runs) == 15
    assert all(run["errors"] == [] for run in runs)
    periods = [
        (invoice["customer"]["external_id"], invoice["period_starts_at"][:10])
        for invoice in await seller.invoices()
    ]
    months = ("2026-01-01", "2026-02-01", "2026-03-01")
    assert sorted(periods) == sorted((name, month) for name in names for month in months)


async def test_overdue_periods_are_caught_up_in_order(seller):
    await seller.sells(plan(fee("31")))
    await seller.subscribes()
    await seller.until("2026-05-01T00:00:00Z")
    run = await seller.bills(at="2026-03-15T00:00:00Z")
    assert run["invoiced"] == 2
    assert (await seller.bills())["invoiced"] == 2
    found = await seller.invoices()
    starts = [invoice["period_starts_at"][:7] for invoice in found]
    assert starts == ["2026-01", "2026-02", "2026-03", "2026-04"]
    numbers = [invoice["number"] for invoice in found]
    assert numbers == [f"TEST-2026-{number:06d}" for number in (1, 2, 3, 4)]


async def test_a_failing_subscription_is_listed_and_stops_no_other(seller):
    await seller.sells(plan(fee("31")))
    for name in ("good", "poor", "also-good"):
        await seller.subscribes(name)
    # The plan is not priced in what the customer pays in by now.
    await seller.call("PATCH", "/v1/customers/poor", {"currency_code": "USD"})
    await seller.until("2026-02-01T00:00:00Z")
    run = await seller.bills()
    assert (run["state"], run["invoiced"], run["failed"]) == ("failed", 2, 1)
    assert [error["reason"] for error in run["errors"]] == ["CURRENCY_NOT_PRICED"]
    await seller.call("PATCH", "/v1/customers/poor", {"currency_code": "EUR"})
    again = await seller.bills()
    assert (again["state"], again["invoiced"], again["errors"]) == ("done", 1, [])


async def test_what_nobody_foresaw_stops_no_other_and_is_tried_again(seller, monkeypatch):
    await seller.sells(plan(fee("31")))
    poor, good = await seller.subscribes("poor"), await seller.subscribes("good")

    async def failing(runtime, principal, subscription_id, **options):
        if subscription_id == poor["id"]:
            raise RuntimeError("a fault of ours")
        return await bill_due(runtime, principal, subscription_id, **options)

    await seller.until("2026-02-01T00:00:00Z")
    monkeypatch.setattr("billplane.subscription.service.runs.bill_due", failing)
    run = await seller.call("POST", "/v1/billing_runs", {}, 202)
    for _ in range(100):
        if await seller.invoices():
            break
        await asyncio.sleep(0.1)
    (invoice,) = await seller.invoices()
    assert invoice["subscription_id"] == good["id"]
    monkeypatch.undo()
    for _ in range(100):
        run = await seller.call("GET", f"/v1/billing_runs/{run['id']}")
        if run["state"] != "running":
            break
        await asyncio.sleep(0.1)
    assert (run["state"], run["invoiced"], run["errors"]) == ("done", 2, [])


async def test_a_run_bills_the_customers_it_names(seller):
    await seller.sells(plan(fee("31")))
    for name in ("ada", "bea"):
        await seller.subscribes(name)
    await seller.until("2026-02-01T00:00:00Z")
    assert (await seller.bills(customer_ids=["bea"]))["invoiced"] == 1
    (invoice,) = await seller.invoices()
    assert invoice["customer"]["external_id"] == "bea"
    refused = await seller.call("POST", "/v1/billing_runs", {"customer_ids": ["nobody"]}, 404)
    assert refused["reason"] == "CUSTOMER_NOT_FOUND"


async def test_a_run_may_leave_drafts(seller):
    await seller.sells(plan(fee("31")))
    await seller.subscribes()
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills(finalize=False)
    (invoice,) = await seller.invoices()
    assert (invoice["state"], invoice["number"]) == ("draft", None)


async def test_a_preview_stores_nothing(seller):
    await seller.sells(plan(fee("31")))
    made = await seller.subscribes()
    await seller.until("2026-01-15T00:00:00Z")
    seen = await seller.call("GET", f"/v1/subscriptions/{made['id']}:preview")
    assert seen["net_minor"] == 31_00
    assert await seller.invoices() == []
    assert await seller.call("GET", f"/v1/subscriptions/{made['id']}") == made


async def test_cancelled_at_the_end_of_its_period_it_is_billed_whole_and_ends(seller):
    await seller.sells(plan(fee("31")))
    made = await seller.subscribes()
    await seller.until("2026-01-11T00:00:00Z")
    canceled = await seller.cancel(made, at_period_end=True)
    assert (canceled["state"], canceled["cancel_at"]) == ("active", "2026-02-01T00:00:00Z")
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [31_00]
    ended = await seller.call("GET", f"/v1/subscriptions/{made['id']}")
    assert (ended["state"], ended["ended_at"]) == ("ended", "2026-02-01T00:00:00Z")
    refused = await seller.call("POST", f"/v1/subscriptions/{made['id']}:cancel", None, 409)
    assert refused["reason"] == "SUBSCRIPTION_ENDED"


async def test_cancelled_now_the_days_so_far_are_billed(seller):
    await seller.sells(plan(fee("31")))
    made = await seller.subscribes()
    await seller.until("2026-01-11T00:00:00Z")
    assert (await seller.cancel(made, at_period_end=False))["state"] == "canceled"
    await seller.bills()
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00]


@pytest.mark.parametrize(
    ("at_period_end", "expected"),
    [(False, [31_00, 31_00, 10_00]), (True, [31_00, 31_00, 31_00])],
)
async def test_periods_that_were_overdue_when_it_was_cancelled_are_billed(
    seller, at_period_end, expected
):
    await seller.sells(plan(fee("31")))
    made = await seller.subscribes()
    await seller.until("2026-03-11T00:00:00Z")
    await seller.cancel(made, at_period_end=at_period_end)
    await seller.until("2026-06-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == expected


async def test_a_trial_is_free_and_the_first_period_follows_it(seller):
    await seller.sells(plan(fee("31"), trial="240h"))
    made = await seller.subscribes()
    assert (made["state"], made["trial_ends_at"]) == ("trialing", "2026-01-11T00:00:00Z")
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [21_00]


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_a_trial_that_is_cancelled_costs_nothing(seller, at_period_end):
    await seller.sells(plan(fee("31"), fee("5", "InAdvance"), trial="240h"))
    made = await seller.subscribes()
    await seller.until("2026-01-05T00:00:00Z")
    await seller.cancel(made, at_period_end=at_period_end)
    await seller.until("2026-06-01T00:00:00Z")
    assert (await seller.bills())["invoiced"] == 0
    assert await seller.amounts() == []


async def test_fees_in_advance_are_due_at_the_start_and_with_each_period(seller):
    await seller.sells(plan(fee("62", "InAdvance"), fee("31")))
    made = await seller.subscribes(starts_at="2026-01-16T00:00:00Z")
    assert (await seller.bills())["invoiced"] == 0
    await seller.until("2026-01-16T00:00:00Z")
    assert (await seller.bills())["invoiced"] == 1
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    await seller.cancel(made, at_period_end=True)
    await seller.until("2026-05-01T00:00:00Z")
    await seller.bills()
    # 16 of 31 days in advance; then 16 days in arrears and February ahead; then arrears alone.
    assert await seller.amounts() == [32_00, 62_00 + 16_00, 31_00]


async def published(seller, spec, apply_to, subscription, version, customers=()):
    """Publish a version and wait until the subscription has heard of it."""
    rollout = {"applyTo": apply_to}
    if customers:
        rollout["selector"] = {"customers": list(customers)}
    made = await seller.changes({**spec, "rollout": rollout})
    assert made["version"] == version
    runtime = seller.platform.platform.runtimes["subscription"]
    async with asyncio.timeout(15):
        while True:
            async with runtime.database.across_tenants("reader") as session:
                found = await session.scalar(
                    text("SELECT next_plan_version FROM subscription.subscriptions WHERE id = :id"),
                    {"id": subscription["id"]},
                )
            if found == version:
                return
            await asyncio.sleep(0.05)


async def test_fees_in_advance_are_billed_once_however_often_asked(seller):
    await seller.sells(plan(fee("62", "InAdvance")))
    await seller.subscribes()
    runs = await asyncio.gather(*(seller.bills() for _ in range(4)))
    assert sum(run["invoiced"] for run in runs) == 1
    (invoice,) = await seller.invoices()
    assert (invoice["net_minor"], invoice["period_starts_at"]) == (62_00, None)
    (line,) = invoice["lines"]
    assert (line["starts_at"], line["ends_at"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


async def test_a_version_for_all_is_taken_with_the_next_period(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.subscribes()
    await published(seller, plan(fee("20")), "All", made, 2)
    await seller.until("2026-03-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00, 20_00]
    assert (await seller.call("GET", f"/v1/subscriptions/{made['id']}"))["plan_version"] == 2


async def test_a_version_for_new_and_chosen_ones_leaves_the_others(seller):
    await seller.sells(plan(fee("10")))
    old, chosen = await seller.subscribes("old"), await seller.subscribes("chosen")
    await seller.changes({**plan(fee("15")), "rollout": {"applyTo": "New"}})
    new = await seller.subscribes("new")
    assert (old["plan_version"], new["plan_version"]) == (1, 2)
    await published(seller, plan(fee("20")), "Selector", chosen, 3, ["chosen"])
    await seller.until("2026-03-01T00:00:00Z")
    await seller.bills()
    found = {}
    for invoice in await seller.invoices():
        found.setdefault(invoice["customer"]["external_id"], []).append(invoice["net_minor"])
    assert found == {"old": [1000, 1000], "chosen": [1000, 2000], "new": [1500, 1500]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # January at the start; February ahead with January, at its own version's price.
        (fee("10", "InAdvance"), fee("20", "InAdvance"), [10_00, 20_00, 20_00, 20_00]),
        # January in arrears, and February ahead: no month is left out.
        (fee("10"), fee("20", "InAdvance"), [10_00 + 20_00, 20_00, 20_00]),
        # January was paid at the start, February is in arrears: no month is paid twice.
        (fee("10", "InAdvance"), fee("20"), [10_00, 0, 20_00, 20_00]),
    ],
    ids=["dearer", "to-advance", "to-arrears"],
)
async def test_fees_in_advance_are_those_of_the_version_they_pay_for(
    seller, before, after, expected
):
    await seller.sells(plan(before))
    made = await seller.subscribes()
    await seller.bills()
    spec = plan(after)
    await published(seller, spec, "All", made, 2)
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == expected


async def test_a_version_with_another_interval_goes_on_where_the_last_ended(seller):
    await seller.sells(plan(fee("365")))
    made = await seller.subscribes()
    yearly = {**plan(fee("365")), "interval": {"unit": "Year", "anchor": "Calendar"}}
    await published(seller, yearly, "All", made, 2)
    await seller.until("2027-01-01T00:00:00Z")
    await seller.bills()
    spans = [
        (invoice["period_starts_at"][:10], invoice["period_ends_at"][:10])
        for invoice in await seller.invoices()
    ]
    assert spans == [
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
        ("2026-03-01", "2027-01-01"),
    ]
    # 306 of the year's 365 days.
    assert (await seller.amounts())[-1] == 306_00


async def test_a_test_clock_is_billed_by_itself_without_waiting(platform):
    seller = Seller(platform, "ten_subscription_automatic")
    await seller.sells(plan(fee("31")))
    await seller.subscribes()
    await seller.until("2026-02-01T00:00:00Z")
    for _ in range(300):
        if await seller.invoices():
            break
        await asyncio.sleep(0.1)
    assert (await billed(platform, seller.tenant))["invoiced"] == 0
    assert await seller.amounts() == [31_00]
