"""gRPC of pricing: what the operator applies, rating of periods, prices."""

import json
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest
from billplane.chassis.channels import peer_error
from billplane.chassis.errors import BillplaneError
from billplane.chassis.rpc import to_timestamp
from billplane.pricing.service import rating
from billplane.protos.pricing.v1 import pricing_pb2 as pb
from billplane.protos.pricing.v1 import pricing_pb2_grpc

from tests.pricing import oracle
from tests.pricing.plans import row
from tests.pricing.service import (
    FEBRUARY,
    JANUARY,
    OPERATOR,
    application,
    hash_of,
    queries,
    spec,
    usage_of,
)

HOUR = timedelta(hours=1)
MODELS = {
    "perUnit": {"unitAmount": "0.0004"},
    "graduated": {"tiers": [{"upTo": "1000", "unitAmount": "0"}, {"unitAmount": "0.002"}]},
    "volume": {"tiers": [{"upTo": "5000", "unitAmount": "0.02"}, {"unitAmount": "0.01"}]},
    "package": {"size": "100", "amount": "3.33"},
    "matrix": {
        "dimensions": ["airport"],
        "cells": [{"values": ["JFK"], "unitAmount": "1.25"}],
        "default": {"unitAmount": "0.75"},
    },
}


class Pricing:
    """The service as one caller sees it; errors come back as the peers of the service read them."""

    def __init__(self, platform, channel, tenant, **options):
        self._stub = pricing_pb2_grpc.PricingServiceStub(channel)
        self._metadata = platform.metadata(tenant, **options)

    async def __call__(self, method, request):
        try:
            return await getattr(self._stub, method)(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from None

    async def refused(self, method, request):
        with pytest.raises(BillplaneError) as caught:
            await self(method, request)
        return caught.value.reason


@pytest.fixture
async def channel(platform):
    async with platform.channel() as opened:
        yield opened


async def test_applying_a_plan_twice_changes_nothing(platform, channel):
    ask = Pricing(platform, channel, "ten_apply", **OPERATOR)
    first = await ask("ApplyPlan", application(spec(), spec_hash=hash_of(spec())))
    assert (first.version, first.spec_hash) == (1, hash_of(spec()))
    assert await ask("ApplyPlan", application(spec())) == first
    versions = await ask("ListPlanVersions", pb.ListPlanVersionsRequest(id=first.id))
    assert [plan.version for plan in versions.plans] == [1]
    (listed,) = (await ask("ListApplied", pb.ListAppliedRequest())).applied
    assert (listed.uid, listed.namespace, listed.name) == ("uid-1", "default", "pro")
    assert (listed.generation, listed.spec_hash, listed.id) == (1, hash_of(spec()), first.id)


async def test_a_changed_spec_makes_the_next_version_and_an_older_generation_is_refused(
    platform, channel
):
    ask = Pricing(platform, channel, "ten_apply_next", **OPERATOR)
    await ask("ApplyPlan", application(spec()))
    changed = spec(displayName="Pro")
    second = await ask("ApplyPlan", application(changed, generation=2))
    assert (second.version, second.spec_hash) == (2, hash_of(changed))
    assert await ask.refused("ApplyPlan", application(spec())) == "STALE_GENERATION"
    again = application(changed, generation=1, epoch=1)
    assert (await ask("ApplyPlan", again)).version == 2
    assert await ask.refused("ApplyPlan", application(changed, generation=9)) == "STALE_GENERATION"


async def test_what_the_api_and_a_resource_own_is_kept_apart(platform, channel):
    tenant = "ten_two_origins"
    operator = Pricing(platform, channel, tenant, **OPERATOR)
    owner = Pricing(platform, channel, tenant)
    assert await owner.refused("ApplyPlan", application(spec())) == "INTERNAL_ONLY"
    made = await owner("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(spec())))
    assert made.plan.origin == "api"
    assert await operator.refused("ApplyPlan", application(spec())) == "NAME_TAKEN"
    applied = await operator("ApplyPlan", application(spec(), name="other"))
    for method, request in (
        ("PublishPlanVersion", pb.PublishPlanVersionRequest(id="other", spec_json="{}")),
        ("ArchivePlan", pb.ArchivePlanRequest(id=applied.id)),
    ):
        assert await owner.refused(method, request) == "MANAGED_BY_RESOURCE"
    (listed,) = (await operator("ListApplied", pb.ListAppliedRequest())).applied
    assert listed.id == applied.id


async def test_a_removed_plan_is_archived_and_comes_back_by_the_next_application(platform, channel):
    ask = Pricing(platform, channel, "ten_remove", **OPERATOR)
    first = await ask("ApplyPlan", application(spec()))
    delete = pb.RemovePlanRequest(uid="uid-1", generation=2, policy=pb.REMOVE_POLICY_DELETE)
    await ask("RemovePlan", delete)
    await ask("RemovePlan", delete)
    found = await ask("GetPlan", pb.GetPlanRequest(id=first.id))
    assert (found.plan.state, found.plan.version) == ("archived", 1)
    assert not (await ask("ListApplied", pb.ListAppliedRequest())).applied
    back = await ask("ApplyPlan", application(spec(), generation=3))
    assert (back.id, back.version) == (first.id, 1)


async def test_an_empty_id_names_the_default_plan(platform, channel):
    ask = Pricing(platform, channel, "ten_default", **OPERATOR)
    assert await ask.refused("GetPlan", pb.GetPlanRequest()) == "PLAN_NOT_FOUND"
    await ask("ApplyPlan", application(spec(), uid="uid-2", name="other"))
    default = await ask("ApplyPlan", application(spec(default=True)))
    assert (await ask("GetPlan", pb.GetPlanRequest())).plan.id == default.id


async def test_publishing_the_same_spec_again_makes_no_version(platform, channel):
    ask = Pricing(platform, channel, "ten_publish")
    made = await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(spec())))
    same = pb.PublishPlanVersionRequest(id="pro", spec_json=made.plan.spec_json)
    assert (await ask("PublishPlanVersion", same)).plan == made.plan
    changed = json.dumps(spec(displayName="Pro"))
    request = pb.PublishPlanVersionRequest(id="pro", spec_json=changed, request_id="publish-1")
    second = await ask("PublishPlanVersion", request)
    assert second.plan.version == 2
    assert await ask("PublishPlanVersion", request) == second
    bad = pb.PublishPlanVersionRequest(id="pro", spec_json='{"currency": "EUR"}')
    assert await ask.refused("PublishPlanVersion", bad) == "INVALID_SPEC"


