"""The two doors of usage: what is taken, what is refused, what counts as a repeat."""

import asyncio
import json

import pytest
from billplane.metering.cache import shard_of

from tests.metering.usage import NOON, event

BATCH = "application/cloudevents-batch+json"
SINGLE = "application/cloudevents+json"


def results(*statuses):
    return [
        {"index": index, "id": f"e{index + 1}", "status": status}
        for index, status in enumerate(statuses)
    ]


async def test_one_structured_event_is_taken(usage):
    await usage.meter()
    body = json.dumps(event(1)).encode()
    answer = await usage.send_raw(body, content_type=SINGLE)
    assert answer == {"accepted": 1, "duplicates": 0, "results": results("accepted")}
    assert await usage.quantity() == ("1", 1)


async def test_a_batch_is_taken_in_its_order(usage):
    await usage.meter()
    body = json.dumps([event(1), event(2), event(1)]).encode()
    answer = await usage.send_raw(body, content_type=BATCH)
    assert answer["results"] == [
        {"index": 0, "id": "e1", "status": "accepted"},
        {"index": 1, "id": "e2", "status": "accepted"},
        {"index": 2, "id": "e1", "status": "duplicate"},
    ]
    assert (answer["accepted"], answer["duplicates"]) == (2, 1)
    assert await usage.quantity() == ("2", 2)


async def test_a_binary_event_has_its_attributes_in_headers(usage):
    await usage.meter(groupBy=[{"name": "place", "property": "$.place"}])
    answer = await usage.send_raw(
        '{"units": 1.50, "place": "Zürich"}'.encode(),
        ce_specversion="1.0",
        ce_type="api.request",
        ce_source="tests",
        ce_id="b%201",
        ce_subject="Ren%C3%A9",
        ce_time=NOON,
    )
    assert answer["results"] == [{"index": 0, "id": "b 1", "status": "accepted"}]
    (row,) = (await usage.rows(subject="René", group_by="place"))["data"]
    assert (row["quantity"], row["dimensions"]) == ("1.5", {"place": "Zürich"})


async def test_an_event_without_time_happened_now(usage):
    await usage.meter()
    await usage.send(event(1, time=None))
    assert await usage.quantity() == ("0", 0)
    assert await usage.quantity(bounds=("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")) == ("1", 1)
    assert (await usage.send(event(1, time=None)))["duplicates"] == 1


@pytest.mark.parametrize(
    "number", ["2.5", "0.000001", "999999999999.999999", "1.10", '"3.25"', "12e2", "7"]
)
async def test_a_number_is_counted_digit_by_digit(usage, number):
    await usage.meter()
    body = json.dumps(event(1)).replace('"units": 1', f'"units": {number}')
    await usage.send_raw(body.encode())
    expected = {"12e2": "1200", "1.10": "1.1", '"3.25"': "3.25"}.get(number, number)
    assert await usage.quantity() == (expected, 1)


async def test_extension_attributes_are_allowed_and_mistyped_ones_are_not(usage):
    await usage.meter()
    await usage.send(event(1, traceparent="00-1", datacontenttype="application/json"))
    problem = await usage.send(event(2, Subject="ada"), expect=422)
    assert (problem["reason"], problem["field"]) == ("FIELD_UNKNOWN", "/Subject")


async def test_every_bad_field_of_every_bad_event_is_named_and_nothing_is_taken(usage):
    await usage.meter()
    problem = await usage.send(
        event(1),
        event(2, type="nobody.counts"),
        event(3, time="yesterday", subject=None),
        event(4, data={"units": "lots"}),
        event(5, data={"units": -1}),
        event(6, data={}),
        event(7, data=[1]),
        event(8, specversion="0.3"),
        "no event",
        event(9, id="x" * 256),
        expect=422,
    )
    found = [(item["index"], item["field"], item["reason"]) for item in problem["errors"]]
    assert found == [
        (1, "/1/type", "METER_UNKNOWN"),
        (2, "/2/subject", "FIELD_REQUIRED"),
        (2, "/2/time", "TIME_INVALID"),
        (3, "/3/data/units", "QUANTITY_OUT_OF_RANGE"),
        (4, "/4/data/units", "QUANTITY_OUT_OF_RANGE"),
        (5, "/5/data/units", "FIELD_REQUIRED"),
        (6, "/6/data", "FIELD_INVALID"),
        (7, "/7/specversion", "FIELD_INVALID"),
        (8, "/8", "FIELD_INVALID"),
        (9, "/9/id", "FIELD_TOO_LONG"),
    ]
    assert await usage.quantity() == ("0", 0)
    # Nothing of it is remembered either.
    assert (await usage.send(event(1)))["accepted"] == 1


