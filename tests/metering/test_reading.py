"""Usage as it is read: each aggregation, window, zone, group and filter against a plain model."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metering import model
from tests.metering.usage import Usage, event

AGGREGATIONS = (
    "Sum", "Count", "Max", "Min", "Average", "Latest", "UniqueCount", "WeightedSum",
)  # fmt: skip
# Around both changes of the clocks in Europe; +05:30 and +10:30/+11 have no whole hours.
BOUNDS = [
    (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)),
    (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 26, 23, tzinfo=UTC)),
    (datetime(2026, 3, 28, 18, 30, tzinfo=UTC), datetime(2026, 3, 30, 18, 30, tzinfo=UTC)),
    (datetime(2026, 4, 3, 13, tzinfo=UTC), datetime(2026, 4, 6, 13, 30, tzinfo=UTC)),
]
ZONES = ["Etc/UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"]
REGIONS = ["eu", "us", ""]
GROUP_BY = [
    {"name": "region", "property": "$.where.region"},
    {"name": "size", "property": "$.size"},
]
subjects = count(1)


@pytest.fixture(scope="module")
async def measured(platform, channel):
    """Give a tenant with one meter of each aggregation over the same events."""
    usage = Usage(platform, "ten_reading", channel)
    for aggregation in AGGREGATIONS:
        await usage.meter(
            aggregation.lower(), aggregation=aggregation, groupBy=GROUP_BY, allowNegative=True
        ) if aggregation != "Count" else await usage.meter(
            "count", aggregation="Count", groupBy=GROUP_BY
        )
    return usage


@st.composite
def batches(draw):
    """Make some events within or just beside a period."""
    starts_at, ends_at = draw(st.sampled_from(BOUNDS))
    minutes = int((ends_at - starts_at).total_seconds() // 60)
    made = draw(
        st.lists(
            st.tuples(
                st.integers(-90, minutes + 90),
                st.sampled_from([0, 1, 59]),
                st.decimals(-1000, 1000, places=6) | st.integers(-5, 5).map(Decimal),
                st.booleans(),
                st.sampled_from(REGIONS),
                st.sampled_from([1, 2]),
            ),
            min_size=1,
            max_size=25,
        )
    )
    return (starts_at, ends_at), made


def as_point(number, starts_at, item):
    minutes, seconds, value, _, region, size = item
    return model.Point(
        starts_at + timedelta(minutes=minutes, seconds=seconds),
        f"e{number:03}",
        value,
        f"{value}",
        (region, str(size)),
    )


def as_event(point, item, subject):
    value = f"{point.value:f}"
    return event(
        0,
        subject,
        id=f"{subject}-{point.id}",
        time=point.at.isoformat(),
        data={
            "units": value,
            "where": {"region": item[4]} if item[4] else {},
            "size": item[5],
        },
    )


def as_rows(answer, dimensions):
    return [
        (
            datetime.fromisoformat(row["starts_at"]),
            tuple(row["dimensions"][name] for name in dimensions),
            Decimal(row["quantity"]),
            row["event_count"],
            row["seconds"],
        )
        for row in answer["data"]
    ]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batch=batches(),
    zone=st.sampled_from(ZONES),
    window=st.sampled_from(["period", "day", "hour", "quarter_hour"]),
    dimensions=st.sampled_from([[], ["region", "size"]]),
)
async def test_every_aggregation_and_window_is_what_plain_python_says(
    measured, batch, zone, window, dimensions
):
    bounds, items = batch
    # Examples may take longer together than one credential lives.
    measured.headers = measured.platform.headers(measured.tenant)
    subject = f"s{next(subjects)}"
    points = [as_point(number, bounds[0], item) for number, item in enumerate(items)]
    await measured.send(
        *(as_event(point, item, subject) for point, item in zip(points, items, strict=True))
    )
    texts = tuple(at.isoformat() for at in bounds)
    for aggregation in AGGREGATIONS:
        answer = await measured.rows(
            aggregation.lower(), subject, bounds=texts, window=window, time_zone=zone,
            group_by=dimensions, limit=5000,
        )  # fmt: skip
        expected = model.usage(aggregation, points, bounds, window, zone, bool(dimensions))
        assert as_rows(answer, dimensions) == expected, aggregation


async def test_a_day_has_23_or_25_hours_where_the_clocks_change(usage):
    await usage.meter()
    times = ["2026-03-28T22:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T21:59:59Z",
             "2026-10-24T22:30:00Z", "2026-10-25T22:59:59Z"]  # fmt: skip
    await usage.send(*(event(number, time=text) for number, text in enumerate(times)))
    bounds = ("2026-03-01T00:00:00+01:00", "2026-11-01T00:00:00+01:00")
    found = await usage.rows(window="day", time_zone="Europe/Berlin", bounds=bounds)
    assert [(row["starts_at"], row["seconds"], row["quantity"]) for row in found["data"]] == [
        ("2026-03-27T23:00:00Z", 86_400, "1"),
        ("2026-03-28T23:00:00Z", 82_800, "2"),
        ("2026-10-24T22:00:00Z", 90_000, "2"),
    ]


async def test_days_of_a_half_hour_zone_begin_at_its_midnight(usage):
    await usage.meter()
    await usage.send(
        event(1, time="2026-01-10T18:29:59Z"),
        event(2, time="2026-01-10T18:30:00Z"),
        event(3, time="2026-01-11T18:29:59Z"),
    )
    bounds = ("2026-01-01T00:00:00+05:30", "2026-02-01T00:00:00+05:30")
    found = await usage.rows(window="day", time_zone="Asia/Kolkata", bounds=bounds)
    assert [(row["starts_at"], row["quantity"]) for row in found["data"]] == [
        ("2026-01-09T18:30:00Z", "1"),
        ("2026-01-10T18:30:00Z", "2"),
    ]


async def test_a_period_is_half_open(usage):
    await usage.meter()
    await usage.send(
        event(1, time="2025-12-31T23:59:59.999999Z"),
        event(2, time="2026-01-01T00:00:00Z"),
        event(3, time="2026-01-31T23:59:59.999999Z"),
        event(4, time="2026-02-01T00:00:00Z"),
    )
    assert await usage.quantity() == ("2", 2)


async def test_a_filter_keeps_what_has_one_of_the_values(usage):
    await usage.meter(groupBy=GROUP_BY)
    data = [
        {"units": number + 1, "where": {"region": region}, "size": size}
        for number, (region, size) in enumerate([("eu", 1), ("eu", 2), ("us", 1), ("ap", 1)])
    ]
    await usage.send(*(event(number, data=item) for number, item in enumerate(data)))
    assert await usage.quantity(filter="region=eu") == ("3", 2)
    assert await usage.quantity(filter=["region=eu", "region=us"]) == ("6", 3)
    assert await usage.quantity(filter=["region=eu", "region=us", "size=1"]) == ("4", 2)
    # Bounds within an hour are answered from the events themselves.
    inside = ("2026-01-15T11:59:00Z", "2026-01-15T12:01:00Z")
    assert await usage.quantity(filter=["region=eu", "size=2"], bounds=inside) == ("2", 1)
    problem = await usage.rows(filter="color=red", expect=422)
    assert (problem["reason"], problem["field"]) == ("DIMENSION_UNKNOWN", "filter")
    assert (await usage.rows(filter="region", expect=422))["field"] == "filter"
    assert (await usage.rows(group_by="color", expect=422))["field"] == "group_by"


async def test_a_meters_own_filter_decides_what_counts(usage):
    await usage.meter(filter=[{"property": "$.cancelled", "in": ["false"]}])
    await usage.meter(
        "kinds",
        aggregation="Count",
        filter=[{"property": "$.cancelled", "in": ["false", "true"]},
                {"property": "$.kind", "in": ["7", "1.5", '{"a": 1}']}],
        groupBy=[{"name": "kind", "property": "$.kind"}],
    )  # fmt: skip
    for number, (cancelled, kind) in enumerate(
        [(False, 7), (True, 1.5), (False, {"a": 1}), (False, None), (False, 8), (None, 7)]
    ):
        await usage.send(event(number, data={"units": 1, "cancelled": cancelled, "kind": kind}))
    assert await usage.quantity() == ("4", 4)
    found = (await usage.rows("kinds", group_by="kind"))["data"]
    assert {row["dimensions"]["kind"]: row["quantity"] for row in found} == {
        "1.5": "1", "7": "1", '{"a": 1}': "1",
    }  # fmt: skip


async def test_records_and_events_agree_on_what_a_dimension_is(usage):
    await usage.meter(groupBy=[{"name": "kind", "property": "$.kind"}])
    kinds = ["1.50", "1e2", "1E-7", "true", '"true"', '{"b":1,"a":[2, 3]}', "null", "123456789012"]
    for number, kind in enumerate(kinds):
        body = f"""{{"source": "tests", "id": "e{number}", "type": "api.request",
            "subject": "ada", "time": "2026-01-15T12:00:00Z",
            "data": {{"units": 1, "kind": {kind}}}}}"""
        await usage.send_raw(body.encode())
    whole = await usage.rows(group_by="kind", window="hour")
    cut = await usage.rows(group_by="kind", window="quarter_hour")
    assert [row["dimensions"] for row in whole["data"]] == [
        row["dimensions"] for row in cut["data"]
    ]
    before = whole["data"]
    await usage.request("PATCH", "/v1/meters/units", 200, json={"spec": {"displayName": "Again"}})
    assert (await usage.rows(group_by="kind", window="hour"))["data"] == before


async def test_pages_of_more_than_5000_rows_hold_every_row_once(usage, measured):
    measured.headers = usage.platform.headers(measured.tenant)
    minutes = 6200
    start = datetime(2026, 5, 1, tzinfo=UTC)
    made = [
        event(
            0,
            "pages",
            id=f"pages-{minute}",
            time=(start + timedelta(minutes=minute)).isoformat(),
            data={"units": minute, "where": {"region": str(minute % 7)}, "size": 1},
        )
        for minute in range(minutes)
    ]
    for at in range(0, minutes, 1000):
        await measured.send(*made[at : at + 1000])
    await measured.flush()
    from_ = {"starts_at": start, "ends_at": start + timedelta(days=5)}
    rows, token = [], ""
    sizes = []
    while True:
        answer = await measured.query(
            "sum", "pages", window="USAGE_WINDOW_EVENT", page_token=token,
            event_properties=["$.where.region"], **from_,
        )  # fmt: skip
        rows += answer.rows
        sizes.append(len(answer.rows))
        token = answer.next_page_token
        if not token:
            break
    assert sizes == [5000, 1200]
    assert [row.quantity for row in rows] == [str(minute) for minute in range(minutes)]
    assert [row.properties[0] for row in rows[:8]] == ["0", "1", "2", "3", "4", "5", "6", "0"]
    buckets, token = [], ""
    while token is not None:
        answer = await measured.rows(
            "sum", "pages", bounds=(start.isoformat(), "2026-05-06T00:00:00Z"), limit=500,
            window="quarter_hour", group_by="region", **({"cursor": token} if token else {}),
        )  # fmt: skip
        buckets += answer["data"]
        token = answer["next_cursor"]
    keys = [(row["starts_at"], row["dimensions"]["region"]) for row in buckets]
    assert len(keys) == len(set(keys)) > 2500
    assert keys == sorted(keys)
    assert sum(Decimal(row["quantity"]) for row in buckets) == sum(range(minutes))


async def test_the_events_of_a_kept_quantity_count_for_every_meter_of_their_type(usage):
    await usage.meter()
    await usage.meter("most", aggregation="Max")
    await usage.meter("calls", aggregation="Count")
    await usage.meter("different", aggregation="UniqueCount")
    for quantity in (3, "5.5", 3):
        await usage.kept(quantity=quantity, timestamp="2026-01-15T12:00:00Z")
    found = {name: await usage.quantity(name) for name in ("units", "most", "calls", "different")}
    assert found == {"units": ("11.5", 3), "most": ("5.5", 3), "calls": ("3", 3),
                     "different": ("2", 3)}  # fmt: skip


async def test_negative_quantities_need_a_meter_that_takes_them(usage):
    await usage.meter(allowNegative=True)
    await usage.kept(quantity="-2.5", timestamp="2026-01-15T12:00:00Z")
    await usage.send(event(1, data={"units": -1}))
    assert await usage.quantity() == ("-3.5", 2)


async def test_a_weighted_sum_weighs_each_value_by_how_long_it_held(usage):
    await usage.meter("storage", aggregation="WeightedSum", groupBy=GROUP_BY[:1])
    values = [
        ("2025-12-20T00:00:00Z", "eu", 7),
        ("2025-12-30T00:00:00Z", "eu", 10),  # what held when the period began
        ("2026-01-11T00:00:00Z", "eu", 20),
        ("2026-01-21T00:00:00Z", "eu", 0),
        ("2026-01-31T00:00:00Z", "us", 31),
        ("2026-02-01T00:00:00Z", "eu", 1000),
    ]
    for number, (at, region, units) in enumerate(values):
        data = {"units": units, "where": {"region": region}}
        await usage.send(event(number, time=at, data=data))
    found = (await usage.rows("storage", group_by="region"))["data"]
    # (10 days of 10 + 10 days of 20) of 31 days; and 31 for one day of 31.
    rows = [(row["dimensions"]["region"], row["quantity"], row["event_count"]) for row in found]
    assert rows == [("eu", "9.677419", 2), ("us", "1", 1)]
    # Where the dimension is not asked for, what both held adds up.
    assert await usage.quantity("storage") == ("10.677419", 3)


async def test_a_weighted_sum_carries_the_last_value_over_empty_periods(usage):
    await usage.meter("storage", aggregation="WeightedSum")
    await usage.send(event(1, time="2026-01-16T12:00:00Z", data={"units": 62}))
    months = [f"2026-{month:02}-01T00:00:00Z" for month in range(1, 7)]
    found = [await usage.quantity("storage", bounds=bounds) for bounds in pairwise(months)]
    # It held for half of January, and all of every month after it, though nothing was sent.
    assert found == [("31", 1), ("62", 0), ("62", 0), ("62", 0), ("62", 0)]
    assert await usage.quantity("storage", bounds=("2025-12-01T00:00:00Z", months[0])) == ("0", 0)


async def test_a_weighted_sum_of_a_year_of_readings_is_cut_into_quarter_hours(usage):
    await usage.meter("level", aggregation="WeightedSum")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = [
        event(number, time=(start + timedelta(minutes=45 * number)).isoformat(),
              data={"units": number})
        for number in range(2000)
    ]  # fmt: skip
    for at in range(0, 2000, 1000):
        await usage.send(*made[at : at + 1000])
    year = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
    found = (await usage.rows("level", window="quarter_hour", limit=5000, bounds=year))["data"]
    assert [Decimal(row["quantity"]) for row in found] == [number // 3 for number in range(5000)]
    problem = await usage.rows(
        "level", window="quarter_hour", bounds=("1971-01-01T00:00:00Z", year[1]), expect=422
    )
    assert (problem["reason"], problem["field"]) == ("TOO_MANY_WINDOWS", "window")


async def test_single_events_are_told_by_their_source_and_id(usage):
    await usage.meter(groupBy=GROUP_BY[:1])
    for number in (2, 1):
        data = {"units": number, "where": {"region": "eu"}}
        await usage.send(event(number, time=f"2026-01-15T12:00:0{number}Z", data=data))
    found = (await usage.rows(window="event", group_by="region"))["data"]
    assert [(row["source"], row["id"], row["quantity"], row["dimensions"]) for row in found] == [
        ("tests", "e1", "1", {"region": "eu"}),
        ("tests", "e2", "2", {"region": "eu"}),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bounds": ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z")}, "ends_at"),
        ({"bounds": ("2026-01-01T00:00:00", "2026-02-01T00:00:00Z")}, "starts_at"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"window": "century"}, "window"),
        ({"limit": 5001}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
    ],
)
async def test_a_bad_question_is_refused_by_name(usage, change, field):
    await usage.meter()
    problem = await usage.rows(expect=422, **change)
    assert problem["field"] == field
    if field == "cursor":
        assert problem["reason"] == "CURSOR_INVALID"


async def test_an_unknown_meter_is_not_found(usage):
    assert (await usage.rows("nothing", expect=404))["reason"] == "METER_NOT_FOUND"
