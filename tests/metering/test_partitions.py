"""Usage in partitions: an installation with usage comes to them, and questions open few of them."""

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO

import asyncpg
from billplane.chassis.auth import Principal
from billplane.chassis.jobs import Worker
from billplane.chassis.migrations import runner
from billplane.metering.domain import UsageEvent, encode_data, pack
from billplane.metering.jobs import make_months
from billplane.metering.repository import adjustments, reading, subjects
from billplane.metering.service.usage import Query, query_usage
from sqlalchemy import event as sql_event

from tests.chassis.waiting import eventually
from tests.metering.usage import JANUARY, Usage, event

TENANT = "ten_grown"
FEBRUARY = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
OLD, FAR = ("1999-05-01T00:00:00Z", "1999-06-01T00:00:00Z"), (
    "2099-01-01T00:00:00Z", "2099-02-01T00:00:00Z",
)  # fmt: skip
LATER = "2026-02-10T00:00:00Z"
PARTED = ("metering.usage_events_", "metering.usage_records_")
METERS = {"units": "Sum", "most": "Max", "callers": "UniqueCount"}


async def test_usage_of_the_version_before_is_kept_both_ways(make_stores, run_platform):
    stores = await make_stores()
    await _go_down_to(stores, "0005")
    database = await asyncpg.connect(stores.admin_url)
    assert await _kinds(database) == {"usage_events": "r", "usage_records": "r"}
    await _store_as_before(database)
    before = await _rows(database)

    await runner.migrate(stores.admin_url, ["metering"])
    assert await _kinds(database) == {"usage_events": "p", "usage_records": "p"}
    assert await _rows(database) == before
    months = await _partitions(database, "usage_records")
    assert {"usage_records_2026_01", "usage_records_2026_02", "usage_records_other"} <= months
    assert not {"usage_records_1999_05", "usage_records_2099_01"} & months

    async with run_platform(stores, ("metering",)) as platform, platform.channel() as channel:
        usage = Usage(platform, TENANT, channel)
        assert await usage.quantity() == ("6", 3)
        assert await usage.quantity("most") == ("3", 3)
        assert await usage.quantity("callers") == ("3", 3)
        assert await usage.quantity(bounds=FEBRUARY) == ("40", 1)
        assert await usage.quantity(bounds=OLD) == ("7", 1)
        assert await usage.quantity(bounds=FAR) == ("8", 1)
        # One that was stored before meets itself, also under another date; new ones count on.
        await usage.send(event(1, time=LATER), expect=202)
        await usage.send(event(20, time=LATER, data={"units": 2}))
        await usage.flush()
        assert await usage.quantity(bounds=FEBRUARY) == ("42", 2)
        assert [item["id"] for item in await usage.conflicts()] == ["e1"]
        await usage.request(
            "POST", "/v1/usage_events:void", 200, json={"source": "tests", "id": "e10"}
        )
        assert await usage.quantity(bounds=FEBRUARY) == ("2", 1)
        assert await usage.quantity(subject="bob") == ("5", 1)

    after = await _rows(database)
    await _go_down_to(stores, "0005")
    assert await _kinds(database) == {"usage_events": "r", "usage_records": "r"}
    assert await _partitions(database, "usage_records") == set()
    assert await _rows(database) == after
    await runner.migrate(stores.admin_url, ["metering"])
    assert await _rows(database) == after
    await database.close()


