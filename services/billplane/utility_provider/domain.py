"""Rules of providers: which address is asked, what a probe asks, what its answer means."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, get_args
from urllib.parse import urlsplit

from billplane.resources import UtilityProviderSpec, parse_duration
from billplane.resources.utility_provider import Category

CATEGORIES: Final[tuple[str, ...]] = get_args(Category)


class Reachability(StrEnum):
    """What the last probe found."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a utility.

    Shape: `trusted_host` may be private: the operator itself runs what answers there.
    """

    url: str
    trusted_host: str
    timeout_seconds: float
    any_answer: bool


def endpoint_of(spec: UtilityProviderSpec, simulator_endpoint: str) -> str:
    """Return the base address that is asked; empty while there is none.

    A simulator stands in for the utility as long as it is enabled.
    """
    if spec.simulator.enabled:
        return simulator_endpoint
    connection = spec.connection
    if connection is None:
        return ""
    if connection.json_api is not None:
        return connection.json_api.base_url
    return connection.green_button.base_url if connection.green_button is not None else ""


def probe_of(
    spec: UtilityProviderSpec, simulator_endpoint: str, timeout_seconds_max: float
) -> Probe | None:
    """Return what to ask; None while there is no address.

    The JSON API has a path for it, which needs no credential; a Green Button server answers
    without one that it wants one, and is there.
    """
    endpoint = endpoint_of(spec, simulator_endpoint).rstrip("/")
    if not endpoint:
        return None
    wanted = parse_duration(spec.limits.timeout).total_seconds()
    timeout = min(wanted or timeout_seconds_max, timeout_seconds_max)
    if spec.simulator.enabled:
        return Probe(f"{endpoint}/health", host_of(endpoint), timeout, any_answer=False)
    if spec.connection is not None and spec.connection.json_api is not None:
        return Probe(f"{endpoint}/health", "", timeout, any_answer=False)
    return Probe(endpoint, "", timeout, any_answer=True)


def refusal(probe: Probe, status: int) -> str:
    """Tell what is wrong with an answer; empty where nothing is."""
    good = status < 500 if probe.any_answer else 200 <= status < 300
    return "" if good else f"{probe.url} answered {status}"


def probe_interval(spec: UtilityProviderSpec) -> timedelta:
    """Return the time between two probes: a tenth of the requests that the limits allow."""
    return timedelta(seconds=1) * 10 / spec.limits.requests_per_second


def host_of(endpoint: str) -> str:
    """Return the host of an http or https address; empty where it is no such address."""
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
    except ValueError:
        return ""
    good = parts.scheme in ("http", "https") and parts.username is None and not parts.query
    return host if good else ""
