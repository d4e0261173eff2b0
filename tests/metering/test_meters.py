"""Meters of both origins: made, changed, removed, and counted anew from stored events."""

import asyncio
import json

import grpc
import pytest
from billplane.protos.metering.v1 import metering_pb2 as pb

from tests.metering.usage import event

SPEC = {"eventType": "api.request", "aggregation": "Sum", "valueProperty": "$.units"}


def application(generation=1, name="units", uid="uid-1", epoch=0, **spec):
    return pb.ApplyMeterRequest(
        uid=uid,
        namespace="default",
        name=name,
        generation=generation,
        epoch=epoch,
        spec_json=json.dumps({**SPEC, **spec}),
    )


async def apply(usage, *arguments, **values):
    operator = usage.metadata(subject="operator")
    return await usage.stub.ApplyMeter(application(*arguments, **values), metadata=operator)


async def test_a_meter_is_made_read_changed_and_deleted(usage):
    made = await usage.meter(groupBy=[{"name": "region", "property": "$.region"}])
    assert (made["origin"], made["version"], made["name"]) == ("api", 1, "units")
    assert await usage.request("GET", f"/v1/meters/{made['id']}", 200) == made
    assert await usage.request("GET", "/v1/meters/units", 200) == made
    assert (await usage.request("GET", "/v1/meters", 200))["data"] == [made]
    patch = {"spec": {"displayName": "Units", "groupBy": None}}
    changed = await usage.request("PATCH", "/v1/meters/units", 200, json=patch)
    assert (changed["version"], changed["spec"]["displayName"]) == (2, "Units")
    assert changed["spec_hash"] != made["spec_hash"]
    await usage.request("DELETE", "/v1/meters/units", 204)
    assert (await usage.request("GET", "/v1/meters/units", 404))["reason"] == "METER_NOT_FOUND"
    assert (await usage.send(event(1), expect=422))["reason"] == "METER_UNKNOWN"


async def test_a_name_is_taken_once(usage):
    await usage.meter()
    assert (await usage.meter(expect=409))["reason"] == "NAME_TAKEN"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await apply(usage)
    assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_bad_spec_is_refused_field_by_field(usage):
    problem = await usage.meter(expect=422, aggregation="Median")
    assert (problem["reason"], problem["field"]) == ("INVALID_SPEC", "spec.aggregation")
    problem = await usage.meter(expect=422, valueProperty=None)
    assert problem["field"] == "spec.valueProperty"


async def test_what_a_resource_owns_is_read_only_through_the_api(usage):
    answer = await apply(usage)
    found = await usage.request("GET", "/v1/meters/units", 200)
    assert (found["origin"], found["id"], found["spec_hash"]) == (
        "resource", answer.id, answer.spec_hash,
    )  # fmt: skip
    for method, body in (("PATCH", {"spec": {"unit": "x"}}), ("DELETE", None)):
        problem = await usage.request(method, "/v1/meters/units", 409, json=body)
        assert problem["reason"] == "MANAGED_BY_RESOURCE"


async def test_a_resource_applied_twice_is_the_same_version_and_an_older_one_is_stale(usage):
    first = await apply(usage)
    assert await apply(usage) == first
    second = await apply(usage, 2, unit="calls")
    assert (second.version, second.id) == (2, first.id)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await apply(usage, 1)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    listed = await usage.stub.ListApplied(
        pb.ListAppliedRequest(), metadata=usage.metadata(subject="operator")
    )
    assert [(item.uid, item.generation, item.spec_hash) for item in listed.applied] == [
        ("uid-1", 2, second.spec_hash)
    ]


async def test_a_meter_counts_the_events_that_were_stored_before_it(usage):
    await usage.meter("first")
    await usage.send(*(event(number, data={"units": 2.5}) for number in range(4)))
    assert await usage.quantity("first") == ("10", 4)
    await usage.meter("second", aggregation="Max")
    assert await usage.quantity("second") == ("2.5", 4)
    await apply(usage, name="third", aggregation="Count", valueProperty=None)
    assert await usage.quantity("third") == ("4", 4)


async def test_a_changed_meter_counts_stored_events_anew(usage):
    await usage.meter(groupBy=[{"name": "region", "property": "$.region"}])
    for number, region in enumerate(["eu", "us", "us"]):
        await usage.send(event(number, data={"units": 1, "other": 10, "region": region}))
    assert await usage.quantity() == ("3", 3)
    patch = {"valueProperty": "$.other", "filter": [{"property": "$.region", "in": ["us"]}]}
    await usage.request("PATCH", "/v1/meters/units", 200, json={"spec": patch})
    assert await usage.quantity() == ("20", 2)
    await usage.request(
        "PATCH", "/v1/meters/units", 200, json={"spec": {"aggregation": "Max", "filter": None}}
    )
    assert await usage.quantity(window="period") == ("10", 3)
    await usage.send(event(9, data={"units": 1, "other": 30, "region": "eu"}))
    assert await usage.quantity() == ("30", 4)


async def test_a_meter_that_changes_while_usage_arrives_counts_every_event_once(usage):
    await usage.meter()

    async def send(first):
        for number in range(first, first + 10):
            await usage.send(*(event(f"{number}-{item}") for item in range(5)))

    async def change():
        for number in range(12):
            aggregation = "Count" if number % 2 else "Sum"
            spec = {"aggregation": aggregation, "displayName": str(number)}
            spec["valueProperty"] = "$.units" if aggregation == "Sum" else None
            await usage.request("PATCH", "/v1/meters/units", 200, json={"spec": spec})

    await asyncio.gather(*(send(first * 100) for first in range(4)), change())
    assert await usage.quantity() == ("200", 200)


async def test_two_meters_of_one_type_both_count_an_event(usage):
    await usage.meter()
    await apply(usage, name="calls", aggregation="Count", valueProperty=None)
    await usage.send(event(1, data={"units": 7}))
    assert await usage.quantity() == ("7", 1)
    assert await usage.quantity("calls") == ("1", 1)


async def test_a_removed_resource_keeps_its_records_unless_told_to_delete(usage):
    operator = usage.metadata(subject="operator")
    made = await apply(usage)
    await usage.send(event(1))
    assert await usage.quantity() == ("1", 1)
    for policy in (pb.REMOVE_POLICY_RETAIN, pb.REMOVE_POLICY_DELETE):
        request = pb.RemoveMeterRequest(uid="uid-1", generation=1, policy=policy)
        await usage.stub.RemoveMeter(request, metadata=operator)
        assert (await usage.rows(expect=404))["reason"] == "METER_NOT_FOUND"
    # Applied again it is the same meter, counted from the events that stayed.
    again = await apply(usage, 2)
    assert again.id == made.id
    assert await usage.quantity() == ("1", 1)


async def test_only_the_operator_may_apply(usage):
    for call, request in (
        (usage.stub.ApplyMeter, application()),
        (usage.stub.RemoveMeter, pb.RemoveMeterRequest(uid="uid-1")),
        (usage.stub.ListApplied, pb.ListAppliedRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(request, metadata=usage.metadata())
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
