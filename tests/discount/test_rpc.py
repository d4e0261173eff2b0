"""gRPC of discount: redeeming and giving back."""

import asyncio

import grpc
import pytest
from billplane.protos.discount.v1 import discount_pb2 as pb
from billplane.protos.discount.v1 import discount_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

SERVICE = "service:invoice"


class Caller:
    """A service of one tenant that redeems coupons."""

    def __init__(self, platform, tenant, channel):
        self.platform = platform
        self.tenant = tenant
        self.stub = discount_pb2_grpc.DiscountServiceStub(channel)

    def metadata(self, **options):
        return self.platform.metadata(self.tenant, **{"subject": SERVICE, **options})

    async def create(self, code, **values):
        if "amount_minor" not in values:
            values.setdefault("percent", "10")
        request = pb.CreateCouponRequest(coupon=pb.Coupon(code=code, **values))
        return (await self.stub.CreateCoupon(request, metadata=self.metadata())).coupon

    async def get(self, code):
        answer = await self.stub.GetCoupon(pb.GetCouponRequest(id=code), metadata=self.metadata())
        return answer.coupon

    async def apply(self, reference, *codes, customer="cus_1", amount=10_000, **values):
        options = values.pop("options", {})
        request = pb.ApplyDiscountsRequest(
            reference=reference,
            customer_id=customer,
            coupon_codes=codes,
            lines=[pb.DiscountLine(line_id="1", amount_minor=amount)],
            currency_code="EUR",
            **values,
        )
        return await self.stub.ApplyDiscounts(request, metadata=self.metadata(**options))

    async def reverse(self, reference, **values):
        request = pb.ReverseDiscountsRequest(reference=reference, **values)
        return (await self.stub.ReverseDiscounts(request, metadata=self.metadata())).reversed


@pytest.fixture
async def caller(platform, request):
    async with platform.channel() as channel:
        yield Caller(platform, f"ten_{request.node.name}", channel)


def reasons(answer):
    return [item.reason for item in answer.refused]


