"""The kept path: one quantity a request, as its callers send it."""

import pytest

from tests.metering.usage import NOON

BATCH = "application/cloudevents-batch+json"
SINGLE = "application/cloudevents+json"


async def test_the_kept_path_takes_a_quantity(usage):
    await usage.meter()
    for quantity in (2, "1.5", "0.000001"):
        answer = await usage.kept(quantity=quantity, timestamp=NOON)
        assert answer["status"] == "accepted"
    assert await usage.quantity() == ("3.500001", 3)


async def test_kept_posts_without_an_id_are_events_of_their_own(usage):
    await usage.meter()
    answers = [await usage.kept(quantity=1, timestamp=NOON) for _ in range(2)]
    assert answers[0]["event_id"] != answers[1]["event_id"]
    assert await usage.quantity() == ("2", 2)


async def test_a_kept_event_id_counts_once(usage):
    await usage.meter()
    first, second = [
        await usage.kept(quantity=1, event_id="mine", timestamp=NOON) for _ in range(2)
    ]
    assert first == {"event_id": "mine", "status": "accepted"}
    assert second == {"event_id": "mine", "status": "duplicate"}
    problem = await usage.kept(quantity=2, event_id="mine", timestamp=NOON, expect=409)
    assert problem["reason"] == "EVENT_ID_REUSED"


async def test_a_kept_post_repeated_with_its_idempotency_key_counts_once(usage):
    await usage.meter()
    always = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    headers = {"Idempotency-Key": "order-7"}
    statuses = [(await usage.kept(quantity=3, headers=headers))["status"] for _ in range(3)]
    assert statuses == ["accepted", "duplicate", "duplicate"]
    assert await usage.quantity(bounds=always) == ("3", 1)
    assert (await usage.kept(quantity=4, headers=headers, expect=409))[
        "reason"
    ] == "EVENT_ID_REUSED"
    bad = {"Idempotency-Key": "k" * 256}
    assert (await usage.kept(quantity=4, headers=bad, expect=422))["reason"] == "FIELD_TOO_LONG"


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "/quantity", "FIELD_REQUIRED"),
        ({"quantity": "1,5"}, "/quantity", "QUANTITY_OUT_OF_RANGE"),
        ({"quantity": -1}, "/quantity", "QUANTITY_OUT_OF_RANGE"),
        ({"quantity": 1, "customer_id": ""}, "/customer_id", "FIELD_REQUIRED"),
        ({"quantity": 1, "resource_type": "unknown"}, "/resource_type", "METER_UNKNOWN"),
        ({"quantity": 1, "timestamp": "1999"}, "/timestamp", "TIME_INVALID"),
        ({"quantity": 1, "unit": "GB"}, "/unit", "FIELD_UNKNOWN"),
        ({"quantity": 1, "event_id": 7}, "/event_id", "FIELD_INVALID"),
    ],
)
async def test_the_kept_path_names_what_is_wrong(usage, body, field, reason):
    await usage.meter()
    problem = await usage.kept(expect=422, **body)
    assert (problem["field"], problem["reason"]) == (field, reason)


async def test_metadata_of_the_kept_path_is_what_dimensions_and_filters_read(usage):
    await usage.meter(
        groupBy=[{"name": "region", "property": "$.region"}],
        filter=[{"property": "$.plan", "in": ["pro"]}],
    )
    for region, plan in (("eu", "pro"), ("us", "pro"), ("eu", "free")):
        metadata = {"region": region, "plan": plan}
        await usage.kept(quantity=2, timestamp=NOON, metadata=metadata)
    found = (await usage.rows(group_by="region"))["data"]
    assert [(row["dimensions"]["region"], row["quantity"]) for row in found] == [
        ("eu", "2"),
        ("us", "2"),
    ]
