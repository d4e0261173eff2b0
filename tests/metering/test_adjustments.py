"""Voids and corrections: what counts follows, once, and what makes no sense is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import grpc
import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.metering.v1 import metering_pb2 as pb

from tests.metering.usage import JANUARY, event

ALL = ("Sum", "Count", "Max", "Min", "Average", "Latest", "UniqueCount", "WeightedSum")


async def void(usage, number, expect=200, **options):
    body = {"source": "tests", "id": f"e{number}", **options.pop("body", {})}
    return await usage.request("POST", "/v1/usage_events:void", expect, json=body, **options)


async def correct(usage, number, expect=200, headers=None, **body):
    body = {"source": "tests", "id": f"e{number}", **body}
    return await usage.request(
        "POST", "/v1/usage_events:correct", expect, json=body, headers=headers or {}
    )


async def quantities(usage, **query):
    return {name: (await usage.quantity(name.lower(), **query))[0] for name in ALL}


@pytest.fixture
async def measured(usage):
    """Give a tenant with a meter of each aggregation, and three events."""
    for aggregation in ALL:
        await usage.meter(aggregation.lower(), aggregation=aggregation)
    for number, units in enumerate((5, 20, 8)):
        await usage.send(event(number, time=f"2026-01-15T12:0{number}:00Z", data={"units": units}))
    return usage


async def test_a_voided_event_counts_for_no_aggregation(measured):
    before = await quantities(measured)
    assert (before["Sum"], before["Max"], before["Latest"]) == ("33", "20", "8")
    made = await void(measured, 1, body={"reason": "sent twice by a test"})
    assert (made["kind"], made["event_id"], made["data_before"]) == ("void", "e1", {"units": 20})
    assert made["reason"] == "sent twice by a test"
    after = await quantities(measured)
    assert {name: after[name] for name in ("Sum", "Count", "Max", "Min", "Average", "Latest",
                                           "UniqueCount")} == {
        "Sum": "13", "Count": "2", "Max": "8", "Min": "5", "Average": "6.5", "Latest": "8",
        "UniqueCount": "2",
    }  # fmt: skip
    await void(measured, 2)
    await void(measured, 0)
    assert set((await quantities(measured)).values()) == {"0"}
    assert (await measured.rows("sum", window="event"))["data"] == []


async def test_a_corrected_event_counts_for_what_stands_instead(measured):
    made = await correct(measured, 1, quantity="2.5")
    assert (made["kind"], made["quantity"], made["quantity_before"]) == ("correction", "2.5", None)
    found = await quantities(measured)
    assert (found["Sum"], found["Max"], found["Min"], found["Average"]) == (
        "15.5", "8", "2.5", "5.166667",
    )  # fmt: skip
    # The last correction stands, also one of the data after one of the quantity.
    await correct(measured, 1, quantity=0.1)
    assert (await measured.quantity("sum"))[0] == "13.1"
    listed = await measured.request("GET", "/v1/usage_events/adjustments?id=e1", 200)
    assert [item["quantity_before"] for item in listed["data"]] == ["2.5", None]


async def test_corrected_data_moves_an_event_to_another_dimension_and_filter(usage):
    by_region = [{"name": "region", "property": "$.region"}]
    await usage.meter(groupBy=by_region, filter=[{"property": "$.kind", "in": ["paid"]}])
    data = {"units": 3, "region": "eu", "kind": "paid"}
    await usage.send(event(1, data=data))
    await correct(usage, 1, data={**data, "region": "us"})
    found = (await usage.rows(group_by="region"))["data"]
    assert [(row["dimensions"]["region"], row["quantity"]) for row in found] == [("us", "3")]
    await correct(usage, 1, data={**data, "kind": "free"})
    assert await usage.quantity() == ("0", 0)


async def test_what_was_voided_stays_void_and_its_id_used(usage):
    await usage.meter()
    await usage.send(event(1))
    await void(usage, 1)
    assert (await void(usage, 1, expect=409))["reason"] == "USAGE_EVENT_VOIDED"
    problem = await correct(usage, 1, expect=409, quantity=2)
    assert problem["reason"] == "USAGE_EVENT_VOIDED"
    assert (await usage.send(event(1)))["duplicates"] == 1
    assert await usage.quantity() == ("0", 0)


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({"id": "e9", "quantity": 1}, 404, "USAGE_EVENT_NOT_FOUND", None),
        ({"source": "elsewhere", "quantity": 1}, 404, "USAGE_EVENT_NOT_FOUND", None),
        ({}, 422, "FIELD_REQUIRED", "quantity"),
        ({"quantity": -1}, 422, "QUANTITY_OUT_OF_RANGE", "quantity"),
        ({"quantity": "1e3"}, 422, "QUANTITY_OUT_OF_RANGE", "quantity"),
        ({"quantity": True}, 422, "QUANTITY_OUT_OF_RANGE", "quantity"),
        ({"quantity": "1.0000001"}, 422, "QUANTITY_OUT_OF_RANGE", "quantity"),
        ({"data": {}}, 422, "FIELD_REQUIRED", "data/units"),
        ({"data": {"units": "many"}}, 422, "QUANTITY_OUT_OF_RANGE", "data/units"),
        ({"source": "", "quantity": 1}, 422, "FIELD_REQUIRED", "source"),
        ({"id": "x" * 256, "quantity": 1}, 422, "FIELD_TOO_LONG", "id"),
        ({"quantity": 1, "subject": "eve"}, 422, "FIELD_UNKNOWN", "/subject"),
    ],
)
async def test_a_bad_correction_changes_nothing(usage, body, status, reason, field):
    await usage.meter()
    await usage.send(event(1))
    problem = await correct(usage, 1, expect=status, **body)
    assert (problem["reason"], problem["field"]) == (reason, field)
    assert await usage.quantity() == ("1", 1)


async def test_of_many_voids_at_once_one_is_done(usage):
    await usage.meter()
    await usage.send(event(1), event(2))

    async def attempt(key):
        headers = {**usage.headers, **({"Idempotency-Key": key} if key else {})}
        async with usage.platform.http.post(
            usage.platform.url("/v1/usage_events:void"), headers=headers,
            json={"source": "tests", "id": "e1" if key else "e2"},
        ) as answer:  # fmt: skip
            return answer.status, (await answer.json()).get("id")

    found = await asyncio.gather(*(attempt("") for _ in range(20)))
    assert sorted(status for status, _ in found) == [200] + [409] * 19
    # The same request again, by its key, is answered as it was.
    first = await attempt("again")
    assert [await attempt("again") for _ in range(3)] == [first] * 3
    assert first[0] == 200
    listed = await usage.request("GET", "/v1/usage_events/adjustments", 200)
    assert len(listed["data"]) == 2
    assert await usage.quantity() == ("0", 0)


async def test_another_tenant_and_mode_find_no_event(usage, platform):
    await usage.meter()
    await usage.send(event(1))
    for headers in (
        platform.headers("ten_adjusting_stranger"),
        platform.headers(usage.tenant, livemode=True),
    ):
        problem = await void(usage, 1, expect=404, headers=headers)
        assert problem["reason"] == "USAGE_EVENT_NOT_FOUND"
    reader = platform.headers(usage.tenant, scopes=("usage:read",))
    assert (await void(usage, 1, expect=403, headers=reader))["reason"] == "SCOPE_MISSING"
    assert await usage.quantity() == ("1", 1)


async def test_grpc_voids_corrects_and_lists_alike(usage):
    await usage.meter()
    await usage.send(event(1), event(2))
    metadata = usage.metadata()
    request = pb.CorrectUsageEventRequest(
        request_id="c1", source="tests", id="e1", quantity="4", reason="typo"
    )
    made = [(await usage.stub.CorrectUsageEvent(request, metadata=metadata)) for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0].adjustment.quantity, made[0].adjustment.reason) == ("4.000000", "typo")
    voided = pb.VoidUsageEventRequest(source="tests", id="e2")
    assert (await usage.stub.VoidUsageEvent(voided, metadata=metadata)).adjustment.kind == "void"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await usage.stub.VoidUsageEvent(voided, metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await usage.quantity() == ("4", 1)
    listed = await usage.stub.ListUsageAdjustments(
        pb.ListUsageAdjustmentsRequest(page_size=1), metadata=metadata
    )
    assert [item.event_id for item in listed.adjustments] == ["e2"]
    assert listed.next_page_token


async def test_periods_are_changed_by_late_voided_and_corrected_usage_alone(usage):
    await usage.meter()
    months = [f"2026-0{month}-01T00:00:00Z" for month in range(1, 6)]
    instants = [datetime.fromisoformat(text).astimezone(UTC) for text in months]
    for number, text in enumerate(months[:4]):
        await usage.send(event(number, time=text))
    await usage.flush()
    read_at = datetime.now(UTC) + timedelta(milliseconds=1)

    async def changed():
        request = pb.ListChangedPeriodsRequest(
            customer_id="ada",
            periods=[
                pb.ReadPeriod(
                    starts_at=to_timestamp(starts_at),
                    ends_at=to_timestamp(ends_at),
                    read_at=to_timestamp(read_at),
                )
                for starts_at, ends_at in pairwise(instants)
            ],
        )
        answer = await usage.stub.ListChangedPeriods(request, metadata=usage.metadata())
        return list(answer.changed)

    assert await changed() == []
    await usage.send(event("late", time="2026-02-28T23:59:59Z"))
    await usage.flush()
    assert await changed() == [1]
    await void(usage, 3)
    await correct(usage, 0, quantity=7)
    assert await changed() == [0, 1, 3]
    # A meter that is counted anew changes no usage.
    await usage.request("PATCH", "/v1/meters/units", 200, json={"spec": {"displayName": "Units"}})
    await usage.request("PATCH", "/v1/meters/units", 200, json={"spec": {"unit": "call"}})
    assert await changed() == [0, 1, 3]
    assert await usage.quantity(bounds=(JANUARY[0], JANUARY[1])) == ("7", 1)
