"""An installation with rows comes to each service's newest schema, goes back, and loses none."""

import json
import random
import re

import asyncpg
import pytest
from billplane.chassis.migrations import runner

TENANTS = ("ten_a", "ten_b", "ten_c")
TRIES = 400
_LITERAL = re.compile(r"'((?:[^']|'')*)'::text")
_FILLERS = {
    "text": ("x{row}", "EUR", "DE", "", "0" * 64),
    "boolean": (False, True),
    "jsonb": ("{}", "[]"),
    "bytea": (b"\0",),
    "uuid": ("00000000-0000-0000-0000-00000000000{row}",),
    "date": ("2026-01-0{row}", "2026-02-01"),
    "timestamp with time zone": ("2026-01-0{row}T00:00:00Z", "2026-02-01T00:00:00Z"),
}
_NUMBERS = ("{row}", "0", "-1")


@pytest.fixture(scope="module")
async def address(make_stores):
    """Give a database of this module's own: no service touches another's schema."""
    return (await make_stores()).admin_url


async def test_rows_outlive_the_newest_upgrade_and_the_way_back(service, address):
    if not runner.has_history(service) or len(runner.revisions(service)) == 1:
        return
    connection = await asyncpg.connect(address)
    await runner.migrate(address, [service], down=1)
    await _fill(connection, service)
    before = await _rows(connection, service)
    assert all(len(rows) == len(TENANTS) for rows in before.values())

    await runner.migrate(address, [service])
    after = await _rows(connection, service)
    for table, rows in before.items():
        kept = [{name: row.get(name) for name in rows[0]} for row in after[table]]
        assert kept == rows, f"{service}.{table} on the way up"

    await runner.migrate(address, [service], down=1)
    assert await _rows(connection, service) == before, f"{service} on the way back"
    await runner.migrate(address, [service])
    assert await _rows(connection, service) == after, f"{service} up again"
    await connection.close()


async def _tables(connection, service):
    found = await connection.fetch(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = $1::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'",
        service,
    )
    return sorted(row["name"] for row in found)


async def _rows(connection, service):
    """Return each table's rows in the order of their tenants."""
    return {
        table: [
            json.loads(row["row"])
            for row in await connection.fetch(
                f"SELECT to_jsonb(t)::text AS row FROM {service}.{table} t ORDER BY tenant_id"
            )
        ]
        for table in await _tables(connection, service)
    }


async def _fill(connection, service):
    """Put a row of each tenant into every table: one whole, one sparse, one of anything.

    Triggers do not run: rows stand alone, as what a trigger compares them with may lack.
    """
    await connection.execute("SET session_replication_role = replica")
    for table in await _tables(connection, service):
        for number, tenant in enumerate(TENANTS, 1):
            await _Row(connection, f"{service}.{table}", number, tenant).insert()
    await connection.execute("SET session_replication_role = origin")


class _Row:
    """A row as the table's columns and constraints let it be."""

    def __init__(self, connection, table, number, tenant):
        self._connection = connection
        self._table = table
        self._number = number
        self._tenant = tenant
        self._random = random.Random(f"{table} {number}")

    async def insert(self):
        """Insert it; what a constraint refuses is chosen anew among the columns it names."""
        columns = await self._connection.fetch(
            "SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS full"
            " FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' AND attidentity = ''",
            self._table,
        )
        checks = {
            row["name"]: row["text"]
            for row in await self._connection.fetch(
                "SELECT conname AS name, pg_get_constraintdef(oid) AS text FROM pg_constraint"
                " WHERE conrelid = $1::regclass AND contype = 'c'",
                self._table,
            )
        }
        choices = {row["name"]: self._choices(row, checks.values()) for row in columns}
        chosen = {name: values[0] for name, values in choices.items()}
        types = {row["name"]: row["type"] for row in columns}
        for _ in range(TRIES):
            names = ", ".join(f'"{name}"' for name in chosen)
            values = ", ".join(_literal(value, types[name]) for name, value in chosen.items())
            try:
                await self._connection.execute(
                    f"INSERT INTO {self._table} ({names}) VALUES ({values})"
                )
            except asyncpg.CheckViolationError as error:
                refused = error.constraint_name
                named = re.findall(r"\w+", checks[refused])
                for name in choices.keys() & set(named):
                    chosen[name] = self._random.choice(choices[name])
            else:
                return
        raise AssertionError(f"no row of {self._table} was found: {refused} {checks[refused]}")

    def _choices(self, column, checks):
        """List values of a column, the one to begin with first."""
        name, kind = column["name"], column["type"]
        if name == "tenant_id":
            return [self._tenant]
        base = kind.partition("(")[0]
        if kind.endswith("[]"):
            values = ["{}"]
        elif base in ("bigint", "integer", "smallint", "numeric", "double precision"):
            values = [value.format(row=self._number) for value in _NUMBERS]
        elif base in ("character", "character varying"):
            values = ["EUR", "x"]
        else:
            values = [
                value.format(row=self._number) if isinstance(value, str) and "{row}" in value
                else value
                for value in _FILLERS[base]
            ]  # fmt: skip
        if base == "text":
            said = [text for check in checks if re.search(rf"\b{name}\b", check)
                    for text in _LITERAL.findall(check)]  # fmt: skip
            values = said + values
        if not column["full"]:
            values = [*values, None] if self._number == 1 else [None, *values]
        return values


def _literal(value, kind):
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, bool):
        return str(value)
    return f"'{value}'::{kind}"