async def test_months_are_made_ahead_and_for_usage_that_came_before_them(usage, platform):
    database = await asyncpg.connect(platform.stores.admin_url)
    await usage.meter()
    for number, at in enumerate(("2026-05-31T23:59:59.9Z", "2026-06-01T00:00:00Z", *OLD, *FAR)):
        await usage.send(event(number, time=at, data={"units": 2**number}))
    await usage.flush()
    around = datetime(2026, 5, 31, 23, tzinfo=UTC)
    await _make_months(database, around, {f"usage_records_2026_{n:02}" for n in (5, 6, 7, 8)})
    places = await database.fetch(
        "SELECT tableoid::regclass::text AS place, quantity::integer FROM metering.usage_records"
        " WHERE tenant_id = $1 ORDER BY quantity",
        usage.tenant,
    )
    assert [tuple(row) for row in places] == [
        ("metering.usage_records_2026_05", 1),
        ("metering.usage_records_2026_06", 2),
        *[("metering.usage_records_other", 2**number) for number in range(2, 6)],
    ]
    # What comes now goes where its month is, and adds up with what was moved.
    await usage.send(event(9, time="2026-06-01T00:30:00Z", data={"units": 10}))
    assert await usage.quantity(bounds=("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")) == (
        "12",
        2,
    )
    await database.close()


async def test_the_job_gives_late_usage_its_month(usage, platform):
    runtime = platform.platform.runtimes["metering"]
    at = runtime.clock.now() - timedelta(days=400)
    await usage.meter()
    await usage.send(event(1, time=at.isoformat()))
    await usage.flush()
    database = await asyncpg.connect(platform.stores.admin_url)
    wanted = {f"usage_records_{at:%Y_%m}", f"usage_records_{runtime.clock.now():%Y_%m}"}

    async def made():
        await make_months(Worker(runtime))
        return wanted <= await _partitions(database, "usage_records")

    await eventually(made)
    await database.close()
    bounds = [(at + timedelta(days=days)).isoformat() for days in (-1, 1)]
    assert await usage.quantity(bounds=bounds) == ("1", 1)


async def test_questions_open_the_partitions_they_need(usage, platform):
    for name, aggregation in METERS.items():
        await usage.meter(name, aggregation=aggregation)
    await usage.send(event(1), event(2, time="2026-02-01T00:00:00Z"))
    await usage.flush()
    database = await asyncpg.connect(platform.stores.admin_url)
    around = datetime(2026, 1, 1, tzinfo=UTC)
    await _make_months(database, around, {f"usage_records_2026_{n:02}" for n in (1, 2, 3, 4)})
    (home,) = await database.fetch(
        "SELECT DISTINCT tableoid::regclass::text AS name FROM metering.usage_events"
        " WHERE tenant_id = $1",
        usage.tenant,
    )
    await database.close()
    events, january = {home["name"]}, {"metering.usage_records_2026_01"}
    starts_at, ends_at = (datetime.fromisoformat(text) for text in JANUARY)

    def query(meter):
        return Query(meter, ["ada"], starts_at, ends_at)

    runtime = platform.platform.runtimes["metering"]
    principal = Principal("user:usr_test", usage.tenant, False, frozenset({"*"}))
    async with runtime.database.write(runtime, principal) as tx, _Plans(tx) as opened:
        assert await opened(query_usage(tx, query("units"))) == january
        assert await opened(query_usage(tx, query("callers"))) == events
        assert await opened(reading.totals(tx, ["mtr_x"], ["ada"], starts_at, ends_at)) == january
        assert await opened(subjects.counts_of_subjects(tx, ["ada"])) == events
        period = adjustments.ReadPeriod(starts_at, ends_at, tx.now)
        found = await opened(adjustments.changed_periods(tx, ["ada"], [period]))
        # An hour before the period may reach into it; where that lies others may have decided.
        december = {"metering.usage_records_other", "metering.usage_records_2025_12"}
        assert january <= found
        assert len(found & december) <= 1
        assert found <= january | december
        assert await opened(adjustments.lock_event(tx, "tests", "e1")) == events


