"""The laptop's Postgres and Valkey: durable, private, and quick to come back."""

import os
import pwd
import stat
import time
import traceback
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from billplane.laptop.errors import (
    AlreadyRunningError,
    BinariesNotFoundError,
    LaptopError,
    PortTakenError,
)
from billplane.laptop.home import LaptopHome
from billplane.laptop.postgres import SUPERUSER, PostgresServer
from billplane.laptop.processes import server_credentials
from billplane.laptop.valkey import ValkeyServer

from tests.fixtures.ports import free_port


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_postgres_offers_the_platform_its_login_and_database(
    postgres: PostgresServer,
) -> None:
    postgres.start()
    assert await query(postgres.url(), "SELECT current_user || current_database()") == (
        "billplanebillplane"
    )
    has_any = (
        "SELECT rolsuper OR rolbypassrls OR rolinherit OR rolcreaterole"
        " FROM pg_roles WHERE rolname = current_user"
    )
    assert await query(postgres.url(), has_any) is False


async def test_postgres_refuses_a_wrong_password(postgres: PostgresServer) -> None:
    postgres.start()
    wrong = postgres.url().replace(":", ":x", 2).replace("postgresql:x", "postgresql:")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong, "SELECT 1")


async def test_a_laptops_postgres_waits_for_the_disk(home: LaptopHome) -> None:
    server = PostgresServer(home, port=free_port())
    server.start()
    try:
        assert await query(server.url(), "SHOW fsync") == "on"
        assert await query(server.url(), "SHOW synchronous_commit") == "on"
    finally:
        server.stop()


async def test_postgres_keeps_what_it_acknowledged_over_a_kill_and_is_back_within_a_second(
    postgres: PostgresServer,
) -> None:
    postgres.start()
    session = await asyncpg.connect(postgres.url(SUPERUSER))
    await session.execute("CREATE TABLE kept (n int)")
    for n in range(50):
        await session.execute("INSERT INTO kept VALUES ($1)", n)
    # With a session open, so that the killed server leaves a backend behind.
    postgres.process.kill()
    started_at = time.monotonic()
    postgres.start()
    assert time.monotonic() - started_at < 5
    session.terminate()
    assert await query(postgres.url(SUPERUSER), "SELECT count(*) FROM kept") == 50


async def test_postgres_starts_beside_a_lock_file_whose_pid_is_another_program(
    postgres: PostgresServer, home: LaptopHome
) -> None:
    postgres.start()
    lock = home.postgres_directory / "data" / "postmaster.pid"
    text = lock.read_text()
    postgres.process.kill()
    lock.write_text(text.replace(text.splitlines()[0], str(os.getpid()), 1))
    postgres.start()
    assert await query(postgres.url(), "SELECT 1") == 1


def test_valkey_keeps_what_it_acknowledged_over_a_kill(valkey: ValkeyServer) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        for n in range(200):
            client.rpush("kept", n)
    valkey.process.kill()
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.llen("kept") == 200
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.eval("return redis.call('llen', KEYS[1])", 1, "kept") == 200


def test_valkey_refuses_a_client_without_its_password(valkey: ValkeyServer) -> None:
    valkey.start()
    wrong = valkey.url.replace("redis://:", "redis://:x")
    with redis.Redis.from_url(wrong) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_running_server_is_not_started_twice(valkey: ValkeyServer, home: LaptopHome) -> None:
    valkey.start()
    with pytest.raises(AlreadyRunningError):
        ValkeyServer(home, port=free_port()).start()


def test_the_server_that_a_killed_supervisor_left_is_ended(
    valkey: ValkeyServer, home: LaptopHome
) -> None:
    valkey.start()
    pid = valkey.process.pid
    assert pid is not None
    assert ValkeyServer(home).process.end_orphan()
    valkey.process.poll()
    assert not psutil.pid_exists(pid)
    assert not home.pid_file("valkey").exists()


def test_a_taken_port_is_named_with_the_setting_that_moves_it(
    home: LaptopHome, valkey: ValkeyServer
) -> None:
    valkey.start()
    port = int(valkey.url.rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(PortTakenError, match=rf"Port {port} \(Postgres\).*BILLPLANE_PORT_OFFSET"):
        PostgresServer(home, port=port).start()


def test_secrets_survive_a_restart_and_are_readable_by_us_alone(home_path: Path) -> None:
    first = LaptopHome.open(home_path, 0)
    second = LaptopHome.open(home_path, 0)
    assert first.secrets == second.secrets
    assert len(first.secrets.jwt_secret) >= 32
    assert stat.S_IMODE((home_path / "secrets.json").stat().st_mode) == 0o600


def test_broken_secrets_are_reported_and_not_replaced(home_path: Path) -> None:
    LaptopHome.open(home_path, 0)
    (home_path / "secrets.json").write_text("{")
    with pytest.raises(LaptopError, match="Restore it from a backup"):
        LaptopHome.open(home_path, 0)
    assert (home_path / "secrets.json").read_text() == "{"


def test_a_data_directory_of_another_postgres_is_refused_with_the_way_out(
    postgres: PostgresServer, home: LaptopHome
) -> None:
    postgres.start()
    postgres.stop()
    (home.postgres_directory / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(LaptopError, match="made by Postgres 12"):
        postgres.start()


def test_missing_binaries_are_reported_with_the_setting(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BILLPLANE_PG_BIN", str(tmp_path))
    with pytest.raises(BinariesNotFoundError, match="BILLPLANE_PG_BIN"):
        postgres.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that nobody cannot read")
def test_binaries_below_a_private_directory_are_copied_with_their_libraries(
    home: LaptopHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billplane.laptop.processes.Credentials.may_run", lambda *_: False)
    postgres = PostgresServer(home, port=free_port(), settings={"fsync": "off"})
    valkey = ValkeyServer(home, port=free_port())
    try:
        postgres.start()
        valkey.start()
        for server in (postgres, valkey):
            program = Path(psutil.Process(server.process.pid).exe())
            assert program.is_relative_to(home.binaries_directory)
    finally:
        postgres.stop()
        valkey.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="root's servers run as another user")
def test_a_home_that_the_servers_user_cannot_enter_is_refused(home_path: Path) -> None:
    home_path.chmod(0o700)
    with pytest.raises(LaptopError, match="nobody"):
        LaptopHome.open(home_path / "inner", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_user_who_is_not_root_runs_the_servers_as_themselves(home_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(home_path, nobody.pw_uid, nobody.pw_gid)
    ports = [free_port(), free_port()]
    # A fork, since the interpreter itself may lie where nobody cannot reach it.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            server_credentials.cache_clear()
            _start_kill_start_stop(home_path / "home", *ports)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert (home_path / "home" / "postgres" / "data").owner() == "nobody"


def _start_kill_start_stop(path: Path, postgres_port: int, valkey_port: int) -> None:
    home = LaptopHome.open(path, 0)
    servers = [PostgresServer(home, port=postgres_port), ValkeyServer(home, port=valkey_port)]
    for server in servers:
        server.start()
    for server in servers:
        server.process.kill()
    for server in servers:
        server.start()
        server.stop()
