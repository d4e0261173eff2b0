"""Create metering's tables and the functions that count.

Why: meters, the events that were sent, the hourly records of what they count, events that came a
second time with other content, and the names that events were sent for.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.applied import APPLIED_SQL, applied_indexes
from billplane.chassis.migrations import (
    create_foundation,
    create_tenant_table,
    drop_foundation,
    worker_function,
)

revision = "0001"
down_revision = None

TABLES = ("meters", "usage_events", "usage_conflicts", "usage_records", "usage_subjects")
PATHS_MAX = 10

# `quantity` is the value for every meter where the event came with one. Columns that come in the
# stream stand first, in its order.
_EVENT = """
    tenant_id text NOT NULL,
    livemode boolean NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    event_type text NOT NULL,
    subject text NOT NULL,
    event_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    content_hash bigint NOT NULL,
    quantity numeric(18, 6)
"""
_COLUMNS = (
    "tenant_id, livemode, source, id, event_type, subject, event_at, data, content_hash, quantity"
)


def _text(number: int) -> str:
    """Read the property of a path; a property that is missing is the empty text."""
    return f"coalesce(data #>> string_to_array(paths[{number}], '.'), '')"


def _dimensions() -> str:
    """Build the object of an event's dimensions, without a subquery so that it is inlined."""
    cases = ["WHEN 0 THEN '{}'::jsonb"]
    for count in range(1, PATHS_MAX + 1):
        pairs = ", ".join(f"names[{number}], {_text(number)}" for number in range(1, count + 1))
        cases.append(f"WHEN {count} THEN jsonb_build_object({pairs})")
    return f"SELECT CASE cardinality(names) {' '.join(cases)} END"


def _passes() -> str:
    """Compare an event's properties with the values that each filter allows."""
    tests = " AND ".join(
        f"(cardinality(paths) < {number} OR wanted -> {number - 1} ? {_text(number)})"
        for number in range(1, PATHS_MAX + 1)
    )
    return f"SELECT CASE WHEN cardinality(paths) = 0 THEN true ELSE {tests} END"


# A number that the door took exactly may be written with more zeros at its end.
_VALUE = """
  SELECT CASE
    WHEN quantity IS NOT NULL THEN quantity
    WHEN data #>> path ~ '^-?[0-9]{1,12}([.][0-9]{1,6}0*)?$' THEN (data #>> path)::numeric
  END
"""

# What each meter in use reads, straight from the spec that it runs.
_RULES = """
  CREATE VIEW metering.meter_rules WITH (security_invoker = true) AS
  SELECT m.tenant_id, m.id AS meter_id, m.spec ->> 'eventType' AS event_type,
    m.spec ->> 'aggregation' AS aggregation,
    string_to_array(substr(m.spec ->> 'valueProperty', 3), '.') AS value_path,
    ARRAY(SELECT g ->> 'name' FROM jsonb_array_elements(m.spec -> 'groupBy') g) AS names,
    ARRAY(SELECT substr(g ->> 'property', 3) FROM jsonb_array_elements(m.spec -> 'groupBy') g)
      AS paths,
    ARRAY(SELECT substr(f ->> 'property', 3) FROM jsonb_array_elements(m.spec -> 'filter') f)
      AS filter_paths,
    jsonb_path_query_array(m.spec, '$.filter[*].in') AS filter_values
  FROM metering.meters m WHERE m.removed_at IS NULL
"""

# Hourly records of some events: the one place where an event becomes a quantity. Sum and Average
# keep the sum, Max and Min the extreme; what hours cannot be added to keeps the number of events.
_COUNTED = """
  SELECT tenant_id, livemode, subject AS customer_id, meter_id, starts_at, dimensions, aggregation,
    CASE aggregation WHEN 'Count' THEN count(*) WHEN 'Sum' THEN sum(value)
      WHEN 'Average' THEN sum(value) WHEN 'Max' THEN max(value) WHEN 'Min' THEN min(value) END
      AS quantity,
    count(*) AS event_count
  FROM (
    SELECT e.tenant_id, e.livemode, e.subject, m.meter_id, m.aggregation,
      metering.event_dimensions(e.data, m.names, m.paths) AS dimensions,
      date_bin('1 hour', e.event_at, '2000-01-01T00:00:00Z') AS starts_at,
      CASE m.aggregation WHEN 'Count' THEN 1
        WHEN 'UniqueCount' THEN CASE WHEN metering.event_text(e.data, e.quantity, m.value_path)
          IS NOT NULL THEN 1 END
        ELSE metering.event_value(e.data, e.quantity, m.value_path) END AS value
    FROM {events} e JOIN {rules} m ON m.tenant_id = e.tenant_id AND m.event_type = e.event_type
    WHERE metering.event_passes(e.data, m.filter_paths, m.filter_values)
  ) points
  WHERE value IS NOT NULL
  GROUP BY tenant_id, livemode, subject, meter_id, starts_at, dimensions, aggregation
"""
_RECORDS = (
    "metering.usage_records (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions,"
    " aggregation, quantity, event_count, updated_at)"
)

