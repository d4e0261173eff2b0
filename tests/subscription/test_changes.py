"""Changes of plan: what is credited, what is charged, and on which invoice."""

from fractions import Fraction

import pytest

from tests.subscription.billing import fee, plan

IN_ADVANCE, IN_ARREARS = "fee-inadvance", "fee-inarrears"


def half_up(amount):
    return int(amount * 2 + 1) // 2


def share(minor, days, whole):
    """An amount for some days of a whole, by hand."""
    return half_up(Fraction(minor * days, whole))


@pytest.fixture
async def tiers(seller):
    """Three plans in advance on one clock at New Year."""
    await seller.sells(plan(fee("31.00", "InAdvance")), "basic")
    await seller.sells(plan(fee("62.00", "InAdvance")), "team")
    await seller.sells(plan(fee("93.10", "InAdvance")), "large")
    return seller


async def test_a_dearer_plan_now_is_credited_and_charged_by_the_day_on_the_next_invoice(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-11T09:30:00Z")
    shown = await tiers.changes_plan(made, "team", verb="preview_change")
    assert [item["amount_minor"] for item in shown["items"]] == [-21_00, 42_00]
    assert (shown["total_minor"], shown["billed"]) == (21_00, "next_invoice")
    changed = await tiers.changes_plan(made, "team")
    assert (changed["plan_name"], changed["current_period_ends_at"][:10]) == ("team", "2026-02-01")
    await tiers.bills()
    assert await tiers.amounts() == [31_00]
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 62_00 - 21_00 + 42_00]
    starts = [line["starts_at"][:10] for line in (await tiers.invoices())[1]["lines"]]
    assert starts == ["2026-02-01", "2026-01-11", "2026-01-11"]


async def test_a_preview_before_the_first_fees_are_billed_is_what_the_change_then_does(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.until("2026-01-08T00:00:00Z")
    shown = await tiers.changes_plan(made, "large", verb="preview_change", proration="create")
    assert await tiers.invoices() == []
    await tiers.changes_plan(made, "large")
    assert await tiers.amounts() == [31_00]
    page = await tiers.call("GET", f"/v1/invoice_items?subscription_id={made['id']}&waiting=true")
    found = sorted(item["amount_minor"] for item in page["data"])
    assert found == [item["amount_minor"] for item in shown["items"]]
    assert shown["items"][0]["amount_minor"] == -share(31_00, 24, 31)
    assert shown["items"][1]["amount_minor"] == share(93_10, 24, 31)


async def test_always_invoice_bills_the_difference_at_once(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-16T00:00:00Z")
    await tiers.changes_plan(made, "team", proration="always_invoice")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 32_00 - 16_00]
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 16_00, 62_00]


async def test_without_proration_the_new_plan_is_paid_from_the_next_period_on(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-16T00:00:00Z")
    await tiers.changes_plan(made, "team", proration="none")
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 62_00]


async def test_at_the_periods_end_nothing_is_prorated(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-16T00:00:00Z")
    waiting = await tiers.changes_plan(made, "team", at="period_end")
    assert (waiting["plan_name"], waiting["next_plan"]["plan_name"]) == ("basic", "team")
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 62_00]
    now = await tiers.state(made)
    assert (now["plan_name"], now["next_plan"]) == ("team", None)


async def test_there_and_back_within_a_day_costs_nothing(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-12T01:00:00Z")
    await tiers.changes_plan(made, "large")
    await tiers.until("2026-01-12T23:00:00Z")
    await tiers.changes_plan(made, "basic")
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 31_00]


async def test_three_plans_in_a_month_each_cost_their_days(tiers):
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    for day, name in (("05", "large"), ("20", "team")):
        await tiers.until(f"2026-01-{day}T12:00:00Z")
        await tiers.changes_plan(made, name)
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    large = share(93_10, 27, 31)
    expected = -share(31_00, 27, 31) + large - share(large, 12, 27) + share(62_00, 12, 31) + 62_00
    assert await tiers.amounts() == [31_00, expected]


async def test_a_credit_larger_than_the_invoice_waits_for_the_next(tiers):
    made = await tiers.subscribes(plan="large")
    await tiers.bills()
    await tiers.until("2026-01-02T00:00:00Z")
    await tiers.changes_plan(made, "basic", proration="always_invoice")
    await tiers.bills()
    credit, charge = share(93_10, 30, 31), share(31_00, 30, 31)
    for month in ("02", "03", "04"):
        await tiers.until(f"2026-{month}-01T00:00:00Z")
        await tiers.bills()
    owed = 3 * 31_00 + charge - credit
    assert (
        await tiers.amounts()
        == [93_10, 0, 0, owed - 31_00 if owed > 31_00 else owed, 31_00][
            : len(await tiers.invoices())
        ]
    )
    assert sum((await tiers.amounts())[1:]) == owed


