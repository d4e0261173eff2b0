"""Where this machine's platform lives and listens; the same rules as the platform itself has."""

import json
import os
from pathlib import Path

GATEWAY_PORT = 8080


def laptop_home() -> Path:
    """Give the directory of this machine's platform: BILLPLANE_HOME, else the usual place."""
    configured = os.environ.get("BILLPLANE_HOME")
    if configured:
        return Path(configured).expanduser()
    if os.geteuid() == 0:
        return Path("/var/lib/billplane")
    data_home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data_home).expanduser() / "billplane"


def laptop_url() -> str:
    """Give the address of this machine's platform: as it wrote it, else the usual one."""
    try:
        written = json.loads((laptop_home() / "run" / "ports.json").read_text())
        return str(written["url"])
    except (OSError, ValueError, KeyError):
        offset = os.environ.get("BILLPLANE_PORT_OFFSET", "")
        port = GATEWAY_PORT + (int(offset) if offset.isdecimal() else 0)
        return f"http://127.0.0.1:{port}"