# The rows come in a temporary table of the session that outlives transactions, not its rows.
_PREPARE = f"""
BEGIN
  IF to_regclass('pg_temp.incoming_usage') IS NULL THEN
    CREATE TEMP TABLE incoming_usage ({_EVENT}) ON COMMIT DELETE ROWS;
    GRANT INSERT ON incoming_usage TO metering_app;
  END IF;
END
"""

# A changed meter waits until this transaction has ended, and this one for it: 64 locks share all
# tenants, so that a batch of many tenants needs few.
_LOCK = "pg_advisory_xact_lock{mode}(hashtext('metering.count'), hashtext({tenant}) & 63)"

# The row that came first stands. What differs from it is kept aside, once; that needs a statement
# of its own, which sees what the one before it stored.
_STORE = f"""
DECLARE
  given bigint;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('metering.count'), bucket)
    FROM (SELECT DISTINCT hashtext(tenant_id) & 63 AS bucket FROM pg_temp.incoming_usage
      ORDER BY 1) buckets;
  SELECT count(*) INTO given FROM pg_temp.incoming_usage;
  WITH stored AS (
    INSERT INTO metering.usage_events ({_COLUMNS}, received_at)
    SELECT {_COLUMNS}, now() FROM pg_temp.incoming_usage
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, livemode, event_type, subject, event_at, data, quantity
  ), rules AS MATERIALIZED (
    SELECT * FROM metering.meter_rules
    WHERE tenant_id IN (SELECT DISTINCT tenant_id FROM pg_temp.incoming_usage)
  ), counted AS ({_COUNTED.format(events="stored", rules="rules")}
  ), recorded AS (
    INSERT INTO {_RECORDS} SELECT c.*, now() FROM counted c
    ON CONFLICT (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions_key)
    DO UPDATE SET event_count = usage_records.event_count + EXCLUDED.event_count,
      updated_at = EXCLUDED.updated_at,
      quantity = CASE EXCLUDED.aggregation
        WHEN 'Max' THEN greatest(usage_records.quantity, EXCLUDED.quantity)
        WHEN 'Min' THEN least(usage_records.quantity, EXCLUDED.quantity)
        ELSE usage_records.quantity + EXCLUDED.quantity END
  ), named AS (
    INSERT INTO metering.usage_subjects (tenant_id, livemode, subject, first_seen_at)
    SELECT DISTINCT tenant_id, livemode, subject, now() FROM stored
    ON CONFLICT DO NOTHING
  )
  SELECT count(*) INTO events_stored FROM stored;
  IF events_stored < given THEN
    INSERT INTO metering.usage_conflicts ({_COLUMNS}, received_at)
    SELECT {", ".join(f"i.{name}" for name in _COLUMNS.split(", "))}, now()
    FROM pg_temp.incoming_usage i JOIN metering.usage_events e
      USING (tenant_id, livemode, source, id)
    WHERE e.content_hash <> i.content_hash
    ON CONFLICT DO NOTHING;
  END IF;
END
"""  # noqa: S608 - fixed words

_COUNTED_OF_ONE = _COUNTED.format(
    events="metering.usage_events",
    rules="(SELECT * FROM metering.meter_rules WHERE meter_id = recounted OFFSET 0)",
)
_RECOUNT = f"""
BEGIN
  PERFORM {_LOCK.format(mode="", tenant="metering.tenant()")};
  DELETE FROM metering.usage_records WHERE meter_id = recounted;
  INSERT INTO {_RECORDS}
  SELECT c.*, now() FROM ({_COUNTED_OF_ONE}  ) c;
END
"""  # noqa: S608 - fixed words


