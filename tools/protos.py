"""Generates `billplane.protos` from `protos/`; `--check` fails when the committed code differs."""

import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "protos" / "billplane"
TARGET = ROOT / "services" / "billplane" / "protos"


def generate(target: Path) -> None:
    """Write the Python of every proto below `target`, laid out as `billplane/protos/…`."""
    protos = sorted(SOURCE.rglob("*.proto"))
    with_services = [path for path in protos if path.name != "events.proto"]
    bin_folder = Path(sys.executable).parent
    base = [
        sys.executable, "-m", "grpc_tools.protoc",
        f"-Ibillplane/protos={SOURCE}",
        f"-I{_well_known()}",
    ]  # fmt: skip
    _run([
        *base,
        f"--python_out={target}",
        f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
        f"--mypy_out=quiet:{target}",
        *_virtual(protos),
    ])  # fmt: skip
    _run([
        *base,
        f"--grpc_python_out={target}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--mypy_grpc_out=quiet:{target}",
        *_virtual(with_services),
    ])  # fmt: skip
    package = target / "billplane" / "protos"
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text('"""Messages and services, generated from `protos/`."""\n')


def _virtual(protos: list[Path]) -> list[str]:
    return [f"billplane/protos/{path.relative_to(SOURCE)}" for path in protos]


def _well_known() -> Path:
    return Path(grpc_tools.__path__[0]) / "_proto"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }


def main() -> int:
    """Generate in place, or compare under `--check`."""
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        fresh = Path(temporary) / "billplane" / "protos"
        wanted, present = _contents(fresh), _contents(TARGET)
        differing = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        if "--check" in sys.argv:
            for name in differing:
                print(f"generated code differs from protos/: {name}; run `make protos`")
            return 1 if differing else 0
        for name in differing:
            path = TARGET / name
            if name in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wanted[name])
            else:
                path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
