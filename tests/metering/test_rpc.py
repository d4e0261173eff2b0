"""gRPC of metering: recording, reading, and waiting for the store."""

import json

import grpc
import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.metering.v1 import metering_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.metering.usage import NOON

from datetime import datetime  # isort: skip

AT = to_timestamp(datetime.fromisoformat(NOON))


def record(number, subject="ada", **values):
    values.setdefault("data_json", json.dumps({"units": 1}))
    return pb.UsageEvent(
        **{
            "source": "rpc",
            "id": f"r{number}",
            "type": "api.request",
            "subject": subject,
            "time": AT,
            **values,
        }
    )


async def refused(call, request, metadata):
    """Return the code, reason and fields of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(request, metadata=metadata)
    status = rpc_status.from_call(raised.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    return raised.value.code(), info.reason, [item.field for item in bad.field_violations]


async def test_one_event_is_recorded_once(usage):
    await usage.meter()
    request = pb.RecordUsageRequest(event=record(1, data_json='{"units": 1.0000001}'))
    call = usage.stub.RecordUsage
    code, reason, _ = await refused(call, request, usage.metadata())
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "QUANTITY_OUT_OF_RANGE")
    request = pb.RecordUsageRequest(event=record(1, data_json='{"units": 1.25}'))
    answers = [await call(request, metadata=usage.metadata()) for _ in range(2)]
    assert [(answer.id, answer.status) for answer in answers] == [
        ("r1", "accepted"),
        ("r1", "duplicate"),
    ]
    assert await usage.quantity() == ("1.25", 1)


async def test_a_batch_is_recorded_whole_or_not_at_all(usage):
    await usage.meter()
    call = usage.stub.RecordUsageBatch
    bad = pb.RecordUsageBatchRequest(events=[record(1), record(2, type="nobody"), record(3)])
    code, reason, fields = await refused(call, bad, usage.metadata())
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "METER_UNKNOWN")
    assert fields == ["/1/type"]
    good = pb.RecordUsageBatchRequest(events=[record(1), record(2), record(1)])
    answer = await call(good, metadata=usage.metadata())
    assert (answer.accepted, answer.duplicates) == (2, 1)
    assert [item.status for item in answer.results] == ["accepted", "accepted", "duplicate"]
    assert await usage.quantity() == ("2", 2)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], "FIELD_REQUIRED"),
        ([record(number) for number in range(1001)], "TOO_MANY_EVENTS"),
        ([record(1, data_json="{")], "BODY_MALFORMED"),
        ([record(1, data_json="[1]")], "FIELD_INVALID"),
        ([record(1, subject="")], "FIELD_REQUIRED"),
    ],
)
async def test_a_bad_batch_is_refused_with_its_reason(usage, events, reason):
    await usage.meter()
    request = pb.RecordUsageBatchRequest(events=events)
    code, found, _ = await refused(usage.stub.RecordUsageBatch, request, usage.metadata())
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_reused_id_is_refused(usage):
    await usage.meter()
    call, metadata = usage.stub.RecordUsage, usage.metadata()
    await call(pb.RecordUsageRequest(event=record(1)), metadata=metadata)
    other = pb.RecordUsageRequest(event=record(1, data_json='{"units": 2}'))
    code, reason, _ = await refused(call, other, metadata)
    assert (code, reason) == (grpc.StatusCode.ABORTED, "EVENT_ID_REUSED")


async def test_rest_and_grpc_share_what_was_sent(usage):
    await usage.meter()
    await usage.send(
        {"source": "rpc", "id": "r1", "type": "api.request", "subject": "ada", "time": NOON,
         "data": {"units": 1}}
    )  # fmt: skip
    answer = await usage.stub.RecordUsage(
        pb.RecordUsageRequest(event=record(1)), metadata=usage.metadata()
    )
    assert answer.status == "duplicate"


async def test_a_flush_answers_once_everything_acknowledged_is_stored(usage):
    await usage.meter()
    events = [record(number, f"c{number % 20}") for number in range(100)]
    request = pb.RecordUsageBatchRequest(events=events)
    await usage.stub.RecordUsageBatch(request, metadata=usage.metadata())
    await usage.flush()
    # The query itself flushes nothing.
    answer = await usage.query(subject="c3")
    assert [(row.quantity, row.event_count) for row in answer.rows] == [("5", 5)]


async def test_usage_of_all_names_of_a_customer_is_one_quantity(usage):
    await usage.meter(groupBy=[{"name": "region", "property": "$.region"}])
    for number, subject in enumerate(["cus_1", "ada", "ada", "someone"]):
        data = json.dumps({"units": 1, "region": "eu" if number % 2 else "us"})
        await usage.stub.RecordUsage(
            pb.RecordUsageRequest(event=record(number, subject, data_json=data)),
            metadata=usage.metadata(),
        )
    await usage.flush()
    answer = await usage.query(subject="cus_1", customer_aliases=["ada"], group_by=["region"])
    assert [(list(row.dimensions), row.quantity) for row in answer.rows] == [
        (["eu"], "1"),
        (["us"], "2"),
    ]
    only = [pb.UsageFilter(property="region", values=["eu", "ap"])]
    answer = await usage.query(subject="cus_1", customer_aliases=["ada"], filter=only)
    assert [row.quantity for row in answer.rows] == ["1"]


async def test_a_query_needs_both_bounds(usage):
    await usage.meter()
    request = pb.QueryUsageRequest(customer_id="ada", meter="units", starts_at=AT)
    code, reason, _ = await refused(usage.stub.QueryUsage, request, usage.metadata())
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED")


async def test_meters_are_made_and_read_over_grpc_too(usage):
    spec = {"eventType": "t", "aggregation": "Count"}
    request = pb.CreateMeterRequest(request_id="one", name="calls", spec_json=json.dumps(spec))
    made = (await usage.stub.CreateMeter(request, metadata=usage.metadata())).meter
    again = (await usage.stub.CreateMeter(request, metadata=usage.metadata())).meter
    assert again == made
    found = await usage.stub.GetMeter(pb.GetMeterRequest(id="calls"), metadata=usage.metadata())
    assert found.meter == made
    listed = await usage.stub.ListMeters(pb.ListMetersRequest(), metadata=usage.metadata())
    assert list(listed.meters) == [made]
