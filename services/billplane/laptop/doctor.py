"""What this machine lacks to run a platform, and how to mend each."""

import shutil
import sys
from collections.abc import Callable
from typing import Any

from billplane.laptop.binaries import find_postgres, find_valkey
from billplane.laptop.errors import LaptopError
from billplane.laptop.home import LaptopHome, require_free_port
from billplane.laptop.state import living_supervisor

DISK_BYTES_MIN = 1_000_000_000
_PORT_NAMES = {"gateway": "gateway", "grpc": "gRPC", "postgres": "Postgres", "valkey": "Valkey"}


def examine(home: LaptopHome) -> list[dict[str, Any]]:
    """Look at everything that `up` needs.

    Shape: one {name, ok, detail} a check, the way out in detail where it is not ok.
    """
    version = sys.version.partition(" ")[0]
    checks = [_check("python", lambda: version)]
    checks.append(_check("home", lambda: str(home.path)))
    checks.append(_check("postgres", lambda: str(find_postgres(home.binaries_directory))))
    checks.append(_check("valkey", lambda: str(find_valkey(home.binaries_directory))))
    checks.append(_check("disk", lambda: _free_disk(home)))
    supervisor = living_supervisor(home)
    if supervisor is not None:
        checks.append(_check("platform", lambda: f"runs as process {supervisor.pid}"))
    else:
        checks += [_check(f"port {port}", _free(port, name)) for name, port in home.ports.items()]
    return checks


def _free(port: int, name: str) -> Callable[[], str]:
    def told() -> str:
        require_free_port(port, _PORT_NAMES[name])
        return f"free for {_PORT_NAMES[name]}"

    return told


def _free_disk(home: LaptopHome) -> str:
    free = shutil.disk_usage(home.path).free
    if free < DISK_BYTES_MIN:
        raise LaptopError(f"Only {free // 1_000_000} MB are free below {home.path}; make room.")
    return f"{free // 1_000_000_000} GB free"


def _check(name: str, tell: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "detail": tell()}
    except LaptopError as error:
        return {"name": name, "ok": False, "detail": str(error)}
