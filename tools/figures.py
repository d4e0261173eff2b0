"""Write docs/operating/numbers.md from what the last runs of the cluster's tests measured."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "build" / "figures.json"
TARGET = ROOT / "docs" / "operating" / "numbers.md"
# `make bench-growth` writes what is below.
GROWTH = "## As data grows"
HEAD = """# Figures

Measured by the cluster's tests (`make e2e`, `make e2e-full`) in a kind cluster of one node with
2 cores, every store bundled; written by `tools/figures.py`. They are of a small shared machine: a
cluster with more cores is faster. Memory is what a pod's control group has in use, page cache that
can be dropped left out.

| what | figure |
|---|---:|
"""


def main() -> None:
    """Write the table."""
    figures = json.loads(FIGURES.read_text("utf-8"))
    rows = [f"| {name} | {item['value']:g} {item['unit']} |" for name, item in figures.items()]
    _, growth, below = TARGET.read_text("utf-8").partition(GROWTH)
    rest = f"\n{growth}{below}" if growth else ""
    TARGET.write_text(HEAD + "\n".join(rows) + "\n" + rest, "utf-8")


if __name__ == "__main__":
    main()