@pytest.mark.parametrize(
    "number",
    ["1e400", "1e999999999", "-1e999999999", "1e-9", "0.1234567", "1e12", '"NaN"', '"1_000"',
     '"١٢"', "true", "null", "[]"],
)  # fmt: skip
async def test_a_quantity_out_of_range_is_refused_by_name(usage, number):
    await usage.meter()
    body = json.dumps(event(1)).replace('"units": 1', f'"units": {number}')
    problem = await usage.send_raw(body.encode(), expect=422)
    assert problem["field"] == "/data/units"
    missing = number == "null"
    assert problem["reason"] == ("FIELD_REQUIRED" if missing else "QUANTITY_OUT_OF_RANGE")


@pytest.mark.parametrize("other", ["1e999999", "1e-20000", "-1e131072", "1e999999999"])
async def test_a_number_that_no_store_holds_is_refused_wherever_it_stands(usage, other):
    await usage.meter()
    body = json.dumps(event(1)).replace('"units": 1', f'"units": 1, "x": {{"y": [{other}]}}')
    problem = await usage.send_raw(body.encode(), expect=422)
    assert (problem["reason"], problem["field"]) == ("DATA_INVALID", "/data")


@pytest.mark.parametrize("text", ["a\\u0000b", "\\u0000"])
async def test_text_that_no_store_holds_is_refused(usage, text):
    await usage.meter()
    body = json.dumps(event(1)).replace('"units": 1', f'"units": 1, "x": "{text}"')
    assert (await usage.send_raw(body.encode(), expect=422))["reason"] == "DATA_INVALID"


async def test_odd_but_right_data_is_kept_and_counted(usage):
    await usage.meter(groupBy=[{"name": "place", "property": "$.place"}])
    places = [
        "\\u0000",
        "tab\there",
        "line\nbreak",
        "back\\slash",
        "\\N",
        "ü" * 3000,
        '"',
        "1E+9999",
    ]
    await usage.send(
        *(event(number, data={"units": 1, "place": text}) for number, text in enumerate(places))
    )
    found = (await usage.rows(group_by="place"))["data"]
    assert {row["dimensions"]["place"] for row in found} == set(places)
    assert all(row["quantity"] == "1" for row in found)


@pytest.mark.parametrize("name", ["source", "id", "type", "subject"])
async def test_names_keep_every_character(usage, name):
    text = "a\\tb \\N 'x' ü % \\"
    await usage.meter(eventType=text if name == "type" else "api.request")
    await usage.send(event(1, **{name: text}))
    assert await usage.quantity(subject=text if name == "subject" else "ada") == ("1", 1)


async def test_a_body_that_is_no_json_is_refused(usage):
    huge = b'{"data": {"x": 1e99999999999999999999}}'
    for body in (b"", b"{", b"17", b"[" * 5_000 + b"]" * 5_000, b"\xff", huge):
        problem = await usage.send_raw(body, expect=400)
        assert problem["reason"] == "BODY_MALFORMED"
    assert (await usage.send_raw(b"[]", expect=422))["reason"] == "FIELD_REQUIRED"


