"""What can go wrong on a laptop, in words that say what to do about it."""

from pathlib import Path


class LaptopError(Exception):
    """State what failed and what the person at the keyboard can do."""


class BinariesNotFoundError(LaptopError):
    """Report that no server binary was found in any place where one is looked for."""


class HomeUnreachableError(LaptopError):
    """Report a home directory that the stores' user may not enter."""

    def __init__(self, path: Path, user: str) -> None:
        super().__init__(
            f"{path} cannot be entered by the user {user}, whom the stores run as when started by "
            "root. Set BILLPLANE_HOME to a directory whose parents everyone may enter, such as "
            "/var/lib/billplane."
        )


class PortTakenError(LaptopError):
    """Report a port that another program listens on, with the setting that moves ours."""

    def __init__(self, port: int, purpose: str, setting: str) -> None:
        super().__init__(
            f"Port {port} ({purpose}) is taken by another program. Stop that program, or set "
            f"{setting} to move Billplane's ports."
        )
        self.port = port


class ServerStartError(LaptopError):
    """Report a server that ended or stayed silent before it was ready."""


class AlreadyRunningError(LaptopError):
    """Report that a live process already serves this home directory."""
