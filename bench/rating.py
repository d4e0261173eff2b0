"""Bar 4: a million usage rows into exact lines.

Each side has the rows where it keeps them: Postgres in a table, the Decimal loop in a list of
tuples, Billplane in columns. A further line, without a bar, begins at the rows' text as they come
from metering, for both sides.
"""

import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from billplane.pricing.domain import (
    UsageColumns,
    UsageLists,
    columns_from_lists,
    rate_period,
)
from billplane.resources import BillingPlanSpec

from bench.harness import Bar, Bench
from bench.stores import open_stores

ROWS = 1_000_000
# One run of ours is a few ticks of the CPU clock: several are timed as one.
REPEATS = 20
REGIONS = ["eu-central", "eu-west", "us-east", "us-west", "ap-south", "ap-north", "sa-east", "af"]
SIZES = ["small", "medium", "large"]
ZONE = ZoneInfo("Europe/Berlin")
STARTS_AT = datetime(2025, 12, 31, 23, tzinfo=UTC)
ENDS_AT = datetime(2026, 1, 31, 23, tzinfo=UTC)
HOURS = (ENDS_AT - STARTS_AT) // timedelta(hours=1)

TIERS = [
    {"upTo": "1000000", "unitAmount": "0.002"},
    {"upTo": "50000000", "unitAmount": "0.0015"},
    {"unitAmount": "0.001"},
]
GRADUATED = {"graduated": {"tiers": TIERS}}
MATRIX = {
    "matrix": {
        "dimensions": ["region", "size"],
        "cells": [
            {"values": ["eu-west", "*"], "unitAmount": "0.004"},
            {"values": ["us-east", "large"], "unitAmount": "0.006"},
        ],
        "default": {"unitAmount": "0.005"},
    }
}
PEAK = [1 if 8 <= hour < 20 else 0 for hour in range(24)]
TIME_OF_USE = {
    "timeOfUse": {
        "timeZone": ZONE.key,
        "periods": [{"name": "low", "unitAmount": "0.1"}, {"name": "high", "unitAmount": "0.3"}],
        "weekday": [PEAK] * 12,
        "weekend": [[0] * 24] * 12,
    }
}
PERCENTAGE = {"percentage": {"rate": "0.029", "fixedAmount": "0.30", "maximum": "20"}}


