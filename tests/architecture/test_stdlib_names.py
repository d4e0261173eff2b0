"""No module of ours hides one of the standard library's."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A folder without __init__.py on the path hides nothing; a module or package would.
BARE = {"operator"}


def test_no_top_level_name_hides_a_standard_module():
    for root in (ROOT, ROOT / "services", ROOT / "operator", ROOT / "cli"):
        names = {
            path.stem
            for path in root.iterdir()
            if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
        }
        assert not (names & set(sys.stdlib_module_names)) - BARE
