"""The laptop's Valkey: every acknowledged write is on disk before it is answered."""

import socket

from billplane.laptop.binaries import find_valkey
from billplane.laptop.child import ChildProcess
from billplane.laptop.home import LOOPBACK, LaptopHome, require_free_port


class ValkeyServer:
    """Run valkey-server on one home as a child of this process."""

    def __init__(self, home: LaptopHome, port: int | None = None) -> None:
        self._home = home
        self._port = port or home.ports["valkey"]
        self.process = ChildProcess(home, "valkey")

    @property
    def url(self) -> str:
        """Give the address with its password; a path chooses one of 16 databases."""
        return f"redis://:{self._home.secrets.valkey_password}@{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises: BinariesNotFoundError, AlreadyRunningError, PortTakenError, ServerStartError.
        """
        self.process.require_stopped()
        require_free_port(self._port, "Valkey")
        program = find_valkey(self._home.binaries_directory)
        # By standard input, since the password would be seen in the list of processes.
        self.process.launch_server(
            [str(program), "-"],
            directory=self._home.valkey_directory,
            configuration=self._configuration(),
        )
        self.process.wait_ready(self._answers)

    def stop(self) -> None:
        """Stop the server after it has written everything.

        Idempotent by: the process.
        """
        self.process.stop()

    def _configuration(self) -> str:
        settings = {
            "bind": LOOPBACK,
            "port": str(self._port),
            "dir": f'"{self._home.valkey_directory}"',
            "requirepass": self._home.secrets.valkey_password,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": '""',
            "maxmemory-policy": "noeviction",
            # Rewrites would cost as much as the writes while the file is small.
            "auto-aof-rewrite-min-size": "16mb",
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def _answers(self) -> bool:
        command = f"AUTH {self._home.secrets.valkey_password}\r\nPING\r\n".encode()
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1) as connection:
                connection.sendall(command)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"
