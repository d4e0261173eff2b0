"""Which address is asked, and what its answer means."""

import pytest
from billplane.resources import UtilityProviderSpec
from billplane.utility_provider.domain import endpoint_of, host_of, probe_of, refusal

from tests.utility_provider.specs import spec

GREEN = {
    "greenButton": {
        "baseURL": "https://green.example/espi",
        "authorizationURL": "https://green.example/authorize",
        "tokenURL": "https://green.example/token",
        "clientID": "billplane",
        "clientSecretRef": {"name": "green", "key": "secret"},
    }
}


def parsed(**changes):
    return UtilityProviderSpec.parse(spec(**changes))


def test_a_simulator_stands_in_for_the_utility_while_it_is_enabled():
    both = parsed(url="https://a.example", simulator={"enabled": True})
    assert endpoint_of(both, "http://simulator:8080") == "http://simulator:8080"
    assert endpoint_of(both, "") == ""
    assert endpoint_of(parsed(url="https://a.example"), "http://old:8080") == "https://a.example"


def test_a_green_button_server_is_there_when_it_wants_a_credential():
    probe = probe_of(parsed(connection=GREEN, simulator={}), "", 30)
    assert probe.url == "https://green.example/espi"
    assert [refusal(probe, status) == "" for status in (200, 401, 503)] == [True, True, False]


def test_a_json_api_is_there_when_its_health_is_good():
    probe = probe_of(parsed(url="https://a.example/v1/"), "", 30)
    assert probe.url == "https://a.example/v1/health"
    assert [refusal(probe, status) == "" for status in (200, 204, 302, 401, 503)] == [
        True, True, False, False, False
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "seconds"), [("2s", 2), ("1h", 30), ("0s", 30)])
def test_no_limit_makes_a_probe_wait_for_ever(given, seconds):
    limits = {"timeout": given}
    assert probe_of(parsed(url="https://a.example", limits=limits), "", 30).timeout_seconds == (
        seconds
    )


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://north-simulator.default.svc:8080", "north-simulator.default.svc"),
        ("http://[::1]:8080", "::1"),
        ("http://[::1", ""),
        ("ftp://host", ""),
        ("http://a:b@host", ""),
        ("http://host?x=1", ""),
        ("", ""),
    ],
)
def test_a_host_is_read_of_web_addresses_only(address, host):
    assert host_of(address) == host
