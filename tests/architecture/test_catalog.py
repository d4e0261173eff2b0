"""Catalog, protos, import contracts and README agree; says what a new service still lacks."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from billplane import catalog

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def lacking(service: str) -> list[str]:
    """List what a service in the catalog still lacks elsewhere, as steps to take."""
    steps = []
    app = catalog.load(service)
    readme = README.read_text()
    if not re.search(rf"^\| `?{service}`? \|", readme, re.MULTILINE):
        steps.append(f"add a row `| {service} | owns | talks to |` to README.md's service table")
    if app.rpc and not (ROOT / "protos" / "billplane" / service / "v1").is_dir():
        steps.append(f"add protos/billplane/{service}/v1/{service}.proto and run `make protos`")
    if app.messages and not (ROOT / f"protos/billplane/{service}/v1/events.proto").is_file():
        steps.append(f"add protos/billplane/{service}/v1/events.proto and run `make protos`")
    table = json.loads((ROOT / "services/billplane/gateway/data/routes.json").read_text())
    known = {row["prefix"] for row in table if row["service"] == service}
    if known != {route.prefix for route in app.routes}:
        steps.append("run `make protos`: the gateway does not know the service's routes")
    if not (ROOT / "tests" / service).is_dir():
        steps.append(f"add tests/{service}/")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    independent = next(
        contract for contract in contracts["contracts"] if contract["type"] == "independence"
    )
    if f"billplane.{service}" not in independent["modules"]:
        steps.append(f'add "billplane.{service}" to the independence contract in pyproject.toml')
    steps += [
        f'add "{peer}" to depends_on in services/billplane/{service}/app.py'
        for peer in sorted(_called(service) - set(app.depends_on) - {"identity"})
    ]
    return steps


def _called(service: str) -> set[str]:
    """Return the services whose stubs a service's peers.py uses."""
    folder = ROOT / "services" / "billplane" / service
    paths = [folder / "peers.py", *(folder / "peers").glob("*.py")]
    text = "\n".join(path.read_text() for path in paths if path.is_file())
    if "OperationsServiceStub" in text:  # which every service answers
        return set(catalog.SERVICES) - {service}
    return set(re.findall(r"billplane\.protos\.(\w+)\.v1 import [^\n]*_pb2_grpc", text))


@pytest.mark.parametrize("service", catalog.SERVICES)
def test_a_service_is_everywhere_it_has_to_be(service):
    steps = lacking(service)
    assert not steps, "\n".join(steps)


@pytest.mark.parametrize("service", catalog.SERVICES)
def test_a_declared_dependency_is_used(service):
    app = catalog.load(service)
    assert set(app.depends_on) <= _called(service)


def test_the_catalog_is_in_alphabetical_order():
    assert list(catalog.SERVICES) == sorted(catalog.SERVICES)


def test_every_proto_belongs_to_a_service():
    folders = {path.name for path in (ROOT / "protos" / "billplane").iterdir()}
    assert folders <= set(catalog.SERVICES)


def test_no_two_services_claim_a_path():
    prefixes = [
        (route.prefix, route.dialect)
        for name in catalog.SERVICES
        for route in catalog.load(name).routes
    ]
    assert len(prefixes) == len(set(prefixes))


def test_every_depends_on_names_a_service_of_the_catalog():
    for name in catalog.SERVICES:
        assert set(catalog.load(name).depends_on) <= set(catalog.SERVICES), name