async def test_a_body_that_says_it_is_no_plain_json_is_refused(usage):
    for headers in ({"content_type": "text/plain"}, {"content_encoding": "gzip"}):
        problem = await usage.send_raw(b"{}", expect=415, **headers)
        assert problem["reason"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_other_methods_are_refused(usage):
    for path in ("/v1/usage_events", "/api/v1/usage"):
        assert (await usage.request("GET", path, 405))["reason"] == "METHOD_NOT_ALLOWED"


async def test_a_thousand_events_are_taken_and_one_more_is_refused(usage):
    await usage.meter()
    events = [event(number, subject=f"c{number % 40}") for number in range(1001)]
    problem = await usage.send(*events, expect=413)
    assert problem["reason"] == "TOO_MANY_EVENTS"
    assert (await usage.send(*events[:1000]))["accepted"] == 1000
    assert await usage.quantity(subject="c7") == ("25", 25)


async def test_a_body_over_a_mebibyte_is_refused(usage):
    await usage.meter()
    body = json.dumps(event(1)).encode()
    problem = await usage.send_raw(body + b" " * (1_048_577 - len(body)), expect=413)
    assert problem["reason"] == "BODY_TOO_LARGE"
    await usage.send_raw(body + b" " * (1_048_576 - len(body)))


async def test_data_over_64_kibibytes_is_refused(usage):
    await usage.meter()
    problem = await usage.send(event(1, data={"units": 1, "x": "y" * 65_536}), expect=422)
    assert (problem["reason"], problem["field"]) == ("DATA_INVALID", "/data")
    await usage.send(event(2, data={"units": 1, "x": "y" * 65_000}))


async def test_a_repeat_is_reported_and_counts_once(usage):
    await usage.meter()
    made = [event(number) for number in range(1, 4)]
    assert (await usage.send(*made))["results"] == results(*["accepted"] * 3)
    assert (await usage.send(*made))["results"] == results(*["duplicate"] * 3)
    await usage.quantity()
    # Also once it is in Postgres, and in another writing of the same content.
    again = {**event(1), "data": {"units": 1}, "time": "2026-01-15T13:00:00+01:00"}
    answer = await usage.send(dict(reversed(again.items())))
    assert answer["results"] == results("duplicate")
    assert await usage.quantity() == ("3", 3)
    assert await usage.conflicts() == []


@pytest.mark.parametrize(
    "change",
    [{"data": {"units": 2}}, {"time": "2026-01-15T12:00:01Z"}, {"type": "other.request"}],
)
async def test_an_id_that_was_used_for_other_content_is_refused(usage, change):
    await usage.meter()
    await usage.meter("others", eventType="other.request")
    await usage.send(event(1))
    for events in ([event(1, **change)], [event(2), event(1, **change)]):
        problem = await usage.send(*events, expect=409)
        assert problem["reason"] == "EVENT_ID_REUSED"
        assert problem["metadata"]["id"] == "e1"
        assert problem["metadata"]["index"] == len(events) - 1
    assert await usage.quantity() == ("1", 1)
    # The other event of the refused request is new.
    assert (await usage.send(event(2)))["accepted"] == 1


def subjects_of_other_shards(tenant, first):
    names = (f"customer-{number}" for number in range(1000))
    return [name for name in names if shard_of(tenant, name) != shard_of(tenant, first)]


async def test_an_id_used_twice_within_a_request_for_different_events_is_refused(usage):
    await usage.meter()
    other = subjects_of_other_shards(usage.tenant, "ada")[0]
    for second in (event(1, data={"units": 2}), event(1, subject=other)):
        problem = await usage.send(event(0), event(1), second, expect=409)
        assert problem["reason"] == "EVENT_ID_REUSED"
        assert problem["metadata"]["index"] == 2
    assert await usage.quantity() == ("0", 0)
    assert (await usage.send(event(1)))["accepted"] == 1


async def test_a_request_over_many_shards_is_all_or_nothing(usage):
    await usage.meter()
    await usage.send(event(1))
    others = subjects_of_other_shards(usage.tenant, "ada")[:20]
    events = [event(number + 10, subject=name) for number, name in enumerate(others)]
    await usage.send(*events, event(1, data={"units": 5}), expect=409)
    for name in others:
        assert await usage.quantity(subject=name) == ("0", 0)
    assert (await usage.send(*events, event(1)))["duplicates"] == 1


async def test_an_id_reused_for_another_shards_customer_stands_first_and_is_listed(usage):
    await usage.meter()
    other = subjects_of_other_shards(usage.tenant, "ada")[0]
    await usage.send(event(1))
    await usage.quantity()
    await usage.send(event(1, subject=other))
    (conflict,) = await usage.conflicts()
    assert (conflict["id"], conflict["subject"], conflict["data"]) == ("e1", other, {"units": 1})
    assert await usage.quantity() == ("1", 1)
    assert await usage.quantity(subject=other) == ("0", 0)


async def test_conflicts_of_one_flush_are_listed_too(usage):
    await usage.meter()
    others = subjects_of_other_shards(usage.tenant, "ada")
    for name in ["ada", *others[:5]]:
        await usage.send(event(1, subject=name))
    found = await usage.conflicts()
    totals = [await usage.quantity(subject=name) for name in ["ada", *others[:5]]]
    assert sorted(totals) == [("0", 0)] * 5 + [("1", 1)]
    assert len(found) == 5
    first = await usage.request("GET", "/v1/usage_events/conflicts?limit=3", 200)
    cursor = first["next_cursor"]
    rest = await usage.request("GET", f"/v1/usage_events/conflicts?limit=3&cursor={cursor}", 200)
    assert [*first["data"], *rest["data"]] == found
    assert rest["next_cursor"] is None


async def test_fifty_equal_requests_at_once_are_one_event(usage):
    await usage.meter()
    answers = await asyncio.gather(*(usage.send(event(1)) for _ in range(50)))
    assert sum(answer["accepted"] for answer in answers) == 1
    assert await usage.quantity() == ("1", 1)


async def test_modes_and_tenants_do_not_meet(usage, platform, channel):
    await usage.meter()
    live = type(usage)(platform, usage.tenant, channel, livemode=True)
    stranger = type(usage)(platform, usage.tenant + "_b", channel)
    await stranger.meter()
    now = {"time": None}
    for sender in (usage, live, stranger):
        assert (await sender.send(event(1, **now)))["accepted"] == 1
    always = {"bounds": ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")}
    for sender in (usage, live, stranger):
        assert await sender.quantity(**always) == ("1", 1)


async def test_live_mode_takes_late_events_of_400_days_and_no_older(usage, platform, channel):
    await usage.meter()
    live = type(usage)(platform, usage.tenant, channel, livemode=True)
    problem = await live.send(event(1, time="2013-01-01T00:00:00Z"), expect=422)
    assert (problem["reason"], problem["field"]) == ("TIME_OUT_OF_RANGE", "/time")
    await usage.send(event(1, time="2013-01-01T00:00:00Z"))
    bounds = ("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z")
    assert await usage.quantity(bounds=bounds) == ("1", 1)
    # A late event counts in the hour in which it happened.
    await usage.send(event(2, time="2013-01-01T00:30:00Z"))
    assert await usage.quantity(bounds=bounds) == ("2", 2)


async def test_an_unknown_customer_is_kept_and_listed_until_somebody_has_the_name(usage):
    await usage.meter()
    await usage.send(event(1, subject="ada"), event(2, subject="ghost"), event(3, subject="ghost"))
    await usage.request("POST", "/v1/customers", 201, json={"name": "Ada", "external_id": "ada"})
    found = (await usage.request("GET", "/v1/usage/unattributed", 200))["data"]
    assert [(item["subject"], item["event_count"]) for item in found] == [("ghost", 2)]
    await usage.request("POST", "/v1/customers", 201, json={"name": "G", "external_id": "ghost"})
    assert (await usage.request("GET", "/v1/usage/unattributed", 200))["data"] == []


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_subjects_without_a_customer_are_listed_page_by_page(usage, order):
    await usage.meter()
    names = [f"ghost {number} — é" for number in range(7)]
    for name in names:
        await usage.send(event(name, subject=name))
    await usage.request("POST", "/v1/customers", 201, json={"name": "G", "external_id": names[3]})
    found, cursor = [], ""
    while cursor is not None:
        path = f"/v1/usage/unattributed?limit=2&order={order}"
        page = await usage.request("GET", f"{path}&cursor={cursor}" if cursor else path, 200)
        found += [item["subject"] for item in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(found) == [name for name in names if name != names[3]]
    for bad in ("nonsense", "MTIwMjY", "x" * 501):
        path = f"/v1/usage/unattributed?cursor={bad}"
        assert (await usage.request("GET", path, 422))["field"] == "cursor"


async def test_conflicts_are_listed_page_by_page(usage, platform):
    await usage.meter()
    runtime = platform.platform.runtimes["metering"]
    await usage.send(*(event(number) for number in range(5)))
    await usage.flush()
    # At the door nobody remembers them any more.
    async with runtime.redis.client() as redis:
        for key in [key async for key in redis.scan_iter("seen:*")]:
            await redis.delete(key)
    await usage.send(*(event(number, data={"units": 9}) for number in range(5)))
    found, cursor = [], ""
    while cursor is not None:
        path = "/v1/usage_events/conflicts?limit=2"
        page = await usage.request("GET", f"{path}&cursor={cursor}" if cursor else path, 200)
        found += [item["id"] for item in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(found) == [f"e{number}" for number in range(5)]
    assert await usage.quantity() == ("5", 5)


async def test_usage_wants_its_scope(usage):
    await usage.meter()
    usage.headers = usage.platform.headers(usage.tenant, scopes=("usage:read",))
    assert (await usage.send(event(1), expect=403))["reason"] == "SCOPE_MISSING"
    usage.headers = usage.platform.headers(usage.tenant, scopes=("customers:read",))
    assert (await usage.rows(expect=403))["reason"] == "SCOPE_MISSING"