@pytest.mark.parametrize("model", MODELS)
async def test_a_rated_period_equals_the_oracle(platform, channel, model):
    ask = Pricing(platform, channel, f"ten_rate_{model}".lower())
    charge = {"name": "calls", "usage": {"meter": "api-calls", "model": {model: MODELS[model]}}}
    charge["usage"]["groupBy"] = ["carrier"]
    document = spec(charge)
    made = await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document)))
    rows = [
        row(
            f"{index * 137 % 900}.25",
            JANUARY + index * HOUR,
            dimensions={"airport": ("EWR", "JFK", "JFK")[index % 3], "carrier": "UD"[index % 2]},
        )
        for index in range(60)
    ]
    (query,) = queries(document)
    request = pb.RatePeriodRequest(
        plan_id=made.plan.id,
        version=1,
        starts_at=to_timestamp(JANUARY),
        ends_at=to_timestamp(FEBRUARY),
        usage=[usage_of("calls", query, rows[:40]), usage_of("calls", query, rows[40:])],
    )
    rated = await ask("RatePeriod", request)
    expected = oracle.amounts(charge["usage"], rows)
    assert [(line.description, line.amount_minor) for line in rated.lines] == [
        (f"calls: {group[0]}", oracle.half_up(expected[group])) for group in sorted(expected)
    ]
    assert rated.subtotal_minor == sum(line.amount_minor for line in rated.lines)


async def test_many_rows_are_rated_in_a_thread_with_the_same_answer(platform, channel, monkeypatch):
    ask = Pricing(platform, channel, "ten_rate_many")
    model = {"perUnit": {"unitAmount": "0.0004"}}
    document = spec({"name": "calls", "usage": {"meter": "api-calls", "model": model}})
    await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document)))
    rows = [row("1.5", JANUARY + index % 700 * HOUR) for index in range(rating.ROWS_INLINE_MAX + 1)]
    (query,) = queries(document)
    request = pb.RatePeriodRequest(
        plan_id="pro",
        starts_at=to_timestamp(JANUARY),
        ends_at=to_timestamp(FEBRUARY),
        usage=[usage_of("calls", query, rows)],
    )
    in_thread = await ask("RatePeriod", request)
    monkeypatch.setattr(rating, "ROWS_INLINE_MAX", len(rows))
    assert await ask("RatePeriod", request) == in_thread
    assert in_thread.lines[0].quantity == "15001.5"
    assert in_thread.subtotal_minor == 600


