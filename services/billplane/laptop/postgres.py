"""The laptop's Postgres: a durable cluster of our own, small enough for a laptop's memory."""

import os
import shutil
import signal
import subprocess
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from billplane.laptop.binaries import find_postgres
from billplane.laptop.child import ChildProcess
from billplane.laptop.errors import LaptopError, ServerStartError
from billplane.laptop.home import LOOPBACK, LaptopHome, require_free_port
from billplane.laptop.processes import (
    command_lines,
    run_as_server,
    server_credentials,
    wait_until,
)

SUPERUSER = "postgres"
LOGIN = "billplane"
DATABASE = "billplane"
ORPHAN_TIMEOUT_SECONDS = 15.0
# The longest path that a Unix socket address can hold, without the file's own name.
_SOCKET_DIRECTORY_CHARACTERS_MAX = 80

_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "48MB",
    "wal_buffers": "2MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    # Nothing replicates from a laptop, and each of these would be one more process or page.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "shared_preload_libraries": "",
}
_SETTINGS_SINCE_18 = {"io_method": "sync"}


class PostgresServer:
    """Run Postgres on one home as a child of this process."""

    def __init__(
        self,
        home: LaptopHome,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self._port = port or home.ports["postgres"]
        self._settings = dict(settings or {})
        self._data = home.postgres_directory / "data"
        # In the title of every process of the cluster, by which its orphans are known again.
        path = str(home.path).encode()
        self._cluster_name = f"billplane-{zlib.crc32(path):08x}{zlib.adler32(path):08x}"
        self.process = ChildProcess(home, "postgres", stop_signal=signal.SIGINT)

    def url(self, user: str = LOGIN, database: str = DATABASE) -> str:
        """Give the address for the platform's login or for the superuser."""
        secrets = self._home.secrets
        password = secrets.postgres_password if user == SUPERUSER else secrets.database_password
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self._port}/{database}"

    def start(self) -> None:
        """Start the server, making its cluster first if there is none, and wait until it answers.

        Raises: BinariesNotFoundError, AlreadyRunningError, PortTakenError, ServerStartError.
        """
        self.process.require_stopped()
        require_free_port(self._port, "Postgres")
        self._wait_for_orphans()
        binaries = find_postgres(self._home.binaries_directory)
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster(binaries)
        version = self._require_same_version(binaries)
        # No process of this cluster is alive, so a lock file left by a kill is nobody's. After
        # a reboot its pid may well be another program's, and Postgres would refuse to start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self.process.launch_server(
            [str(binaries / "postgres"), *self._arguments(version)],
            directory=self._data,
            configuration="",
        )
        self.process.wait_ready(self._is_ready)
        if not (self._home.postgres_directory / "login.made").exists():
            self._create_login(binaries)

    def stop(self) -> None:
        """Stop the server: open sessions are ended, everything is written.

        Idempotent by: the process.
        """
        self.process.stop()
        # Nothing is left after a clean stop; after a kill the backends need a moment.
        wait_until(lambda: not self._living(), ORPHAN_TIMEOUT_SECONDS)

    def _arguments(self, version: int) -> list[str]:
        settings = {
            **_SETTINGS,
            **(_SETTINGS_SINCE_18 if version >= 18 else {}),
            **self._settings,
            "listen_addresses": LOOPBACK,
            "port": str(self._port),
            "cluster_name": self._cluster_name,
            "unix_socket_directories": str(self._socket_directory() or ""),
        }
        arguments = ["-D", str(self._data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    def _socket_directory(self) -> Path | None:
        directory = self._home.postgres_directory
        return directory if len(str(directory)) <= _SOCKET_DIRECTORY_CHARACTERS_MAX else None

    def _is_ready(self) -> bool:
        """Read what the server says of itself, as pg_ctl does: it answers before it is ready."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        own = bool(lines) and lines[0].strip() == str(self.process.pid)
        return own and len(lines) > 7 and lines[7].strip() == "ready"

    def _wait_for_orphans(self) -> None:
        """Wait until the backends of a killed server have noticed and ended.

        Raises: ServerStartError.
        """
        if not wait_until(lambda: not self._living(), ORPHAN_TIMEOUT_SECONDS):
            pids = ", ".join(map(str, self._living()))
            raise ServerStartError(
                f"Postgres processes of {self._home.path} still run: {pids}. End them and try "
                "again."
            )

    def _living(self) -> list[int]:
        titles = (f"postgres: {self._cluster_name}", f"cluster_name={self._cluster_name} ")
        return [
            pid
            for pid, line in command_lines()
            if pid != os.getpid() and (line.startswith(titles[0]) or titles[1] in line)
        ]

    def _require_same_version(self, binaries: Path) -> int:
        data_version = (self._data / "PG_VERSION").read_text().strip()
        # Such as: postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)
        text = run_as_server([str(binaries / "postgres"), "--version"], directory=self._data)
        version = text.split("(PostgreSQL)")[1].split()[0].partition(".")[0]
        if version != data_version:
            raise LaptopError(
                f"{self._data} was made by Postgres {data_version}, and {binaries} has {version}. "
                f"Set BILLPLANE_PG_BIN to the programs of Postgres {data_version}, or move the "
                "directory away to start afresh."
            )
        return int(version)

    def _create_cluster(self, binaries: Path) -> None:
        """Make the data directory beside its place and move it there whole.

        Raises: ServerStartError.
        """
        partial = self._home.postgres_directory / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self._home.postgres_directory) as password:
            password.write(self._home.secrets.postgres_password)
            password.flush()
            credentials = server_credentials()
            if credentials:
                os.chown(password.name, credentials.uid, credentials.gid)
            command = [str(binaries / "initdb"), "-D", str(partial), "-U", SUPERUSER]
            command += ["-E", "UTF8", "--no-locale", "--no-sync", "--auth=scram-sha-256"]
            command += [f"--pwfile={password.name}"]
            try:
                run_as_server(command, directory=self._home.postgres_directory)
            except subprocess.CalledProcessError as error:
                raise ServerStartError(f"initdb failed:\n{error.stderr}") from error
        partial.replace(self._data)

    def _create_login(self, binaries: Path) -> None:
        """Make the platform's login and its database, whose schemas others make.

        Idempotent by: the names.
        """
        password = self._home.secrets.database_password
        # Our passwords are hexadecimal, so they need no quoting.
        statements = f"""
            SELECT 'CREATE ROLE {LOGIN} LOGIN NOINHERIT'
             WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') \\gexec
            ALTER ROLE {LOGIN} PASSWORD '{password}';
            SELECT 'CREATE DATABASE {DATABASE}'
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
        """  # noqa: S608
        self.run_psql(binaries, statements)
        (self._home.postgres_directory / "login.made").touch()

    def run_psql(self, binaries: Path, statements: str, database: str = SUPERUSER) -> str:
        """Run statements as the superuser and return what psql prints.

        Raises: LaptopError with what the server said.
        """
        command = [str(binaries / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        # In the environment, since the password would be seen in the list of processes.
        connection = {
            "PGHOST": LOOPBACK,
            "PGPORT": str(self._port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self._home.secrets.postgres_password,
            "PGDATABASE": database,
        }
        try:
            return run_as_server(
                command,
                directory=self._home.postgres_directory,
                environment=connection,
                text_input=statements,
            )
        except subprocess.CalledProcessError as error:
            raise LaptopError(f"psql failed:\n{error.stderr}") from error
