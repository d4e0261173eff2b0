"""The directory in which a laptop platform keeps everything that must outlive it."""

import json
import os
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from billplane.laptop.errors import HomeUnreachableError, LaptopError, PortTakenError
from billplane.laptop.processes import server_credentials

GATEWAY_PORT = 8080
GRPC_PORT = 50051
POSTGRES_PORT = 15432
VALKEY_PORT = 16379
PORT_OFFSET_SETTING = "BILLPLANE_PORT_OFFSET"
HOME_SETTING = "BILLPLANE_HOME"
# The highest of the kept ports, 50057, must stay a port after the shift.
PORT_OFFSET_MAX = 65535 - 50057
LOOPBACK = "127.0.0.1"
# As hexadecimal digits, which need no quoting anywhere.
SECRET_BYTES = 32


@dataclass(frozen=True)
class LaptopSecrets:
    """Hold what a home generates once and keeps: losing it would lock out keys and databases."""

    jwt_secret: str
    admin_key: str
    database_password: str
    postgres_password: str
    valkey_password: str

    @classmethod
    def load_or_create(cls, path: Path) -> "LaptopSecrets":
        """Read the secrets file, adding what it lacks.

        Raises: LaptopError when the file is not what we wrote.
        """
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError:
            document = {}
        except ValueError as error:
            raise LaptopError(
                f"{path} is not readable as JSON ({error}). Restore it from a backup: without it "
                "the databases beside it cannot be opened."
            ) from error
        names = [field.name for field in fields(cls)]
        known = {name: document[name] for name in names if name in document}
        made = {name: os.urandom(SECRET_BYTES).hex() for name in names if name not in known}
        loaded = cls(**known, **made)
        if made:
            _write_private(path, json.dumps(asdict(loaded), indent=2))
        return loaded


@dataclass(frozen=True)
class LaptopHome:
    """Know where everything of one laptop platform lies and which ports it has."""

    path: Path
    port_offset: int
    secrets: LaptopSecrets

    @classmethod
    def open(cls, path: Path | None = None, port_offset: int | None = None) -> "LaptopHome":
        """Open a home, making what is missing.

        Raises: LaptopError, HomeUnreachableError.
        Idempotent by: path.
        """
        root = (path or default_home()).expanduser().absolute()
        offset = port_offset if port_offset is not None else _offset_from_environment()
        if not 0 <= offset <= PORT_OFFSET_MAX:
            raise LaptopError(f"{PORT_OFFSET_SETTING} must be 0 to {PORT_OFFSET_MAX}, not {offset}")
        credentials = server_credentials()
        try:
            root.mkdir(mode=0o755 if credentials else 0o700, parents=True, exist_ok=True)
            if credentials and not credentials.may_enter(root):
                raise HomeUnreachableError(root, credentials.name)
            for name in ("postgres", "valkey"):
                _make_private(root / name, for_servers=True)
            for name in ("resources", "status", "logs", "run"):
                _make_private(root / name, for_servers=False)
            (root / "binaries").mkdir(mode=0o755, exist_ok=True)
            loaded = LaptopSecrets.load_or_create(root / "secrets.json")
        except PermissionError as error:
            raise LaptopError(
                f"{error.filename} may not be written by this user. Set {HOME_SETTING} to a "
                "directory of your own."
            ) from error
        return cls(root, offset, loaded)

    @property
    def postgres_directory(self) -> Path:
        """Where Postgres keeps its data directory and its socket."""
        return self.path / "postgres"

    @property
    def valkey_directory(self) -> Path:
        """Where Valkey keeps its append-only file."""
        return self.path / "valkey"

    @property
    def binaries_directory(self) -> Path:
        """Where server binaries are copied when the servers' user cannot read the originals."""
        return self.path / "binaries"

    @property
    def resources_directory(self) -> Path:
        """Where applied manifests lie, as <namespace>/<kind>/<name>.yaml."""
        return self.path / "resources"

    @property
    def status_directory(self) -> Path:
        """Where the operator writes the status of each applied manifest."""
        return self.path / "status"

    @property
    def logs_directory(self) -> Path:
        """Where each process has its log."""
        return self.path / "logs"

    @property
    def run_directory(self) -> Path:
        """Where the lock, the pid files and ports.json lie."""
        return self.path / "run"

    def pid_file(self, name: str) -> Path:
        """Say where the pid and start time of a process are written."""
        return self.run_directory / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        """Say where a process logs to."""
        return self.logs_directory / f"{name}.log"

    @property
    def ports(self) -> dict[str, int]:
        """Give the ports of this platform by purpose."""
        return {
            "gateway": GATEWAY_PORT + self.port_offset,
            "grpc": GRPC_PORT + self.port_offset,
            "postgres": POSTGRES_PORT + self.port_offset,
            "valkey": VALKEY_PORT + self.port_offset,
        }

    @property
    def gateway_url(self) -> str:
        """Give the address of the one public door."""
        return f"http://{LOOPBACK}:{self.ports['gateway']}"

    def write_ports(self) -> None:
        """Write run/ports.json, from which other programs learn where this platform listens."""
        document = {"port_offset": self.port_offset, "url": self.gateway_url, **self.ports}
        partial = self.run_directory / "ports.json.partial"
        partial.write_text(json.dumps(document, indent=2))
        partial.replace(self.run_directory / "ports.json")


def default_home() -> Path:
    """Choose the home: BILLPLANE_HOME, else the system's place for root or for a user."""
    configured = os.environ.get(HOME_SETTING)
    if configured:
        return Path(configured)
    if server_credentials():
        return Path("/var/lib/billplane")
    data_home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data_home) / "billplane"


def require_free_port(port: int, purpose: str, setting: str = PORT_OFFSET_SETTING) -> None:
    """Refuse a port on which another program listens.

    Raises: PortTakenError.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTakenError(port, purpose, setting) from error


def _offset_from_environment() -> int:
    text = os.environ.get(PORT_OFFSET_SETTING) or "0"
    try:
        return int(text)
    except ValueError as error:
        raise LaptopError(f"{PORT_OFFSET_SETTING} must be a whole number, not {text!r}") from error


def _make_private(path: Path, *, for_servers: bool) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    credentials = server_credentials()
    if for_servers and credentials and path.stat().st_uid != credentials.uid:
        os.chown(path, credentials.uid, credentials.gid)


def _write_private(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
