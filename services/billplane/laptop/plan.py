"""What a laptop platform consists of: the steps before it and the programs that stay."""

import os
import socket
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from billplane.laptop.home import LOOPBACK, LaptopHome
from billplane.laptop.postgres import SUPERUSER, PostgresServer
from billplane.laptop.processes import python_command
from billplane.laptop.valkey import ValkeyServer

PLATFORM_GRACE_SECONDS = 30.0
_READY_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """A program that runs to its end before anything that stays is started."""

    name: str
    command: list[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """A program that stays, in the order of start; `is_ready` says when it serves."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    grace_seconds: float = PLATFORM_GRACE_SECONDS
    is_ready: Callable[[], bool] = field(default=lambda: True)


@dataclass(frozen=True)
class Plan:
    """Everything that runs between the stores' start and their stop.

    `fingerprint` names what the steps depend on: with the same one as last time they are
    skipped. None always runs them.
    """

    steps: list[Step]
    programs: list[Program]
    fingerprint: str | None = None


def platform_environment(home: LaptopHome) -> dict[str, str]:
    """Give the platform's settings on this home; what the caller set for keys is kept."""
    return {
        **os.environ,
        "BILLPLANE_HOME": str(home.path),
        "BILLPLANE_PORT_OFFSET": str(home.port_offset),
        "BILLPLANE_BIND_HOST": os.environ.get("BILLPLANE_BIND_HOST") or LOOPBACK,
        "BILLPLANE_DATABASE_URL": PostgresServer(home).url(),
        "BILLPLANE_REDIS_URL": ValkeyServer(home).url,
        "BILLPLANE_JWT_SECRET": os.environ.get("BILLPLANE_JWT_SECRET") or home.secrets.jwt_secret,
        "BILLPLANE_ADMIN_KEY": os.environ.get("BILLPLANE_ADMIN_KEY") or home.secrets.admin_key,
        "BILLPLANE_GATEWAY_DEMO_TENANT": "default",
        "BILLPLANE_IDENTITY_ACTIVATE_TENANTS": "true",
        "BILLPLANE_EXCHANGE_RATE_RESOURCES_FOLDER": str(home.resources_directory),
        "BILLPLANE_LOG_FORMAT": os.environ.get("BILLPLANE_LOG_FORMAT") or "json",
        # Each idle connection holds some 25 MiB of Postgres; further ones come with the load.
        "BILLPLANE_POOL_SIZE": os.environ.get("BILLPLANE_POOL_SIZE") or "2",
        "BILLPLANE_POOL_OVERFLOW": os.environ.get("BILLPLANE_POOL_OVERFLOW") or "8",
    }


def administrator_environment(home: LaptopHome) -> dict[str, str]:
    """Give the platform's settings and the address that may change schemas and roles."""
    url = PostgresServer(home).url(SUPERUSER)
    return {**platform_environment(home), "BILLPLANE_ADMIN_DATABASE_URL": url}


def schema_fingerprint() -> str:
    """Name the schemas that this installation would make, and the databases they would go to.

    A line a file with its size and checksum: a cryptographic digest would load more into a
    supervisor than all of its own code, and nobody here forges a migration.
    """
    package = Path(__file__).parents[1]
    lines = [str(package)]
    for pattern in ("catalog.py", "*/migrations/**/*.py", "chassis/database/**/*.py"):
        for path in sorted(package.glob(pattern)):
            content = path.read_bytes()
            name = path.relative_to(package)
            lines.append(f"{name} {len(content)} {zlib.crc32(content):08x}")
    for setting, value in sorted(os.environ.items()):
        if setting.startswith("BILLPLANE_") and setting.endswith("DATABASE_URL"):
            lines.append(f"{setting} {zlib.crc32(value.encode()):08x}")
    return "\n".join(lines)


def platform_plan(home: LaptopHome) -> Plan:
    """Plan the whole platform: schemas, all services in one process, and the operator."""
    environment = platform_environment(home)
    administrator = administrator_environment(home)
    gateway = home.ports["gateway"]
    return Plan(
        steps=[
            Step("init-database", python_command("billplane", "init-database"), administrator),
            Step("migrate", python_command("billplane", "migrate", "all"), administrator),
        ],
        programs=[
            Program(
                "platform",
                python_command("billplane", "run", "all"),
                environment,
                is_ready=lambda: answers_ready(gateway),
            ),
            Program(
                "operator",
                python_command("billplane_operator", "local", str(home.resources_directory)),
                environment,
                grace_seconds=10,
            ),
        ],
        fingerprint=schema_fingerprint(),
    )


def answers_ready(port: int) -> bool:
    """Ask a door on this machine whether it is ready, without an HTTP client's weight."""
    request = b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n"
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_READY_TIMEOUT_SECONDS) as door:
            door.sendall(request)
            answer = door.recv(64)
    except OSError:
        return False
    return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
