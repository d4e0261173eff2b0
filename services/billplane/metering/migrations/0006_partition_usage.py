"""Keep events in partitions by tenant and hourly records in partitions by month.

Why: a question about a month reads that month's pages and indexes however many years are kept, and
an index of one part of the tenants stays shallow. Events are parted by tenant alone: one that comes
again under another date must meet its original, so that no date may be in their key.
Locks: usage_events and usage_records until their rows are copied, about a minute for ten million;
usage is acknowledged meanwhile and waits in Redis.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table, worker_function

revision = "0006"
down_revision = "0005"

PARTS = 8
_EVENTS_KEY = "PRIMARY KEY (tenant_id, livemode, source, id)"
_SUBJECT_INDEX = "(tenant_id, livemode, subject, event_type, event_at)"
_RECORDS_KEY = "PRIMARY KEY (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions_key)"
_COLUMNS = (
    "tenant_id, livemode, customer_id, meter_id, starts_at, dimensions, aggregation, quantity,"
    " event_count, updated_at"
)
_EVENT_COLUMNS = (
    "tenant_id, livemode, source, id, event_type, subject, event_at, data, content_hash, quantity,"
    " received_at, voided_at, adjusted_at"
)

# Months that may have a partition of their own: anybody may send events of any date, and each
# partition makes every question a little dearer to plan. What lies outside is in the default one.
_WITHIN = "interval '5 years'", "interval '13 months'"
_AHEAD = "interval '3 months'"

# Rows that came before their month did are moved into it: no partition may be attached while the
# default one has rows of its own. Whoever flushes waits for the default partition's lock meanwhile,
# and holds none that this waits for.
_ADD_MONTH = f"""
DECLARE
  name text := 'usage_records_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
  until timestamptz := ((first AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
  LOCK TABLE ONLY metering.usage_records IN SHARE UPDATE EXCLUSIVE MODE;
  LOCK TABLE metering.usage_records_other IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE metering.%I (LIKE metering.usage_records INCLUDING ALL)', name);
  EXECUTE format('ALTER TABLE metering.%I OWNER TO metering_worker', name);
  PERFORM metering.close_partition(name);
  EXECUTE format('WITH moved AS (DELETE FROM metering.usage_records_other
      WHERE starts_at >= %L AND starts_at < %L RETURNING *)
    INSERT INTO metering.%I ({_COLUMNS}) SELECT {_COLUMNS} FROM moved', first, until, name);
  EXECUTE format('ALTER TABLE metering.usage_records ATTACH PARTITION metering.%I
    FOR VALUES FROM (%L) TO (%L)', name, first, until);
END
"""  # noqa: S608 - fixed words

# A partition is reached by its parent alone, whose policies and grants hold then.
_CLOSE = """
BEGIN
  EXECUTE format('ALTER TABLE metering.%I ENABLE ROW LEVEL SECURITY', name);
  EXECUTE format('ALTER TABLE metering.%I FORCE ROW LEVEL SECURITY', name);
  EXECUTE format('CREATE POLICY worker ON metering.%I TO metering_worker'
    ' USING (true) WITH CHECK (true)', name);
END
"""

# One month a transaction, so that the lock is short; nobody waits long for it either.
_MAKE_MONTH = f"""
DECLARE
  this timestamptz := date_trunc('month', around, 'UTC');
  first timestamptz;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('metering.months'), 0) THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  PERFORM set_config('TimeZone', 'UTC', true);
  SELECT month INTO first FROM (
    SELECT generate_series(this, this + {_AHEAD}, interval '1 month') AS month
    UNION
    SELECT date_trunc('month', starts_at, 'UTC') FROM metering.usage_records_other
    WHERE starts_at >= this - {_WITHIN[0]} AND starts_at < this + {_WITHIN[1]}
  ) months
  WHERE to_regclass('metering.usage_records_' || to_char(month, 'YYYY_MM')) IS NULL
  ORDER BY month LIMIT 1;
  IF first IS NOT NULL THEN
    PERFORM metering.add_usage_month(first);
  END IF;
  RETURN first;
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL; -- the next turn tries again
END
"""  # noqa: S608 - fixed words


def upgrade() -> None:
    op.execute("LOCK TABLE metering.usage_events, metering.usage_records IN ACCESS EXCLUSIVE MODE")
    for table in ("usage_events", "usage_records"):
        _put_aside(table)
    _create_helper("close_partition", "name text", _CLOSE)
    _create_helper("add_usage_month", "first timestamptz", _ADD_MONTH)
    _partition_events()
    _partition_records()
    _follow_view()
    for table in ("usage_events", "usage_records"):
        op.execute(f"DROP TABLE metering.{table}_before")
        op.execute(f"ANALYZE metering.{table}")
    worker_function(
        "metering", "make_usage_month", "around timestamptz", "timestamptz", _MAKE_MONTH
    )


def _put_aside(table: str) -> None:
    op.execute(f"ALTER TABLE metering.{table} RENAME TO {table}_before")
    op.execute(f"ALTER INDEX metering.{table}_pkey RENAME TO {table}_before_pkey")
    if table == "usage_events":
        op.execute("ALTER INDEX metering.ix_usage_events_subject RENAME TO ix_before_subject")


def _create_helper(name: str, arguments: str, body: str) -> None:
    """Create a function for the worker and the owner alone, with the rights of who calls it."""
    op.execute(
        f"CREATE FUNCTION metering.{name}({arguments}) RETURNS void LANGUAGE plpgsql"
        f" SET search_path = metering, pg_temp AS $function${body}$function$"
    )
    types = arguments.split()[1]
    op.execute(f"REVOKE ALL ON FUNCTION metering.{name}({types}) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION metering.{name}({types}) TO metering_worker")


def _partition_events() -> None:
    op.execute(
        "CREATE TABLE metering.usage_events (LIKE metering.usage_events_before)"
        " PARTITION BY HASH (tenant_id)"
    )
    for number in range(PARTS):
        op.execute(
            f"CREATE TABLE metering.usage_events_{number} PARTITION OF metering.usage_events"
            f" FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {number})"
        )
        op.execute(f"SELECT metering.close_partition('usage_events_{number}')")
    _copy("usage_events", _EVENT_COLUMNS)
    _index_events()


def _partition_records() -> None:
    op.execute(
        "CREATE TABLE metering.usage_records (LIKE metering.usage_records_before INCLUDING"
        " GENERATED INCLUDING CONSTRAINTS) PARTITION BY RANGE (starts_at)"
    )
    op.execute(f"ALTER TABLE metering.usage_records ADD {_RECORDS_KEY}")
    op.execute(
        "CREATE TABLE metering.usage_records_other PARTITION OF metering.usage_records DEFAULT"
    )
    op.execute("SELECT metering.close_partition('usage_records_other')")
    # The months that rows are in, this one and the next.
    op.execute(f"""
        SELECT metering.add_usage_month(month AT TIME ZONE 'UTC') FROM (
          SELECT generate_series(this, this + {_AHEAD}, interval '1 month') AS month
          FROM date_trunc('month', now() AT TIME ZONE 'UTC') this
          UNION
          SELECT date_trunc('month', starts_at AT TIME ZONE 'UTC')
          FROM metering.usage_records_before
          WHERE starts_at >= date_trunc('month', now(), 'UTC') - {_WITHIN[0]}
            AND starts_at < date_trunc('month', now(), 'UTC') + {_WITHIN[1]}
          ORDER BY 1
        ) months""")  # noqa: S608 - fixed words
    _copy("usage_records", _COLUMNS)
    create_tenant_table("metering", "usage_records")
    # Who adds months must own the table.
    for table in ("usage_records", "usage_records_other"):
        op.execute(f"ALTER TABLE metering.{table} OWNER TO metering_worker")


def _copy(table: str, columns: str) -> None:
    op.execute(
        f"INSERT INTO metering.{table} ({columns})"  # noqa: S608 - fixed words
        f" SELECT {columns} FROM metering.{table}_before"
    )


def _index_events() -> None:
    op.execute(f"ALTER TABLE metering.usage_events ADD CONSTRAINT usage_events_pkey {_EVENTS_KEY}")
    op.execute(f"CREATE INDEX ix_usage_events_subject ON metering.usage_events {_SUBJECT_INDEX}")
    create_tenant_table("metering", "usage_events")


def _follow_view() -> None:
    """Let the view read the table that has the name now; its grants stay."""
    op.execute("""
        DO $$ BEGIN
          EXECUTE 'CREATE OR REPLACE VIEW metering.counted_events WITH (security_invoker = true) AS'
            || replace(pg_get_viewdef('metering.counted_events'::regclass),
              'usage_events_before', 'usage_events');
        END $$""")


def downgrade() -> None:
    op.execute("DROP FUNCTION metering.make_usage_month(timestamptz)")
    op.execute("LOCK TABLE metering.usage_events, metering.usage_records IN ACCESS EXCLUSIVE MODE")
    for table in ("usage_events", "usage_records"):
        _put_aside(table)
    op.execute("CREATE TABLE metering.usage_events (LIKE metering.usage_events_before)")
    _copy("usage_events", _EVENT_COLUMNS)
    _index_events()
    op.execute(
        "CREATE TABLE metering.usage_records (LIKE metering.usage_records_before INCLUDING"
        " GENERATED INCLUDING CONSTRAINTS)"
    )
    _copy("usage_records", _COLUMNS)
    op.execute(
        f"ALTER TABLE metering.usage_records ADD CONSTRAINT usage_records_pkey {_RECORDS_KEY}"
    )
    create_tenant_table("metering", "usage_records")
    _follow_view()
    for table in ("usage_events", "usage_records"):
        op.execute(f"DROP TABLE metering.{table}_before")
    for helper in ("add_usage_month(timestamptz)", "close_partition(text)"):
        op.execute(f"DROP FUNCTION metering.{helper}")