def upgrade() -> None:
    create_foundation("metering")
    op.execute(f"CREATE TABLE metering.meters ({APPLIED_SQL})")
    for statement in applied_indexes("metering", "meters"):
        op.execute(statement)
    op.execute(f"""
        CREATE TABLE metering.usage_events ({_EVENT},
            received_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, livemode, source, id))""")
    op.execute(
        "CREATE INDEX ix_usage_events_subject ON metering.usage_events"
        " (tenant_id, livemode, subject, event_type, event_at)"
    )
    op.execute(f"""
        CREATE TABLE metering.usage_conflicts ({_EVENT},
            received_at timestamptz NOT NULL,
            number bigint GENERATED BY DEFAULT AS IDENTITY,
            PRIMARY KEY (tenant_id, number),
            UNIQUE (tenant_id, livemode, source, id, content_hash))""")
    # A dimension may be longer than an index entry, so its hash stands in the key.
    op.execute("""
        CREATE TABLE metering.usage_records (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            customer_id text NOT NULL,
            meter_id text NOT NULL,
            starts_at timestamptz NOT NULL,
            dimensions jsonb NOT NULL,
            aggregation text NOT NULL,
            quantity numeric,
            event_count bigint NOT NULL CHECK (event_count > 0),
            updated_at timestamptz NOT NULL,
            dimensions_key uuid NOT NULL GENERATED ALWAYS AS (md5(dimensions::text)::uuid) STORED,
            PRIMARY KEY (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions_key)
        )""")
    op.execute("""
        CREATE TABLE metering.usage_subjects (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            subject text NOT NULL,
            customer_id text,
            first_seen_at timestamptz NOT NULL,
            looked_at timestamptz,
            PRIMARY KEY (tenant_id, livemode, subject)
        )""")
    op.execute(
        "CREATE INDEX ix_usage_subjects_unknown ON metering.usage_subjects"
        " (looked_at NULLS FIRST) WHERE customer_id IS NULL"
    )
    for table in TABLES:
        create_tenant_table("metering", table)
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA metering TO metering_app, metering_worker")
    _create_counting()


_FUNCTIONS = {
    "event_dimensions": ("data jsonb, names text[], paths text[]", "jsonb", "STABLE"),
    "event_passes": ("data jsonb, paths text[], wanted jsonb", "boolean", "IMMUTABLE"),
    "event_value": ("data jsonb, quantity numeric, path text[]", "numeric", "IMMUTABLE"),
    "event_text": ("data jsonb, quantity numeric, path text[]", "text", "IMMUTABLE"),
}


def _create_counting() -> None:
    """Create the functions that read an event, the views, and those that store and count."""
    bodies = {
        "event_dimensions": _dimensions(),
        "event_passes": _passes(),
        "event_value": _VALUE,
        "event_text": "SELECT coalesce(trim_scale(quantity)::text, data #>> path)",
    }
    for name, (arguments, returns, volatility) in _FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION metering.{name}({arguments}) RETURNS {returns} LANGUAGE sql"
            f" {volatility} PARALLEL SAFE AS $${bodies[name]}$$"
        )
    op.execute(_RULES)
    op.execute(
        "CREATE VIEW metering.counted_events WITH (security_invoker = true) AS"
        + _COUNTED.format(events="metering.usage_events", rules="metering.meter_rules")
    )
    for view in ("meter_rules", "counted_events"):
        op.execute(
            f"GRANT SELECT ON metering.{view} TO metering_app, metering_worker, metering_reader"
        )
    worker_function("metering", "prepare_incoming", "", "void", _PREPARE)
    worker_function(
        "metering", "store_incoming", "OUT events_stored bigint", "bigint", _STORE,
        argument_types=[],
    )  # fmt: skip
    op.execute(
        "CREATE FUNCTION metering.recount(recounted text) RETURNS void LANGUAGE plpgsql"
        f" SET search_path = metering, pg_temp AS $${_RECOUNT}$$"
    )
    worker_function(
        "metering",
        "unknown_subjects",
        "before timestamptz, row_limit integer",
        "TABLE (tenant_id text, livemode boolean, subject text)",
        "SELECT tenant_id, livemode, subject FROM usage_subjects"
        " WHERE customer_id IS NULL AND (looked_at IS NULL OR looked_at < before)"
        " ORDER BY looked_at NULLS FIRST LIMIT row_limit",
        language="sql",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION metering.unknown_subjects(timestamptz, integer)")
    op.execute("DROP FUNCTION metering.recount(text)")
    op.execute("DROP FUNCTION metering.store_incoming()")
    op.execute("DROP FUNCTION metering.prepare_incoming()")
    for view in ("counted_events", "meter_rules"):
        op.execute(f"DROP VIEW metering.{view}")
    for name, (arguments, _, _) in _FUNCTIONS.items():
        op.execute(f"DROP FUNCTION metering.{name}({arguments})")
    for table in TABLES:
        op.execute(f"DROP TABLE metering.{table}")
    drop_foundation("metering")
