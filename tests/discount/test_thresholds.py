"""Thresholds over a period: documents add up until one of them reaches the amount."""

import asyncio
from datetime import UTC, datetime

from billplane.chassis.rpc import to_timestamp
from billplane.protos.discount.v1 import discount_pb2 as pb
from billplane.protos.discount.v1 import discount_pb2_grpc

from tests.subscription.billing import Seller

RULE = {
    "kind": "threshold",
    "minimum_minor": 10_000,
    "currency_code": "EUR",
    "per": "period",
    "percent": "10",
}
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


class Documents:
    """Documents of one customer as the service that finalizes them asks for their discounts."""

    def __init__(self, platform, tenant, channel):
        self.metadata = platform.metadata(tenant, subject="service:invoice")
        self.stub = discount_pb2_grpc.DiscountServiceStub(channel)

    async def apply(self, reference, minor, starts_at=JANUARY, ends_at=FEBRUARY, **fields):
        request = pb.ApplyDiscountsRequest(
            reference=reference,
            customer_id=fields.pop("customer_id", "cus_1"),
            lines=[pb.DiscountLine(line_id="1", amount_minor=minor)],
            currency_code=fields.pop("currency_code", "EUR"),
            at=to_timestamp(ends_at),
            period_starts_at=to_timestamp(starts_at),
            period_ends_at=to_timestamp(ends_at),
            **fields,
        )
        return (await self.stub.ApplyDiscounts(request, metadata=self.metadata)).total_minor

    async def reverse(self, reference):
        request = pb.ReverseDiscountsRequest(reference=reference)
        return (await self.stub.ReverseDiscounts(request, metadata=self.metadata)).reversed


async def test_documents_of_a_period_add_up_and_those_given_back_do_not(platform):
    tenant = "ten_threshold_period"
    await Seller(platform, tenant).call("POST", "/v1/discount_rules", RULE, 201)
    async with platform.channel() as channel:
        documents = Documents(platform, tenant, channel)
        assert await documents.apply("inv_1", 6_000) == 0
        assert await documents.apply("inv_other", 6_000, customer_id="cus_2") == 0
        assert await documents.apply("inv_usd", 6_000, currency_code="USD") == 0
        assert await documents.apply("inv_2", 4_000) == 400
        assert await documents.apply("inv_2", 4_000) == 400
        assert await documents.apply("inv_february", 9_999, FEBRUARY, MARCH) == 0
        assert await documents.reverse("inv_1") == 0
        assert await documents.apply("inv_3", 5_999) == 0
        assert await documents.reverse("inv_2") == 1
        assert await documents.reverse("inv_2") == 0


async def test_parallel_documents_count_each_other_and_parallel_requests_once(platform):
    tenant = "ten_threshold_parallel"
    await Seller(platform, tenant).call("POST", "/v1/discount_rules", RULE, 201)
    async with platform.channel() as channel:
        documents = Documents(platform, tenant, channel)
        totals = await asyncio.gather(*(documents.apply(f"inv_{n}", 1_000) for n in range(15)))
        # Whichever came tenth reached the amount, and so did all after it.
        assert sorted(totals) == [0] * 9 + [100] * 6
        same = await asyncio.gather(
            *(documents.apply("inv_same", 1_000, request_id="r") for _ in range(3)),
            return_exceptions=True,
        )
        assert {total for total in same if isinstance(total, int)} == {100}
    path = "/v1/discount_applications?reference=inv_same"
    assert len((await Seller(platform, tenant).call("GET", path))["data"]) == 1
