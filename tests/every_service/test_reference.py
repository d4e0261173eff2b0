"""The written reference and what a running platform answers."""

import re
from pathlib import Path

from billplane import catalog
from billplane.chassis.app import Route
from billplane.chassis.middleware import match

REST = Path(__file__).parents[2] / "docs" / "reference" / "rest.md"
METHODS = {"get", "post", "put", "patch", "delete"}


async def test_the_rest_reference_names_every_operation_that_is_answered(platform):
    written = set(re.findall(r"^\| `([A-Z]+ /\S+)` \|", REST.read_text("utf-8"), re.MULTILINE))
    missing = set()
    for service in catalog.SERVICES:
        paths = platform.platform.runtimes[service].openapi.get("paths", {})
        routes: list[Route] = catalog.load(service).routes
        missing |= {
            f"{method.upper()} {path}"
            for path, methods in paths.items()
            if match(routes, path) is not None
            for method in METHODS & methods.keys()
        } - written
    assert missing == set()
