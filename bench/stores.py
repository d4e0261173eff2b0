"""A Postgres and a Valkey of a benchmark's own, as durable as the laptop's."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billplane.laptop.home import LaptopHome
from billplane.laptop.postgres import SUPERUSER, PostgresServer
from billplane.laptop.valkey import ValkeyServer

from tests.fixtures.ports import free_port


@dataclass(frozen=True)
class Stores:
    """Where the stores listen, and their processes."""

    postgres_admin_url: str
    valkey_url: str
    postgres_pid: int
    valkey_pid: int


@contextmanager
def open_stores() -> Iterator[Stores]:
    """Start both stores with the laptop's settings (fsync on, AOF always); stop them after."""
    path = Path(tempfile.mkdtemp(prefix="billplane-bench-"))
    # The servers may run as another user, who must be able to pass.
    path.chmod(0o755)
    home = LaptopHome.open(path, 0)
    postgres = PostgresServer(home, port=free_port())
    valkey = ValkeyServer(home, port=free_port())
    try:
        postgres.start()
        valkey.start()
        yield Stores(
            postgres_admin_url=postgres.url(SUPERUSER, SUPERUSER),
            valkey_url=valkey.url,
            postgres_pid=postgres.process.pid or 0,
            valkey_pid=valkey.process.pid or 0,
        )
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(path, ignore_errors=True)