async def test_a_credit_is_of_what_was_paid_after_the_coupon(tiers):
    coupon = {"code": "HALF", "percent": "50", "duration": "once"}
    await tiers.call("POST", "/v1/coupons", coupon, 201)
    made = await tiers.subscribes(plan="basic", coupon_codes=["HALF"])
    await tiers.bills()
    assert await tiers.amounts() == [15_50]
    await tiers.until("2026-01-11T00:00:00Z")
    await tiers.changes_plan(made, "team")
    await tiers.until("2026-02-01T00:00:00Z")
    await tiers.bills()
    assert (await tiers.amounts())[1] == 62_00 + 42_00 - share(15_50, 21, 31)


async def test_usage_before_the_change_is_billed_by_the_plan_it_was_used_on(seller):
    meter = {"eventType": "call", "aggregation": "Count"}
    await seller.call("POST", "/v1/meters", {"name": "calls", "spec": meter}, 201)

    def calls(price):
        usage = {"meter": "calls", "model": {"perUnit": {"unitAmount": price}}}
        return plan(fee("31.00"), {"name": "calls", "usage": usage})

    await seller.sells(calls("1.00"), "old")
    await seller.sells(calls("0.10"), "new")
    made = await seller.subscribes(plan="old")

    async def used(day, count):
        events = [
            {
                "specversion": "1.0", "id": f"{day}-{number}", "source": "t", "type": "call",
                "subject": "ada", "time": f"2026-01-{day:02}T12:00:00Z", "data": {},
            }
            for number in range(count)
        ]  # fmt: skip
        await seller.call("POST", "/v1/usage_events", events, 202)

    await used(3, 7)
    await seller.until("2026-01-11T00:00:00Z")
    await seller.changes_plan(made, "new")
    await used(20, 30)
    await used(4, 1)  # late, and still of the old plan
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    assert await seller.lines() == [
        [
            (IN_ARREARS, 10_00),
            ("calls", 8_00),
            (IN_ARREARS, 21_00),
            ("calls", 3_00),
        ]
    ]


async def test_a_plan_of_another_interval_begins_a_period_of_its_own(tiers):
    yearly = {"unit": "Year", "anchor": "Anniversary", "timeZone": "Etc/UTC"}
    await tiers.sells(plan(fee("365.00", "InAdvance"), interval=yearly), "yearly")
    made = await tiers.subscribes(plan="basic")
    await tiers.bills()
    await tiers.until("2026-01-11T00:00:00Z")
    shown = await tiers.changes_plan(made, "yearly", verb="preview_change")
    assert (shown["billed"], shown["period_ends_at"][:10]) == ("now", "2027-01-11")
    await tiers.changes_plan(made, "yearly")
    await tiers.bills()
    assert await tiers.amounts() == [31_00, 365_00 - 21_00]
    now = await tiers.state(made)
    assert (now["plan_name"], now["current_period_ends_at"][:10]) == ("yearly", "2027-01-11")
    await tiers.until("2027-01-11T00:00:00Z")
    await tiers.bills()
    assert (await tiers.amounts())[2:] == [365_00]


async def test_a_change_during_the_trial_costs_nothing(seller):
    await seller.sells(plan(fee("31.00", "InAdvance"), trial="14d"), "tried")
    await seller.sells(plan(fee("62.00", "InAdvance")), "team")
    made = await seller.subscribes(plan="tried")
    await seller.until("2026-01-05T00:00:00Z")
    changed = await seller.changes_plan(made, "team")
    assert (changed["plan_name"], changed["trial_ends_at"][:10]) == ("team", "2026-01-15")
    await seller.bills()
    assert await seller.invoices() == []
    await seller.until("2026-01-15T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [34_00]


@pytest.mark.parametrize(
    ("wanted", "options", "status", "reason"),
    [
        ("basic", {}, 409, "PLAN_UNCHANGED"),
        ("nothing", {}, 404, "PLAN_NOT_FOUND"),
        ("team", {"at": "yesterday"}, 422, "FIELD_INVALID"),
        ("team", {"proration": "some"}, 422, "FIELD_INVALID"),
        ("dollars", {}, 409, "CURRENCY_NOT_PRICED"),
    ],
)
async def test_what_cannot_be_changed_is_refused(tiers, wanted, options, status, reason):
    dollars = {**plan(fee("5.00")), "currency": "USD"}
    await tiers.sells(dollars, "dollars")
    made = await tiers.subscribes(plan="basic")
    refused = await tiers.changes_plan(made, wanted, status, **options)
    assert refused["reason"] == reason
    assert (await tiers.state(made))["plan_name"] == "basic"