async def test_only_services_redeem_and_give_back(caller):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await caller.apply("inv_1", options={"subject": "key:abc"})
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await caller.stub.ReverseDiscounts(
            pb.ReverseDiscountsRequest(reference="inv_1"),
            metadata=caller.metadata(subject="user:usr_1"),
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_last_redemption_goes_to_one_of_fifty_callers(caller):
    await caller.create("LAST", redemptions_max=3)
    await caller.apply("inv_a", "LAST", customer="cus_a")
    await caller.apply("inv_b", "LAST", customer="cus_b")
    answers = await asyncio.gather(
        *(caller.apply(f"inv_{n}", "last", customer=f"cus_{n}") for n in range(50))
    )
    assert sorted(answer.total_minor for answer in answers) == [0] * 49 + [1000]
    losers = [reasons(answer) for answer in answers if not answer.total_minor]
    assert losers == [["COUPON_EXHAUSTED"]] * 49
    coupon = await caller.get("LAST")
    assert (coupon.redemptions, coupon.state) == (3, "exhausted")


async def test_two_coupons_named_in_any_order_do_not_block_each_other(caller):
    await caller.create("FIRST", duration="forever")
    await caller.create("SECOND", duration="forever")
    answers = await asyncio.gather(
        *(
            caller.apply(f"inv_{n}", *["FIRST", "SECOND"][:: 1 - n % 2 * 2], customer=f"c{n % 5}")
            for n in range(30)
        )
    )
    assert {answer.total_minor for answer in answers} == {1900}
    assert (await caller.get("FIRST")).redemptions == 5


async def test_once_lowers_one_document_of_a_customer_or_subscription(caller):
    await caller.create("ONCE", duration="once")
    assert (await caller.apply("inv_1", "ONCE")).total_minor == 1000
    assert reasons(await caller.apply("inv_2", "ONCE")) == ["COUPON_ALREADY_USED"]
    assert (await caller.apply("inv_3", "ONCE", subscription_id="sub_1")).total_minor == 1000
    refused = await caller.apply("inv_4", "ONCE", subscription_id="sub_1")
    assert reasons(refused) == ["COUPON_ALREADY_USED"]


async def test_repeating_lowers_as_many_documents_as_it_has_periods(caller):
    await caller.create("THREE", duration="repeating", duration_periods=3, redemptions_max=1)
    totals = [
        (await caller.apply(f"inv_{n}", "THREE", subscription_id="sub_1")).total_minor
        for n in range(4)
    ]
    assert totals == [1000, 1000, 1000, 0]
    assert (await caller.get("THREE")).redemptions == 1


async def test_a_customer_redeems_only_as_often_as_allowed(caller):
    await caller.create("TWICE", redemptions_per_customer_max=2)
    answers = await asyncio.gather(
        *(caller.apply(f"inv_{n}", "TWICE", subscription_id=f"sub_{n}") for n in range(10))
    )
    assert sorted(answer.total_minor for answer in answers) == [0] * 8 + [1000] * 2
    refused = [reasons(answer) for answer in answers if not answer.total_minor]
    assert refused == [["COUPON_EXHAUSTED_FOR_CUSTOMER"]] * 8


async def test_a_repeated_request_redeems_once(caller):
    await caller.create("AGAIN", duration="forever", amount_minor=500, currency_code="EUR")
    answers = [await caller.apply("inv_1", "AGAIN", request_id="r1") for _ in range(2)]
    assert answers[0] == answers[1]
    with pytest.raises(grpc.aio.AioRpcError, match="another request"):
        await caller.apply("inv_2", "AGAIN", request_id="r1")
    other_request = await caller.apply("inv_1", "AGAIN", request_id="r2")
    assert other_request.applications == answers[0].applications


async def test_parallel_requests_for_one_document_redeem_once(caller):
    await caller.create("SAME", duration="forever")
    answers = await asyncio.gather(*(caller.apply("inv_1", "SAME") for _ in range(10)))
    assert len({answer.applications[0].id for answer in answers}) == 1


async def test_a_reversal_gives_back_everything_once(caller):
    await caller.create("BACK", redemptions_max=1)
    await caller.apply("inv_1", "BACK")
    assert reasons(await caller.apply("inv_2", "BACK", customer="cus_2")) == ["COUPON_EXHAUSTED"]
    reversed_ = await asyncio.gather(*(caller.reverse("inv_1") for _ in range(5)))
    assert sorted(reversed_) == [0, 0, 0, 0, 1]
    assert (await caller.get("BACK")).redemptions == 0
    assert (await caller.apply("inv_2", "BACK", customer="cus_2")).total_minor == 1000
    assert await caller.reverse("inv_1") == 0
    assert (await caller.get("BACK")).redemptions == 1


async def test_a_document_that_is_given_back_frees_one_period(caller):
    await caller.create("PERIOD", duration="repeating", duration_periods=1)
    await caller.apply("inv_1", "PERIOD")
    await caller.reverse("inv_1")
    assert (await caller.apply("inv_2", "PERIOD")).total_minor == 1000


async def test_a_coupon_without_effect_is_not_redeemed(caller):
    await caller.create("FREE", amount_minor=500, currency_code="EUR")
    answer = await caller.apply("inv_1", "FREE", amount=0)
    assert (reasons(answer), len(answer.applications)) == (["COUPON_NOT_APPLICABLE"], 0)
    assert (await caller.get("FREE")).redemptions == 0


async def test_the_history_names_document_customer_and_reversal(caller):
    await caller.create("TOLD")
    await caller.apply("inv_1", "TOLD")
    await caller.reverse("inv_1")
    headers = caller.platform.headers(caller.tenant)
    for query in ("reference=inv_1", "customer_id=cus_1"):
        listed = await caller.platform.request(
            "GET", f"/v1/discount_applications?{query}", headers=headers, expect=200
        )
        (row,) = listed["data"]
        assert (row["code"], row["amount_minor"], row["reference"]) == ("TOLD", 1000, "inv_1")
        assert row["reversed_at"] is not None


async def test_modes_do_not_see_each_others_coupons(caller):
    await caller.create("TESTONLY")
    answer = await caller.apply("inv_1", "TESTONLY", options={"livemode": True})
    assert reasons(answer) == ["COUPON_UNKNOWN"]


@pytest.mark.parametrize("percent", ["NaN", "Infinity", "ten", "0", "101", "-1", "33.3333333"])
async def test_a_percentage_that_is_none_is_refused(caller, percent):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await caller.create("BAD", percent=percent)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_rule_without_a_code_is_made_listed_applied_and_archived_over_grpc(caller):
    stub, metadata = caller.stub, caller.metadata()
    wanted = pb.DiscountRule(
        kind="threshold", name="Bulk", minimum_minor=5_000, currency_code="EUR", percent="12.5"
    )
    request = pb.CreateDiscountRuleRequest(request_id="rule-1", rule=wanted)
    made = (await stub.CreateDiscountRule(request, metadata=metadata)).rule
    again = (await stub.CreateDiscountRule(request, metadata=metadata)).rule
    assert made == again
    assert (made.id[:4], made.per, made.percent, made.state) == (
        "dsr_",
        "invoice",
        "12.5",
        "active",
    )
    assert made.stackable
    got = await stub.GetDiscountRule(pb.GetDiscountRuleRequest(id=made.id), metadata=metadata)
    assert got.rule == made
    for kind, count in (("", 1), ("threshold", 1), ("user_type", 0)):
        page = await stub.ListDiscountRules(
            pb.ListDiscountRulesRequest(kind=kind), metadata=metadata
        )
        assert len(page.rules) == count
    assert (await caller.apply("inv_1", amount=10_000)).total_minor == 1_250
    archive = pb.ArchiveDiscountRuleRequest(id=made.id)
    await stub.ArchiveDiscountRule(archive, metadata=metadata)
    got = await stub.GetDiscountRule(pb.GetDiscountRuleRequest(id=made.id), metadata=metadata)
    assert got.rule.state == "archived"
    assert (await caller.apply("inv_2", amount=10_000)).total_minor == 0


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"kind": "weather", "percent": "10"}, "kind"),
        ({"kind": "user_type", "user_types": ["vip"], "percent": "101"}, "percent"),
        ({"kind": "threshold", "minimum_minor": -1, "percent": "10"}, "minimum_minor"),
        ({"kind": "user_type", "user_types": [""], "percent": "10"}, "user_types.0"),
    ],
)
async def test_a_rule_that_is_none_is_refused_by_field_over_grpc(caller, wanted, field):
    request = pb.CreateDiscountRuleRequest(rule=pb.DiscountRule(**wanted))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await caller.stub.CreateDiscountRule(request, metadata=caller.metadata())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(refused.value)
    bad = error_details_pb2.BadRequest()
    assert any(item.Unpack(bad) for item in status.details)
    assert [violation.field for violation in bad.field_violations] == [field]


async def test_an_archived_coupon_is_redeemed_no_more_over_grpc(caller):
    made = await caller.create("GONE")
    request = pb.ArchiveCouponRequest(id=made.id)
    await caller.stub.ArchiveCoupon(request, metadata=caller.metadata())
    assert (await caller.get("GONE")).state == "archived"
    assert (await caller.apply("inv_9", "GONE")).total_minor == 0
