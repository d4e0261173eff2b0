"""Generated requests to every documented operation: no 5xx, and what the document announces.

A few of each here; `make soak` sends hundreds (BILLPLANE_TEST_FUZZ_EXAMPLES).
"""

import asyncio
import os
import time
from pathlib import Path

import pytest
import schemathesis
from billplane import catalog
from billplane.chassis.middleware import match
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.every_service.estate import Estate

EXAMPLES = int(os.environ.get("BILLPLANE_TEST_FUZZ_EXAMPLES", "6"))
# For all operations of a service, of which some have more to say than there is time for here.
SECONDS = EXAMPLES / 2
CONFIG = schemathesis.Config.from_path(Path(__file__).parents[2] / "schemathesis.toml")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    positive_data_acceptance,
]


@pytest.fixture(scope="module")
async def estate(platform):
    """Give a tenant in which some requests find something."""
    return await Estate(platform, "ten_fuzz", "fuzzed").fill()


def _try(operation, mode, url, headers, until):
    """Send generated requests of one operation until its examples or the time are used up.

    Returns: the statuses that were answered.
    """
    statuses = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case):
        if time.monotonic() < until:
            response = case.call(base_url=url, headers=headers, timeout=20)
            statuses.add(response.status_code)
            case.validate_response(response, checks=CHECKS)

    send()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
async def test_no_generated_request_breaks_a_service(service, platform, estate, mode):
    if catalog.load(service).front is not None:
        return
    schema = schemathesis.openapi.from_dict(
        platform.platform.runtimes[service].openapi, config=CONFIG
    )
    operations = [found.ok() for found in schema.get_all_operations()]
    assert operations
    until = time.monotonic() + SECONDS
    failures, statuses = [], set()
    for operation in operations:
        try:
            statuses |= await asyncio.to_thread(
                _try, operation, mode, platform.url(""), _headers(service, operation, estate), until
            )
        except Unsatisfiable:
            continue  # nothing about this operation can be unfitting
        except Exception as failure:
            failures.append(f"{operation.label}: {failure}\n{_inner(failure)}")
    assert not failures, "\n".join(failures)
    # Which of them get through depends on how much of the time others leave.
    assert statuses, "nothing was tried"


def _headers(service, operation, estate):
    """Ask for the dialect that the operation is described in: two may share a path."""
    route = match(catalog.load(service).routes, operation.path)
    if route is None or route.dialect != "stripe":
        return estate.headers
    return estate.headers | {"Stripe-Version": "2026-01-01"}


def _inner(failure):
    return "\n".join(str(item) for item in getattr(failure, "exceptions", ()))
