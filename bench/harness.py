"""Paired runs: reference, ours, reference, ours; and what they cost in CPU over all processes.

An absolute figure from a small shared machine means nothing, a ratio within one run does: the
ratio of each pair is taken, the first pair dropped, and median, minimum and maximum told.
"""

import inspect
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

PAIRS_MIN = 5
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# One side of a comparison: does all of the bar's operations once.
Side = Callable[[], Awaitable[Any] | Any]


@dataclass(frozen=True)
class Bar:
    """One line of performance.md: what is measured against what.

    `unit` is what an operation is; `at_least` is the ratio to reach, None where the line only
    informs.
    """

    number: int
    name: str
    reference: str
    ours: str
    unit: str
    at_least: Decimal | None = None


@dataclass(frozen=True)
class Run:
    """One run of one side."""

    operations: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Operations per second of the clock."""
        return self.operations / self.seconds

    @property
    def cpu_seconds_per_1000(self) -> float:
        """CPU-seconds of all counted processes per 1,000 operations."""
        return self.cpu_seconds / self.operations * 1000


@dataclass(frozen=True)
class Result:
    """A bar and its pairs of runs, warm-up left out."""

    bar: Bar
    reference: Sequence[Run]
    ours: Sequence[Run]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as its reference each of our runs was."""
        pairs = zip(self.reference, self.ours, strict=True)
        return [ours.per_second / reference.per_second for reference, ours in pairs]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        return None if self.bar.at_least is None else self.ratio >= float(self.bar.at_least)

    def as_json(self) -> dict[str, Any]:
        """Return what `bench/results.json` keeps."""
        at_least = self.bar.at_least
        return {
            "number": self.bar.number,
            "name": self.bar.name,
            "unit": self.bar.unit,
            "reference": _side_as_json(self.bar.reference, self.reference),
            "ours": _side_as_json(self.bar.ours, self.ours),
            "ratio": {
                "median": _short(self.ratio),
                "min": _short(min(self.ratios)),
                "max": _short(max(self.ratios)),
                "at_least": None if at_least is None else float(at_least),
                "is_met": self.is_met,
            },
            "pairs": len(self.ours),
            **({"notes": self.notes} if self.notes else {}),
        }


class Bench:
    """Collects the results of one run of the benchmarks."""

    def __init__(self, pairs: int = PAIRS_MIN) -> None:
        self.pairs = pairs
        self.results: list[Result] = []

    async def compare(
        self,
        bar: Bar,
        *,
        reference: Side,
        ours: Side,
        operations: int,
        reference_operations: int | None = None,
        reset: Side | None = None,
        check: Side | None = None,
        processes: Callable[[], Iterable[int]] | None = None,
        notes: dict[str, Any] | None = None,
    ) -> Result:
        """Run both sides in turn, `pairs` times after one warm-up pair, and keep the result.

        `reset` runs, off the clock, before each run; `check` after each pair, and a run whose
        check raises has no figure. `processes` names the processes whose CPU time counts, with
        their descendants; by default this one.
        """
        pids = processes or (lambda: [os.getpid()])

        async def timed(side: Side, count: int) -> Run:
            if reset is not None:
                await _call(reset)
            return await _timed(side, count, pids)

        return await self.compare_runs(
            bar,
            reference=lambda: timed(reference, reference_operations or operations),
            ours=lambda: timed(ours, operations),
            check=check,
            notes=notes,
        )

    async def compare_runs(
        self,
        bar: Bar,
        *,
        reference: Callable[[], Awaitable[Run]],
        ours: Callable[[], Awaitable[Run]],
        check: Side | None = None,
        notes: dict[str, Any] | None = None,
    ) -> Result:
        """Do as `compare` with sides that measure themselves, as a load generator does."""
        kept: tuple[list[Run], list[Run]] = ([], [])
        for pair in range(self.pairs + 1):
            for side, runs in zip((reference, ours), kept, strict=True):
                run = await side()
                if pair > 0:
                    runs.append(run)
            if check is not None:
                await _call(check)
        result = Result(bar, *kept, notes or {})
        self.results.append(result)
        return result


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes and their descendants, ended ones too, have used."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            # The name in parentheses may hold spaces; the fields after it do not.
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.name)
        children.setdefault(int(fields[1]), []).append(pid)
        used[pid] = sum(map(int, fields[11:15])) / _TICKS_PER_SECOND
    total = 0.0
    waiting = list(set(pids))
    counted: set[int] = set()
    while waiting:
        pid = waiting.pop()
        if pid in counted:
            continue
        counted.add(pid)
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total


async def _timed(side: Side, operations: int, pids: Callable[[], Iterable[int]]) -> Run:
    cpu_before = cpu_seconds(pids())
    started = time.perf_counter()
    await _call(side)
    seconds = time.perf_counter() - started
    return Run(operations, seconds, cpu_seconds(pids()) - cpu_before)


async def _call(side: Side) -> None:
    outcome = side()
    if inspect.isawaitable(outcome):
        await outcome


def _side_as_json(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "name": name,
        "per_second": _short(statistics.median(run.per_second for run in runs)),
        "cpu_seconds_per_1000": _short(statistics.median(run.cpu_seconds_per_1000 for run in runs)),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
