"""Profiles: to whom the command line speaks, as whom. Kept in a file that only we can read."""

import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Profile:
    """One address with the credential that belongs to it; every field may be empty."""

    name: str = DEFAULT_PROFILE
    url: str = ""
    email: str = ""
    tenant_id: str = ""
    api_key: str = ""
    access_token: str = ""
    refresh_token: str = ""
    listen_key: str = ""
    listen_key_id: str = ""

    def credential_for(self, url: str) -> str:
        """Give the credential, unless it was made for another address.

        An address can come from the environment or from a file of the current directory, and a
        key must not be sent wherever those point.
        """
        return (self.api_key or self.access_token) if _origin(url) == _origin(self.url) else ""


class ProfileFile:
    """The file ~/.config/billplane/config.toml."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default_path()

    def load(self, name: str | None = None) -> Profile:
        """Read a profile, the current one by default; one that is not there is empty.

        Raises: CliError when the file cannot be read.
        """
        document = self._read()
        chosen = name or str(document.get("current") or DEFAULT_PROFILE)
        stored = document.get("profiles", {}).get(chosen, {})
        known = {field.name for field in fields(Profile)} - {"name"}
        return Profile(chosen, **{key: str(stored[key]) for key in known & stored.keys()})

    def names(self) -> list[str]:
        """List the profiles."""
        return sorted(self._read().get("profiles", {}))

    def save(self, profile: Profile, *, make_current: bool = False) -> None:
        """Write one profile and leave all others as they are."""
        document = self._read()
        profiles = document.setdefault("profiles", {})
        values = asdict(profile)
        del values["name"]
        profiles[profile.name] = {key: value for key, value in values.items() if value}
        if make_current:
            document["current"] = profile.name
        self._write(document)

    def forget(self, profile: Profile) -> None:
        """Remove a profile's credentials; its address stays."""
        emptied = replace(Profile(profile.name), url=profile.url, email=profile.email)
        self.save(emptied)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of ours from changing the file between a read and a write."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CliError(
                f"{self.path} is not readable: {error}.",
                hint="Correct it, or remove it and log in again.",
                exit_code=ExitCode.FAILED,
            ) from error

    def _write(self, document: dict[str, Any]) -> None:
        lines = [f"{key} = {_quote(value)}" for key, value in document.items() if _is_text(value)]
        for name, profile in document.get("profiles", {}).items():
            lines += ["", f"[profiles.{_quote(name)}]"]
            lines += [f"{key} = {_quote(value)}" for key, value in profile.items()]
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")
        partial.replace(self.path)


def _default_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "billplane" / "config.toml"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    return parts.scheme, "127.0.0.1" if host == "localhost" else host, port


def _quote(value: object) -> str:
    # A JSON string is a TOML basic string, but for one control character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_text(value: object) -> bool:
    return isinstance(value, str)
