"""compose.yaml is what the catalog asks for, and what Compose understands."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from billplane import catalog
from billplane.chassis.settings import Settings

from tests.compose.specification import SCHEMA

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text())
SERVICES = DOCUMENT["services"]


def test_it_keeps_to_the_compose_specification():
    jsonschema.validate(DOCUMENT, SCHEMA)


def test_it_is_what_the_catalog_makes():
    command = [sys.executable, "tools/compose.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", catalog.SERVICES)
def test_a_service_has_a_container_with_its_names_and_kept_ports(name):
    host = name.replace("_", "-")
    (key, service), *more = [
        (key, service)
        for key, service in SERVICES.items()
        if service.get("command", [])[:1] == ["run"] and name in service["command"]
    ]
    assert not more
    known_as = {key, *service["networks"]["default"]["aliases"]}
    assert {host, f"{host}-peers"} <= known_as
    together = [catalog.load(other) for other in service["command"][1:]]
    kept = {port for app in together for port in (*app.kept_rest_ports, *app.kept_grpc_ports)}
    published = {int(port.rsplit(":", 1)[1]) for port in service.get("ports", ())}
    assert published == kept | ({8080} if name == "gateway" else set())


def test_services_share_a_container_only_for_a_port_that_both_keep():
    shared = [item["command"][1:] for item in SERVICES.values() if len(item.get("command", [])) > 2]
    assert [names for names in shared if "ledger" in names] == [["billing_core", "ledger"]]


def test_a_port_of_this_machine_is_published_once():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == len(set(ports))
    assert "${BILLPLANE_PUBLISH:-127.0.0.1}:15672:15672" in ports


def test_everything_that_is_waited_for_is_there_and_nothing_waits_in_a_circle():
    waits = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    started = set()
    while waits:
        ready = {name for name, needed in waits.items() if needed <= started}
        assert ready, f"{sorted(waits)} wait for each other"
        started |= ready
        waits = {name: needed for name, needed in waits.items() if name not in ready}


def test_what_is_waited_for_until_it_is_healthy_can_tell_so():
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_volumes_are_declared():
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if not volume.startswith(("./", "/"))
    }
    assert used == set(DOCUMENT["volumes"])


def test_it_sets_only_what_programs_read():
    known = {f"BILLPLANE_{name.upper()}" for name in Settings.model_fields}
    for name in catalog.SERVICES:
        fields = catalog.load(name).settings.model_fields
        known |= {f"BILLPLANE_{name.upper()}_{field.upper()}" for field in fields}
    for name, service in SERVICES.items():
        if service.get("command", [])[:1] == ["run"]:
            assert set(service["environment"]) <= known, name


def test_it_holds_no_credential():
    reference = re.compile(r"\$\{COMPOSE_[A-Z_]+:\?[^}]+\}")
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            plain = reference.sub("<of .env>", value)
            if re.search("PASSWORD|PASS$|SECRET|KEY$", variable):
                assert plain == "<of .env>", variable
            assert set(re.findall(r"://[^@/]*:([^@]*)@", plain)) <= {"<of .env>"}, variable


def test_credentials_are_made_once_and_for_their_owner_alone(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "compose.py", tmp_path / "tools")
    environment = tmp_path / ".env"
    environment.write_text("BILLPLANE_LOG_LEVEL=DEBUG")
    environment.chmod(0o600)
    command = [sys.executable, "tools/compose.py", "--credentials"]
    for _ in range(2):
        subprocess.run(command, cwd=tmp_path, check=True)
    lines = environment.read_text().splitlines()
    assert lines[0] == "BILLPLANE_LOG_LEVEL=DEBUG"
    values = dict(line.split("=", 1) for line in lines[1:])
    asked = set(re.findall(r"\$\{(COMPOSE_[A-Z_]+):", FILE.read_text()))
    assert set(values) == asked
    assert len(set(values.values())) == len(values)
    assert all(re.fullmatch(r"[\w-]{40,}", value) for value in values.values())
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600


def _has_compose() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0  # noqa: PLW1510


@pytest.mark.skipif(not _has_compose(), reason="docker has no compose plugin here")
def test_compose_itself_reads_it(tmp_path):
    environment = tmp_path / ".env"
    names = sorted(set(re.findall(r"\$\{(COMPOSE_[A-Z_]+):", FILE.read_text())))
    environment.write_text("".join(f"{name}=x\n" for name in names))
    command = ["docker", "compose", "--env-file", str(environment), "-f", str(FILE)]
    subprocess.run([*command, "config", "--quiet"], cwd=ROOT, check=True)
