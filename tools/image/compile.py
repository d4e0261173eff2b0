"""Compiles, in the image's builder, the modules that its programs import.

A read-only root keeps no bytecode, so what is imported at every start is compiled once; what is
never imported stays as it is. Unchecked hashes make the files independent of the time of the build.
"""

import compileall
import importlib
import pkgutil
import py_compile
import re
import sys
from pathlib import Path

import billplane
import billplane_cli
import billplane_operator

OURS = (billplane, billplane_cli, billplane_operator)
MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH
# Programs, what Alembic runs itself, and what only a laptop has.
SKIPPED = re.compile(r"\.(__main__|migrations|laptop)\b")


def main() -> int:
    """Import every module of ours, then compile what came with them."""
    for package in OURS:
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not SKIPPED.search(found.name):
                importlib.import_module(found.name)
    compiled = 0
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None) or ""
        if source.endswith(".py") and source.startswith(sys.prefix):
            py_compile.compile(source, doraise=True, invalidation_mode=MODE)
            compiled += 1
    for package in OURS:
        folder = Path(package.__path__[0])
        compileall.compile_dir(folder, quiet=1, invalidation_mode=MODE)
    print(f"{compiled} modules compiled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
