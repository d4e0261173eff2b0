"""CloudEvents' own SDK: it writes what we recorded, and what it writes is accepted.

The walk-through sends tests/walkthroughs/cloudevents.json to the platform as it stands; here the
SDK writes the same events, and must write the same headers and bytes.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    JSONFormat,
    from_http,
    to_binary,
    to_structured,
)
from cloudevents.core.v1.event import CloudEvent

from tests.judges.conftest import Judged

RECORDED = json.loads(
    (Path(__file__).parents[1] / "walkthroughs" / "cloudevents.json").read_text(encoding="utf-8")
)
WRITERS = {"structured": to_structured, "binary": to_binary}


@pytest.mark.parametrize("mode", WRITERS)
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda item: item["attributes"]["id"])
def test_the_sdk_writes_what_the_walkthrough_sends(recorded: dict[str, Any], mode: str) -> None:
    given = recorded["attributes"]
    attributes = {
        "specversion": "1.0",
        **given,
        "datacontenttype": "application/json",
        "time": datetime.fromisoformat(given["time"]),
    }
    message = WRITERS[mode](CloudEvent(attributes, recorded["data"]), JSONFormat())
    assert message.headers == recorded[mode]["headers"]
    assert message.body.decode() == recorded[mode]["body"]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda item: item["attributes"]["id"])
def test_the_sdk_reads_one_event_in_both_modes(recorded: dict[str, Any]) -> None:
    for mode in WRITERS:
        sent = recorded[mode]
        message = HTTPMessage(sent["headers"], sent["body"].encode())
        event = from_http(message, JSONFormat(), CloudEvent)
        assert event.get_data() == recorded["data"]
        assert event.get_source() == recorded["attributes"]["source"]


METER = {
    "eventType": "sdk.request",
    "aggregation": "Sum",
    "valueProperty": "$.units",
    "groupBy": [{"name": "region", "property": "$.region"}],
}


@pytest.fixture(scope="module")
def metered(judged: Judged) -> Judged:
    """Give a platform that counts the SDK's events."""
    judged.call("POST", "/v1/meters", {"name": "sdk-units", "spec": METER})
    judged.call("POST", "/v1/customers", {"name": "Ada", "external_id": "sdk-ada"})
    return judged


def made_by_the_sdk(number: int) -> CloudEvent:
    attributes = {
        "specversion": "1.0",
        "id": f"sdk-{number}",
        "source": '/sdk/quotes " and % and \u65e5\u672c',
        "type": "sdk.request",
        "subject": "sdk-ada",
        "datacontenttype": "application/json",
        "time": datetime.now(UTC),
    }
    return CloudEvent(attributes, {"units": "2.5", "region": "eu"})


def sent(platform: Judged, headers: dict[str, str], body: bytes) -> list[str]:
    answer = platform.call("POST", "/v1/usage_events", body, headers)
    return [item["status"] for item in answer["results"]]


def test_what_the_sdk_sends_is_counted_once_in_every_mode(metered: Judged) -> None:
    events = [made_by_the_sdk(number) for number in range(6)]
    for _ in range(2):
        for mode, event in zip(("structured", "binary"), events, strict=False):
            message = WRITERS[mode](event, JSONFormat())
            first = sent(metered, message.headers, message.body)
            again = sent(metered, message.headers, message.body)
            assert first in (["accepted"], ["duplicate"])
            assert again == ["duplicate"]
    batch = [json.loads(to_structured(event, JSONFormat()).body) for event in events]
    headers = {"content-type": "application/cloudevents-batch+json"}
    # The first two are those sent one by one before: a mode changes nothing of an event.
    found = sent(metered, headers, json.dumps(batch).encode())
    assert found == ["duplicate"] * 2 + ["accepted"] * 4
