"""A laptop home of its own for each test, outside pytest's directories, with free ports."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from billplane.laptop.home import LaptopHome
from billplane.laptop.postgres import PostgresServer
from billplane.laptop.valkey import ValkeyServer

from tests.fixtures.ports import free_port


@pytest.fixture
def home_path() -> Iterator[Path]:
    """Give a directory that the servers' user may enter, unlike pytest's tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="billplane-laptop-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def home(home_path: Path) -> LaptopHome:
    return LaptopHome.open(home_path, 0)


@pytest.fixture
def postgres(home: LaptopHome) -> Iterator[PostgresServer]:
    server = PostgresServer(home, port=free_port(), settings={"fsync": "off"})
    yield server
    server.stop()


@pytest.fixture
def valkey(home: LaptopHome) -> Iterator[ValkeyServer]:
    server = ValkeyServer(home, port=free_port())
    yield server
    server.stop()