class _Plans:
    """Runs statements again under EXPLAIN ANALYZE; tells which partitions they opened."""

    def __init__(self, tx):
        self._session = tx.session
        self._seen = []

    async def __aenter__(self):
        self._connection = await self._session.connection()
        self._target = self._connection.sync_connection
        sql_event.listen(self._target, "before_cursor_execute", self._note)
        return self._opened

    async def __aexit__(self, *_error):
        sql_event.remove(self._target, "before_cursor_execute", self._note)

    def _note(self, _connection, _cursor, statement, parameters, _context, _many):
        if "metering.usage_" in statement and not statement.startswith("EXPLAIN"):
            self._seen.append((statement, parameters))

    async def _opened(self, asking):
        self._seen.clear()
        await asking
        names = set()
        assert self._seen
        for statement, parameters in list(self._seen):
            found = await self._connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) {statement}", tuple(parameters)
            )
            plan = found.scalar_one()
            names |= _tables(json.loads(plan) if isinstance(plan, str) else plan)
        return {
            name
            for name in names
            if name.startswith(("metering.usage_events_", "metering.usage_records_"))
        }


def _tables(node):
    if isinstance(node, list):
        return set().union(*(_tables(item) for item in node))
    if not isinstance(node, dict):
        return set()
    names = set()
    if "Relation Name" in node and node["Actual Loops"]:
        names = {f"{node['Schema']}.{node['Relation Name']}"}
    return names.union(*(_tables(value) for value in node.values()))


async def _go_down_to(stores, revision):
    history = runner.revisions("metering")
    steps = len(history) - 1 - history.index(revision)
    await runner.migrate(stores.admin_url, ["metering"], down=steps)


async def _store_as_before(database):
    """Make meters, and store events by the statements of the version before."""
    for name, aggregation in METERS.items():
        spec = {"eventType": "api.request", "aggregation": aggregation}
        spec["valueProperty"] = "$.caller" if name == "callers" else "$.units"
        await database.execute(
            "INSERT INTO metering.meters (tenant_id, id, name, origin, generation, epoch, version,"
            " spec, created_at) VALUES ($1, $2, $3, 'api', 1, 1, 1, $4, now())",
            TENANT, f"mtr_{name}", name, json.dumps(spec),
        )  # fmt: skip
    sent = [
        *((number, "ada", f"2026-01-{number:02}T00:00:00Z", number) for number in (1, 2, 3)),
        (4, "bob", "2026-01-31T23:59:59.999999Z", 5),
        (10, "ada", LATER, 40),
        (11, "ada", OLD[0], 7),
        (12, "ada", FAR[0], 8),
    ]
    rows = [_row(*values) for values in sent]
    async with database.transaction():
        await database.execute("SELECT metering.prepare_incoming()")
        await database.copy_to_table(
            "incoming_usage", source=BytesIO(b"\n".join(rows)), format="text"
        )
        assert await database.fetchval("SELECT metering.store_incoming()") == len(sent)
        await database.execute("SELECT metering.note_changes()")


def _row(number, subject, at, units):
    made = UsageEvent(
        id=f"e{number}", source="tests", type="api.request", subject=subject,
        time=datetime.fromisoformat(at), data={"units": units, "caller": f"c{number}"},
    )  # fmt: skip
    return pack(TENANT, False, made, encode_data(made.data), None, "").row


async def _kinds(database):
    return {
        row["name"]: row["kind"].decode()
        for row in await database.fetch(
            "SELECT relname AS name, relkind AS kind FROM pg_class"
            " WHERE relnamespace = 'metering'::regnamespace"
            " AND relname IN ('usage_events', 'usage_records')"
        )
    }


async def _partitions(database, table):
    found = await database.fetch(
        "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = $1::regclass",
        f"metering.{table}",
    )
    return {row["name"] for row in found}


async def _make_months(database, around, wanted):
    """Make months; the service's own job may be at it at the same time."""

    async def made():
        while await database.fetchval("SELECT metering.make_usage_month($1)", around):
            pass
        return wanted <= await _partitions(database, "usage_records")

    await eventually(made)


async def _rows(database):
    return {
        table: [
            row["row"]
            for row in await database.fetch(
                f"SELECT to_jsonb(t)::text AS row FROM metering.{table} t ORDER BY 1"
            )
        ]
        for table in ("usage_events", "usage_records", "usage_subjects", "usage_adjustments")
    }