class Rows:
    """The same million rows as text, tuples and columns."""

    def __init__(self) -> None:
        chance = random.Random(4)
        self.starts_at = [
            STARTS_AT + timedelta(hours=number * HOURS // ROWS) for number in range(ROWS)
        ]
        self.quantity = [f"{chance.randrange(10**9) / 10**6:.6f}" for _ in range(ROWS)]
        self.region = [chance.choice(REGIONS) for _ in range(ROWS)]
        self.size = [chance.choice(SIZES) for _ in range(ROWS)]
        self.decimals = [Decimal(text) for text in self.quantity]

    def lists(self, dimensions: Sequence[Sequence[str]]) -> UsageLists:
        """Return the rows as they come from metering, with these dimensions."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return UsageLists(
            starts_at=[(at - epoch) // timedelta(seconds=1) for at in self.starts_at],
            seconds=[3600] * ROWS,
            quantity=self.quantity,
            event_count=[1] * ROWS,
            dimensions=dimensions,
            properties=[],
        )


async def measure(bench: Bench) -> None:
    rows = Rows()
    grouped = columns_from_lists(rows.lists([rows.region]))
    by_cell = columns_from_lists(rows.lists([rows.region, rows.size]))
    whole = columns_from_lists(rows.lists([]))
    sides: list[tuple[str, dict[str, Any], list[str], UsageColumns, Callable[[], Decimal]]] = [
        ("graduated", GRADUATED, ["region"], grouped, lambda: loop_graduated(rows)),
        ("matrix", MATRIX, [], by_cell, lambda: loop_matrix(rows)),
        ("time of use", TIME_OF_USE, [], whole, lambda: loop_time_of_use(rows)),
        ("percentage", PERCENTAGE, [], whole, lambda: loop_percentage(rows)),
    ]
    with open_stores() as stores:
        connection = await asyncpg.connect(stores.postgres_admin_url)
        await fill(connection, rows)
        for name, model, group_by, columns, loop in sides:
            spec = plan(model, group_by)
            # Speed counts only where both answer alike, to the last digit.
            assert rate(spec, columns) == loop(), name
            await bench.compare(
                Bar(4, f"rate 1M rows, {name}", "Decimal loop", "columns", "row", Decimal(20)),
                reference=loop,
                ours=lambda spec=spec, columns=columns: rate_repeatedly(spec, columns),
                operations=REPEATS * ROWS,
                reference_operations=ROWS,
            )
            statement = STATEMENTS[name]
            await bench.compare(
                Bar(
                    4,
                    f"rate 1M rows, {name}",
                    "SQL GROUP BY sum",
                    "columns",
                    "row",
                    Decimal("0.5"),
                ),
                reference=lambda statement=statement: connection.fetch(statement),
                ours=lambda spec=spec, columns=columns: rate_repeatedly(spec, columns),
                operations=REPEATS * ROWS,
                reference_operations=ROWS,
                processes=lambda: [os.getpid(), stores.postgres_pid],
            )
        await connection.close()
    spec = plan(GRADUATED, ["region"])
    text = rows.lists([rows.region])
    await bench.compare(
        Bar(4, "rate 1M rows from text, graduated", "Decimal loop", "parse and rate", "row"),
        reference=lambda: loop_graduated(rows, [Decimal(quantity) for quantity in rows.quantity]),
        ours=lambda: rate(spec, columns_from_lists(text)),
        operations=ROWS,
    )


STATEMENTS = {
    "graduated": "SELECT region, sum(quantity), sum(event_count) FROM usage GROUP BY region",
    "matrix": "SELECT region, size, sum(quantity), sum(event_count) FROM usage "
    "GROUP BY region, size",
    "time of use": "SELECT starts_at, sum(quantity), sum(event_count) FROM usage "
    "GROUP BY starts_at",
    "percentage": "SELECT sum(quantity), sum(event_count) FROM usage",
}


async def fill(connection: asyncpg.Connection, rows: Rows) -> None:
    await connection.execute(
        "CREATE TABLE usage (region text NOT NULL, size text NOT NULL,"
        " starts_at timestamptz NOT NULL, quantity numeric NOT NULL, event_count bigint NOT NULL)"
    )
    records = zip(rows.region, rows.size, rows.starts_at, rows.decimals, [1] * ROWS, strict=True)
    await connection.copy_records_to_table("usage", records=records)
    await connection.execute("VACUUM ANALYZE usage")


def plan(model: dict[str, Any], group_by: list[str]) -> BillingPlanSpec:
    usage = {"meter": "kwh", "groupBy": group_by, "model": model}
    return BillingPlanSpec.parse(
        {
            "currency": "EUR",
            "interval": {"timeZone": ZONE.key, "anchor": "Calendar"},
            "charges": [{"name": "energy", "usage": usage}],
        }
    )


def rate(spec: BillingPlanSpec, columns: UsageColumns) -> Decimal:
    lines = rate_period(spec, starts_at=STARTS_AT, ends_at=ENDS_AT, usage={"energy": columns})
    return sum((line.exact_amount for line in lines), Decimal(0))


def rate_repeatedly(spec: BillingPlanSpec, columns: UsageColumns) -> None:
    for _ in range(REPEATS):
        rate(spec, columns)


def loop_graduated(rows: Rows, quantities: Sequence[Decimal] | None = None) -> Decimal:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    counts: defaultdict[str, int] = defaultdict(int)
    for region, quantity in zip(rows.region, quantities or rows.decimals, strict=True):
        totals[region] += quantity
        counts[region] += 1
    amount = Decimal(0)
    for total in totals.values():
        lower = Decimal(0)
        for tier in TIERS:
            upper = min(total, Decimal(tier["upTo"])) if "upTo" in tier else total
            amount += max(upper - lower, Decimal(0)) * Decimal(tier["unitAmount"])
            lower = max(lower, upper)
    return amount


def loop_matrix(rows: Rows) -> Decimal:
    totals: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for region, size, quantity in zip(rows.region, rows.size, rows.decimals, strict=True):
        totals[region, size] += quantity
        counts[region, size] += 1
    amount = Decimal(0)
    for (region, size), total in totals.items():
        price = Decimal("0.005")
        if region == "eu-west":
            price = Decimal("0.004")
        elif (region, size) == ("us-east", "large"):
            price = Decimal("0.006")
        amount += total * price
    return amount


def loop_time_of_use(rows: Rows) -> Decimal:
    totals: defaultdict[int, Decimal] = defaultdict(Decimal)
    known: dict[datetime, int] = {}
    for starts_at, quantity in zip(rows.starts_at, rows.decimals, strict=True):
        period = known.get(starts_at)
        if period is None:
            local = starts_at.astimezone(ZONE)
            period = known[starts_at] = 0 if local.weekday() >= 5 else PEAK[local.hour]
        totals[period] += quantity
    return totals[0] * Decimal("0.1") + totals[1] * Decimal("0.3")


def loop_percentage(rows: Rows) -> Decimal:
    rate_of_amount, fixed, maximum = Decimal("0.029"), Decimal("0.30"), Decimal(20)
    amount = Decimal(0)
    for quantity in rows.decimals:
        amount += min(quantity * rate_of_amount + fixed, maximum)
    return amount
