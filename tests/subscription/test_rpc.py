"""Changes, pauses, items and bill-diffs over gRPC."""

import json

import grpc
import pytest
from billplane.protos.subscription.v1 import subscription_pb2 as pb
from billplane.protos.subscription.v1 import subscription_pb2_grpc as pb_grpc

from tests.subscription.billing import fee, plan


async def test_a_subscription_is_changed_paused_and_resumed(seller):
    await seller.sells(plan(fee("31.00", "InAdvance")), "basic")
    await seller.sells(plan(fee("62.00", "InAdvance")), "team")
    made = await seller.subscribes(plan="basic")
    await seller.bills()
    await seller.until("2026-01-11T00:00:00Z")
    async with seller.platform.channel() as channel:
        stub = pb_grpc.SubscriptionServiceStub(channel)
        metadata = seller.platform.metadata(seller.tenant)

        async def ask(method, request):
            return await method(request, metadata=metadata)

        wanted = {"id": made["id"], "plan": "team"}
        shown = await ask(stub.PreviewChange, pb.PreviewChangeRequest(**wanted))
        assert (shown.credit_minor, shown.charge_minor) == (-21_00, 42_00)
        request = pb.ChangeSubscriptionRequest(request_id="one", **wanted)
        for _ in range(2):  # the same call again has no further effect
            changed = await ask(stub.ChangeSubscription, request)
            assert changed.subscription.plan_name == "team"
        items = await ask(stub.ListInvoiceItems, pb.ListInvoiceItemsRequest(waiting=True))
        assert sorted(item.amount_minor for item in items.items) == [-21_00, 42_00]
        paused = await ask(stub.PauseSubscription, pb.PauseSubscriptionRequest(id=made["id"]))
        assert paused.subscription.state == "paused"
        resumed = await ask(stub.ResumeSubscription, pb.ResumeSubscriptionRequest(id=made["id"]))
        assert resumed.subscription.state == "active"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(
                stub.ChangeSubscription, pb.ChangeSubscriptionRequest(id="sub_x", plan="team")
            )
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_bill_diff_rates_what_was_billed_again(seller):
    spec = plan(fee("30.00"))
    await seller.sells(spec)
    for name in ("ada", "bea"):
        await seller.subscribes(name)
    await seller.until("2026-03-01T00:00:00Z")
    await seller.bills()
    cheaper = {**spec, "charges": [fee("25.00")]}
    async with seller.platform.channel() as channel:
        stub = pb_grpc.SubscriptionServiceStub(channel)
        request = pb.PreviewPlanChangeRequest(
            plan_id="pro", spec_json=json.dumps(cheaper), periods=2
        )
        metadata = seller.platform.metadata(seller.tenant)
        found = await stub.PreviewPlanChange(request, metadata=metadata)
    assert (found.customers, found.up, found.down, found.periods) == (2, 0, 2, 4)
    assert (found.old_total, found.new_total) == ("120.00", "100.00")
    assert {item.external_id for item in found.examples} == {"ada", "bea"}
    body = {"plan": "pro", "spec": {"currency": "EUR", "charges": []}}
    refused = await seller.call("POST", "/v1/plan_changes:preview", body, 422)
    assert refused["reason"] == "INVALID_SPEC"
