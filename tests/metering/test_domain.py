"""What an event must be, by rule."""

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from billplane.chassis.errors import BillplaneError
from billplane.metering.domain import (
    check_text,
    check_time,
    meter_of,
    parse_quantity,
    read_text,
)
from billplane.metering.service.reading import decode
from billplane.resources import MeterSpec
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALLOWED = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
FEW = settings(max_examples=200, deadline=None)


@FEW
@given(st.text(alphabet="0123456789.-+eE_ Na١٢\n", max_size=22))
def test_a_text_is_a_quantity_when_it_has_the_documented_form(text):
    found = parse_quantity(text)
    if ALLOWED.fullmatch(text):
        assert found == Decimal(text)
    else:
        assert found is None


TOKEN = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


@FEW
@given(st.from_regex(TOKEN, fullmatch=True))
def test_a_json_number_is_a_quantity_when_its_value_fits_exactly(token):
    value = Decimal(token)
    fits = value == 0 or (
        -6 <= value.adjusted() < 12 and value == round(value, 6) and abs(value) < 10**12
    )
    found = parse_quantity(decode(f'{{"q": {token}}}'.encode())["q"])
    assert found == value if fits else found is None


@FEW
@given(st.decimals(min_value=0, max_value=10**12 - 1, places=6))
def test_a_quantity_comes_back_digit_by_digit(value):
    assert parse_quantity(f"{value:f}") == value
    assert parse_quantity(decode(f'{{"q": {value:f}}}'.encode())["q"]) == value


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1_000", "١٢", " 1", "1 ", "+1", ".5", "5.", "", "1e3", "0x1",
     "1234567890123", "0.1234567", "1\n", None, True, [], {}, Decimal("NaN"), Decimal("Infinity"),
     10**12, -(10**12)],
)  # fmt: skip
def test_what_only_looks_like_a_quantity_is_none(value):
    assert parse_quantity(value) is None


@pytest.mark.parametrize("token", ["1e400", "1e999999999", "-1e999999999", "1e-999999999"])
def test_a_number_beyond_all_bounds_is_refused_at_once(token):
    started = time.perf_counter()
    assert parse_quantity(decode(f'{{"q": {token}}}'.encode())["q"]) is None
    assert time.perf_counter() - started < 0.1


def test_minus_zero_is_zero():
    assert str(parse_quantity("-0")) == "0"
    assert str(parse_quantity("-0.00")) == "0"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b'{"a": NaN}', b"\xff", b'"\\ud800"', b"[" * 100_000]
)
def test_a_body_that_is_no_json_is_malformed(body):
    with pytest.raises(BillplaneError) as raised:
        decode(body)
    assert raised.value.reason == "BODY_MALFORMED"


def read_time(value, livemode=False):
    errors = []
    found = check_time(value, NOW, livemode, "/time", 3, errors)
    return found, errors


@FEW
@given(
    st.datetimes(
        datetime(1971, 1, 1),  # noqa: DTZ001 - naive bounds, as hypothesis wants them
        datetime(2099, 12, 31),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    st.timezones(),
)
def test_an_instant_of_any_zone_is_the_same_instant_in_utc(instant, zone):
    text = instant.astimezone(zone).isoformat()
    if re.search(r"[+-][0-9]{2}:[0-9]{2}:[0-9.]+\Z", text):
        return  # local mean time with seconds, which RFC 3339 cannot write
    found, errors = read_time(text)
    assert errors == []
    assert found == instant
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "livemode", "reason"),
    [
        ("2026-01-01T00:00:00", False, "TIME_INVALID"),
        ("yesterday", False, "TIME_INVALID"),
        ("2026-02-30T00:00:00Z", False, "TIME_INVALID"),
        (1_767_225_600, False, "TIME_INVALID"),
        ("0001-01-01T00:00:00+14:00", False, "TIME_OUT_OF_RANGE"),
        ("1969-12-31T23:59:59Z", False, "TIME_OUT_OF_RANGE"),
        ("2101-01-01T00:00:00Z", False, "TIME_OUT_OF_RANGE"),
        ("9999-12-31T23:59:59-14:00", False, "TIME_OUT_OF_RANGE"),
        ("2026-03-01T13:00:00Z", True, "TIME_OUT_OF_RANGE"),
        ("2025-01-25T11:59:59Z", True, "TIME_OUT_OF_RANGE"),
    ],
)
def test_a_time_without_zone_or_outside_the_range_is_named(value, livemode, reason):
    _, errors = read_time(value, livemode)
    assert [item.as_json()["index"] for item in errors] == [3]
    assert errors[0].reason == reason


@pytest.mark.parametrize(
    ("value", "livemode"),
    [
        ("1970-01-01T00:00:00Z", False),
        ("2100-12-31T23:59:59Z", False),
        ("2026-03-01T12:59:59Z", True),
        ("2025-01-25T12:00:00Z", True),
        (None, True),
    ],
)
def test_the_edges_of_each_modes_range_are_inside(value, livemode):
    assert read_time(value, livemode)[1] == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "FIELD_REQUIRED"),
        ("", "FIELD_REQUIRED"),
        (7, "FIELD_INVALID"),
        ("x" * 256, "FIELD_TOO_LONG"),
        ("a\nb", "TEXT_INVALID"),
        ("a\x7f", "TEXT_INVALID"),
    ],
)
def test_a_name_has_1_to_255_characters_without_control_characters(value, reason):
    errors = []
    check_text(value, "/id", 0, errors)
    assert [item.reason for item in errors] == [reason]
    errors.clear()
    assert check_text("ü" * 255, "/id", 0, errors) == "ü" * 255
    assert errors == []


def test_a_dimension_is_the_text_of_its_property():
    data = {"a": {"b": "x"}, "number": 7, "flag": True, "nothing": None}
    read = {
        path: read_text(data, tuple(path.split(".")))
        for path in ("a.b", "number", "flag", "nothing", "a.c", "number.b")
    }
    assert read == {
        "a.b": "x", "number": "7", "flag": "true", "nothing": "", "a.c": "", "number.b": "",
    }  # fmt: skip


def test_a_meter_is_taken_apart_once():
    spec = MeterSpec.parse(
        {
            "eventType": "call",
            "aggregation": "Sum",
            "valueProperty": "$.usage.seconds",
            "groupBy": [{"name": "region", "property": "$.where.region"}],
            "filter": [{"property": "$.kind", "in": ["a", "b"]}],
        }
    )
    meter = meter_of("mtr_1", "calls", spec)
    assert meter.value == ("usage", "seconds")
    assert meter.group_by == (("region", ("where", "region")),)
    assert meter.filter == ((("kind",), frozenset({"a", "b"})),)
