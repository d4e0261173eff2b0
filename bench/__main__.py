"""Run the benchmarks: `python -m bench [module …] [--pairs N]`."""

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.harness import PAIRS_MIN, Bench, Result

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
TABLE_WIDTH = 150
NOT_BENCHMARKS = {
    "__init__", "__main__", "growth", "harness", "ledger_sides", "load", "plain_operator",
    "served", "stores",
}  # fmt: skip


def main() -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=", ".join(names))
    parser.add_argument("--pairs", type=int, default=PAIRS_MIN, help="pairs kept per bar")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.modules) - set(names))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names)}")
    measured: dict[str, list[Result]] = {}
    failed: list[str] = []
    for name in arguments.modules or names:
        bench = Bench(max(PAIRS_MIN, arguments.pairs))
        try:
            asyncio.run(importlib.import_module(f"bench.{name}").measure(bench))
        except Exception:
            # The others are measured all the same; the run says at its end that one was not.
            traceback.print_exc()
            failed.append(name)
        measured[name] = bench.results
    Console(width=TABLE_WIDTH).print(
        as_table([result for results in measured.values() for result in results])
    )
    keep({name: results for name, results in measured.items() if name not in failed})
    if failed:
        sys.stderr.write(f"not measured to the end: {', '.join(failed)}\n")
    return 1 if failed else 0


def as_table(results: list[Result]) -> Table:
    table = Table(title="Billplane beside its references")
    for heading in ("#", "path", "reference", "ours"):
        table.add_column(heading, overflow="fold")
    for heading in ("reference/s", "ours/s", "ratio (min-max)", "bar"):
        table.add_column(heading, justify="right")
    for heading in ("CPU-s per 1,000: ours", "reference"):
        table.add_column(heading, justify="right")
    for result in sorted(results, key=lambda result: result.bar.number):
        bar = result.bar
        figures = result.as_json()
        ratio = figures["ratio"]
        verdict = {True: "met", False: "MISSED", None: ""}[result.is_met]
        table.add_row(
            str(bar.number),
            f"{bar.name} ({bar.unit})",
            bar.reference,
            bar.ours,
            f"{figures['reference']['per_second']:,.0f}",
            f"{figures['ours']['per_second']:,.0f}",
            f"{ratio['median']} ({ratio['min']}-{ratio['max']})",
            "" if bar.at_least is None else f">= {bar.at_least} {verdict}",
            f"{figures['ours']['cpu_seconds_per_1000']:.3g}",
            f"{figures['reference']['cpu_seconds_per_1000']:.3g}",
        )
    return table


def keep(measured: dict[str, list[Result]]) -> None:
    """Write the results, keeping those of modules that did not run now."""
    document: dict[str, Any] = {"modules": {}}
    if RESULTS.exists():
        document = json.loads(RESULTS.read_text())
    machine = {
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    for name, results in measured.items():
        document["modules"][name] = {
            "taken_at": taken_at,
            "machine": machine,
            "results": [result.as_json() for result in results],
        }
    document["modules"] = dict(sorted(document["modules"].items()))
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
