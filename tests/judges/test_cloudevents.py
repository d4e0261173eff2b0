"""Our recorded CloudEvents requests against those of CloudEvents' own SDK.

The walk-through sends tests/walkthroughs/cloudevents.json to the platform as it stands; here the
SDK writes the same events, and must write the same headers and bytes.
"""

import json
from datetime import datetime
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
