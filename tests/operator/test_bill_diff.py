"""What a changed plan does to bills: shown before it reaches anybody, and waited for."""

from dataclasses import replace

import pytest
import yaml
from billplane_cli.manifests import with_annotation
from billplane_operator.kinds import RULES, Actual, Applied, Apply, CompareBills

from tests.operator.folder import Home, eventually, manifest, operating
from tests.operator.test_kinds import PAUSED, desired
from tests.subscription.billing import Seller, fee, plan

APPROVE = "billplane.io/approve"
RULE = RULES["BillingPlan"]


def waiting(**rollout):
    return desired("BillingPlan", rollout={"applyTo": "All", **rollout})


def subscribed(wanted=None, **details):
    diff = {"specHash": wanted.spec_hash} if wanted else None
    return Actual(
        Applied("id_1", 1, 0, "0" * 64), {"activeSubscriptions": 3, "billDiff": diff, **details}
    )


def test_bills_are_compared_once_before_a_version_reaches_subscribers():
    wanted = waiting()
    assert RULE.plan(wanted, subscribed()) == [CompareBills(), Apply(2)]
    assert RULE.plan(wanted, subscribed(wanted)) == [Apply(2)]
    assert RULE.plan(waiting(requireApproval=True), subscribed()) == [CompareBills()]


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        (waiting(), subscribed(activeSubscriptions=0)),
        (waiting(), Actual()),
        (desired("BillingPlan", rollout={"applyTo": "New"}), subscribed()),
        (replace(waiting(), annotations=PAUSED), subscribed()),
    ],
)
def test_nothing_is_compared_where_nobody_is_reached(wanted, actual):
    assert CompareBills() not in RULE.plan(wanted, actual)


def test_the_condition_tells_what_would_change_and_the_status_what_waits():
    wanted = waiting(requireApproval=True)
    diff = {
        "specHash": wanted.spec_hash, "mode": "Live", "currency": "EUR", "customers": 3, "up": 1,
        "down": 2, "oldTotal": "10.00", "newTotal": "9.00",
    }  # fmt: skip
    actual = subscribed(billDiff=diff)
    found = {item.type: item for item in RULE.conditions(wanted, actual)}
    assert "of 3 customers 1 would have paid more and 2 less" in found["AwaitingApproval"].message
    status = RULE.status(wanted, actual)
    assert (status["billDiff"], status["pendingSpecHash"]) == (diff, wanted.spec_hash)


@pytest.mark.parametrize(
    "text",
    [
        "kind: BillingPlan\nmetadata:\n  name: pro\nspec: {a: 1}\n",
        "kind: BillingPlan\nmetadata:\n  name: pro\n  annotations:\n    other: x\nspec: {a: 1}\n",
        "kind: BillingPlan\nmetadata:\n  annotations: {billplane.io/approve: old}\n  name: pro\n",
        "kind: BillingPlan\nmetadata: {name: pro}\nspec: {from: 15:30}\n",
        "kind: BillingPlan\nmetadata: {name: pro, annotations: {}}\n",
        '{"kind": "BillingPlan", "metadata": {"name": "pro"}}\n',
    ],
)
def test_an_annotation_is_written_into_whatever_style_and_leaves_the_rest(text):
    def read(written):
        return yaml.load(written, yaml.BaseLoader)  # noqa: S506  (it makes nothing but text)

    made = read(with_annotation(text, APPROVE, "0123456789ab"))
    before = read(text)
    assert made["metadata"].pop("annotations")[APPROVE] == "0123456789ab"
    before["metadata"].pop("annotations", None)
    assert made == before


async def test_a_version_that_waits_shows_its_bill_diff_and_is_published_once_approved(
    platform, tmp_path
):
    home, seller = Home(tmp_path / "home", "op-bill-diff"), Seller(platform, "op-bill-diff")
    spec = plan(fee("30.00"), rollout={"applyTo": "All", "requireApproval": True})
    home.file("BillingPlan", "pro", spec)
    async with operating(platform, home):
        await home.decided("BillingPlan", "pro")
        clock = await seller.call("POST", "/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"}, 201)
        seller.clock = clock["id"]
        for name in ("ada", "bea"):
            await seller.subscribes(name)
        await seller.until("2026-02-01T00:00:00Z")
        await seller.bills()
        dearer = {**spec, "charges": [fee("33.50")]}
        home.file("BillingPlan", "pro", dearer)
        await home.decided("BillingPlan", "pro", "False")
        await eventually(
            lambda: "billDiff" in home.document("BillingPlan", "pro").get("status", {}),
            lambda: str(home.document("BillingPlan", "pro")),
        )
        status = home.document("BillingPlan", "pro")["status"]
        pending = status["pendingSpecHash"]
        assert status["billDiff"] == {
            "specHash": pending, "mode": "Test", "currency": "EUR", "customers": 2, "up": 2,
            "down": 0, "oldTotal": "60.00", "newTotal": "67.00",
        }  # fmt: skip
        assert (status["version"], status["activeSubscriptions"]) == (1, 2)
        text = manifest("BillingPlan", "pro", dearer)
        home.file("BillingPlan", "pro", with_annotation(text, APPROVE, pending[:12]))
        await eventually(lambda: home.document("BillingPlan", "pro"))
        published = await home.decided("BillingPlan", "pro")
    assert published["status"]["version"] == 2
    assert published["status"]["billDiff"]["newTotal"] == "67.00"
    assert "pendingSpecHash" not in published["status"]
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    assert sorted(await seller.amounts())[-2:] == [33_50, 33_50]