async def test_an_endless_amount_is_shown_with_twenty_digits_and_rounded_from_all(
    platform, channel
):
    ask = Pricing(platform, channel, "ten_endless")
    document = spec({"name": "platform", "recurring": {"amount": "100", "billed": "InArrears"}})
    await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document)))
    request = pb.RatePeriodRequest(
        plan_id="pro",
        starts_at=to_timestamp(JANUARY),
        ends_at=to_timestamp(JANUARY + timedelta(days=10)),
    )
    (line,) = (await ask("RatePeriod", request)).lines
    assert line.exact_amount == "32.25806451612903225806"  # 10 of 31 days
    assert line.amount_minor == 32_26


async def test_a_price_is_that_of_the_meter_alone_and_no_meter_means_fees(platform, channel):
    ask = Pricing(platform, channel, "ten_price")
    model = {"perUnit": {"unitAmount": "0.0004"}}
    charge = {"name": "calls", "usage": {"meter": "api-calls", "model": model}}
    fee = {"name": "platform", "recurring": {"amount": "49"}}
    document = spec(fee, charge, minimumCommitment="200")
    made = await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document)))
    priced = await ask(
        "CalculatePrice",
        pb.CalculatePriceRequest(plan_id="pro", meter="api-calls", quantity="12345"),
    )
    assert (priced.total_minor, priced.exact_amount) == (494, "4.938")
    assert (priced.plan_id, priced.version, priced.currency_code) == (made.plan.id, 1, "EUR")
    fees = await ask("CalculatePrice", pb.CalculatePriceRequest(plan_id="pro"))
    assert fees.total_minor == 49_00


@pytest.mark.parametrize(
    ("fields", "usage", "reason"),
    [
        ({"plan_id": "nothing"}, {}, "PLAN_NOT_FOUND"),
        ({"version": 7}, {}, "PLAN_VERSION_NOT_FOUND"),
        ({"target_currency": "XXQ"}, {}, "CURRENCY_UNKNOWN"),
        ({"target_currency": "USD", "rate": "1.1"}, {}, "CURRENCY_NOT_PRICED"),
        ({"rate": "many"}, {}, "RATE_REQUIRED"),
        ({"ends_at": to_timestamp(JANUARY)}, {}, "PERIOD_INVALID"),
        ({"nominal_starts_at": to_timestamp(JANUARY)}, {}, "PERIOD_INVALID"),
        ({"starts_at": {"seconds": -62_135_596_800}}, {}, "PERIOD_INVALID"),
        ({"ends_at": {"seconds": 10**15}}, {}, "TIME_OUT_OF_RANGE"),
        ({}, {"quantity": "1e9"}, "USAGE_QUANTITY_INVALID"),
        ({}, {"quantity": "1", "dimensions": ["JFK"]}, "USAGE_SHAPE_MISMATCH"),
        ({}, {"quantity": "1", "seconds": -1}, "USAGE_OUT_OF_RANGE"),
        ({}, {"quantity": "1", "starts_at": {"seconds": 10**15}}, "USAGE_OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_rated_is_refused_by_reason(platform, channel, fields, usage, reason):
    ask = Pricing(platform, channel, "ten_refusals")
    model = {"perUnit": {"unitAmount": "0.0004"}}
    document = spec({"name": "calls", "usage": {"meter": "api-calls", "model": model}})
    create = pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document), request_id="once")
    await ask("CreatePlan", create)
    values = {
        "plan_id": "pro",
        "starts_at": to_timestamp(JANUARY),
        "ends_at": to_timestamp(FEBRUARY),
    } | fields
    request = pb.RatePeriodRequest(**values)
    if usage:
        request.usage.append(pb.ChargeUsage(charge="calls", rows=[pb.UsageRow(**usage)]))
    assert await ask.refused("RatePeriod", request) == reason


async def test_a_rate_converts_each_line_once(platform, channel):
    ask = Pricing(platform, channel, "ten_convert")
    document = spec(alsoPricedIn=[{"currency": "USD", "rateFeed": "ecb"}])
    await ask("CreatePlan", pb.CreatePlanRequest(name="pro", spec_json=json.dumps(document)))
    request = pb.RatePeriodRequest(
        plan_id="pro",
        starts_at=to_timestamp(JANUARY),
        ends_at=to_timestamp(FEBRUARY),
        advance_starts_at=to_timestamp(FEBRUARY),
        advance_ends_at=to_timestamp(FEBRUARY + timedelta(days=28)),
        target_currency="USD",
        rate="1.3194",
        rate_id="rat_1",
    )
    rated = await ask("RatePeriod", request)
    (line,) = rated.lines
    assert (rated.currency_code, line.amount_minor) == ("USD", 64_65)
    conversion = json.loads(line.detail_json)["conversion"]
    assert (Decimal(conversion["rate"]), conversion["rate_id"]) == (Decimal("1.3194"), "rat_1")
