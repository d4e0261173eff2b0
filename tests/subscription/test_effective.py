"""A version that is published before it is in effect: nobody is billed by it a day too early."""

from tests.chassis.waiting import eventually
from tests.subscription.billing import fee, plan


def dated(amount, effective_from, apply_to="All", billed="InArrears", **rollout):
    """Give a plan with one fee that is in effect from a day on."""
    rollout = {"applyTo": apply_to, "effectiveFrom": f"{effective_from}T00:00:00Z", **rollout}
    return plan(fee(amount, billed), rollout=rollout)


async def publishes(seller, spec, *subscriptions):
    """Publish a version and wait until subscriptions have heard of it."""
    version = (await seller.changes(spec))["version"]

    async def heard():
        held = [await seller.state(item) for item in subscriptions]
        return all(version in [own["version"] for own in one["dated_versions"]] for one in held)

    await eventually(heard)
    return version


async def test_a_version_is_taken_by_the_first_period_from_its_instant_on(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.subscribes()
    assert await publishes(seller, dated("20", "2026-03-01"), made) == 2
    assert (await seller.state(made))["next_plan_version"] is None
    await seller.until("2026-02-10T00:00:00Z")
    await seller.bills()
    held = await seller.state(made)
    assert (held["plan_version"], held["next_plan_version"]) == (1, 2)
    await seller.until("2026-05-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00, 10_00, 20_00, 20_00]
    held = await seller.state(made)
    assert (held["plan_version"], held["next_plan_version"]) == (2, None)


async def test_within_a_period_an_instant_waits_for_the_next_one(seller):
    await seller.sells(plan(fee("10", "InAdvance")))
    made = await seller.subscribes()
    await publishes(seller, dated("20", "2026-02-15", billed="InAdvance"), made)
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    # January and February at the old price, although the first fee of February was due in time.
    assert await seller.amounts() == [10_00, 10_00, 20_00, 20_00]


async def test_several_versions_come_into_effect_one_after_another(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.subscribes()
    await publishes(seller, dated("40", "2026-04-01"), made)
    await publishes(seller, dated("20", "2026-02-01"), made)
    # The third was published last and is in effect first; the second is older, and stays behind.
    await seller.until("2026-06-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00, 20_00, 20_00, 20_00, 20_00]
    await publishes(seller, dated("50", "2026-07-01"), made)
    await publishes(seller, dated("60", "2026-08-01"), made)
    await seller.until("2026-09-01T00:00:00Z")
    await seller.bills()
    assert (await seller.amounts())[5:] == [20_00, 50_00, 60_00]


async def test_an_instant_that_has_passed_means_the_next_period_and_bills_nothing_anew(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.subscribes()
    await seller.until("2026-03-10T00:00:00Z")
    await seller.bills()
    await publishes(seller, dated("20", "2025-01-01"), made)
    await seller.until("2026-05-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00, 10_00, 10_00, 20_00]


async def test_a_later_subscriber_begins_with_what_is_in_effect_then(seller):
    await seller.sells(plan(fee("10")))
    await publishes(seller, dated("20", "2026-03-01"))
    early = await seller.subscribes("early")
    late = await seller.subscribes("late", starts_at="2026-03-01T00:00:00Z")
    assert (early["plan_version"], late["plan_version"]) == (1, 2)
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    found = {}
    for invoice in await seller.invoices():
        found.setdefault(invoice["customer"]["external_id"], []).append(invoice["net_minor"])
    assert found == {"early": [10_00, 10_00, 20_00], "late": [20_00]}


async def test_a_version_for_new_ones_leaves_those_who_came_before_it(seller):
    await seller.sells(plan(fee("10")))
    await publishes(seller, dated("20", "2026-02-01", "New"))
    early, chosen = await seller.subscribes("early"), await seller.subscribes("chosen")
    selector = {"customers": ["chosen"]}
    await publishes(seller, dated("30", "2026-03-01", "Selector", selector=selector), chosen)
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    late = await seller.subscribes("late")
    assert (late["plan_version"], (await seller.state(early))["plan_version"]) == (3, 1)
    held = await seller.state(chosen)
    assert held["plan_version"] == 3


async def test_a_change_of_plan_takes_what_is_in_effect_then(seller):
    await seller.sells(plan(fee("10")))
    await seller.sells(plan(fee("100")), "big")
    await seller.changes(dated("200", "2026-02-01"), "big")
    await seller.changes(dated("300", "2026-03-01"), "big")
    now, later = await seller.subscribes("now"), await seller.subscribes("later")
    now = await seller.changes_plan(now, "big", proration="none")
    later = await seller.changes_plan(later, "big", at="period_end")
    assert (now["plan_version"], now["next_plan_version"]) == (1, 2)
    assert later["next_plan"]["plan_version"] == 2
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    found = {}
    for invoice in await seller.invoices():
        found.setdefault(invoice["customer"]["external_id"], []).append(invoice["net_minor"])
    assert found == {"now": [100_00, 200_00, 300_00], "later": [10_00, 200_00, 300_00]}


async def test_a_plan_that_is_not_in_effect_yet_is_refused_until_it_is(seller):
    await seller.sells(dated("10", "2026-02-01"))
    await seller.customer()
    body = {"customer_id": "ada", "plan": "pro"}
    problem = await seller.call("POST", "/v1/subscriptions", body, 409)
    assert problem["reason"] == "PLAN_NOT_IN_EFFECT"
    body["starts_at"] = "2026-02-01T00:00:00Z"
    made = await seller.call("POST", "/v1/subscriptions", body, 201)
    assert made["plan_version"] == 1
    quote = {"plan": "pro", "items": []}
    problem = await seller.call("POST", "/v1/quotes", {**quote, "at": "2026-01-31T00:00:00Z"}, 409)
    assert problem["reason"] == "PLAN_NOT_IN_EFFECT"
    await seller.call("POST", "/v1/quotes", {**quote, "at": "2026-02-01T00:00:00Z"})
