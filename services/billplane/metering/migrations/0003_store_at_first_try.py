"""Store incoming usage with half of the work.

Why: `ON CONFLICT` looks for each row twice, and the value of an event was read anew for every
aggregate. Rows are new but for rare repeats, which the door has mostly found before: they are
inserted plainly, and only a batch with a repeat is stored by looking. Values are read once.
Locks: none, only a function changes.
Kind: expand
"""

from billplane.chassis.migrations import worker_function

revision = "0003"
down_revision = "0002"

_COLUMNS = (
    "tenant_id, livemode, source, id, event_type, subject, event_at, data, content_hash, quantity"
)
_GIVEN = ", ".join(f"i.{name}" for name in _COLUMNS.split(", "))

# OFFSET 0 keeps the subquery whole, so that an event is read once and not by each aggregate.
_STORE_AND_COUNT = f"""
  WITH stored AS (
    INSERT INTO metering.usage_events ({_COLUMNS}, received_at)
    SELECT {_COLUMNS}, now() FROM pg_temp.incoming_usage
    {{on_conflict}}
    RETURNING tenant_id, livemode, event_type, subject, event_at, data, quantity
  ), rules AS MATERIALIZED (
    SELECT * FROM metering.meter_rules
    WHERE tenant_id IN (SELECT DISTINCT tenant_id FROM pg_temp.incoming_usage)
  ), points AS (
    SELECT e.tenant_id, e.livemode, e.subject, m.meter_id, m.aggregation,
      metering.event_dimensions(e.data, m.names, m.paths) AS dimensions,
      date_bin('1 hour', e.event_at, '2000-01-01T00:00:00Z') AS starts_at,
      CASE m.aggregation WHEN 'Count' THEN 1
        WHEN 'UniqueCount' THEN CASE WHEN metering.event_text(e.data, e.quantity, m.value_path)
          IS NOT NULL THEN 1 END
        ELSE metering.event_value(e.data, e.quantity, m.value_path) END AS value
    FROM stored e JOIN rules m ON m.tenant_id = e.tenant_id AND m.event_type = e.event_type
    WHERE metering.event_passes(e.data, m.filter_paths, m.filter_values)
    OFFSET 0
  ), counted AS (
    SELECT tenant_id, livemode, subject AS customer_id, meter_id, starts_at, dimensions,
      aggregation,
      CASE aggregation WHEN 'Count' THEN count(*) WHEN 'Sum' THEN sum(value)
        WHEN 'Average' THEN sum(value)
        WHEN 'Max' THEN max(value) FILTER (WHERE aggregation = 'Max')
        WHEN 'Min' THEN min(value) FILTER (WHERE aggregation = 'Min') END AS quantity,
      count(*) AS event_count
    FROM points WHERE value IS NOT NULL
    GROUP BY tenant_id, livemode, subject, meter_id, starts_at, dimensions, aggregation
  ), recorded AS (
    INSERT INTO metering.usage_records (tenant_id, livemode, customer_id, meter_id, starts_at,
      dimensions, aggregation, quantity, event_count, updated_at)
    SELECT c.*, now() FROM counted c
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
"""  # noqa: S608 - fixed words

# The row that came first stands. What differs from it is kept aside, once; that needs a statement
# of its own, which sees what the one before it stored.
_STORE = f"""
DECLARE
  given bigint;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('metering.count'), bucket)
    FROM (SELECT DISTINCT hashtext(tenant_id) & 63 AS bucket FROM pg_temp.incoming_usage
      ORDER BY 1) buckets;
  BEGIN
{_STORE_AND_COUNT.format(on_conflict="")}
    RETURN;
  EXCEPTION WHEN unique_violation THEN
    NULL; -- something came before: what follows looks for it
  END;
  SELECT count(*) INTO given FROM pg_temp.incoming_usage;
{_STORE_AND_COUNT.format(on_conflict="ON CONFLICT DO NOTHING")}
  IF events_stored < given THEN
    INSERT INTO metering.usage_conflicts ({_COLUMNS}, received_at)
    SELECT {_GIVEN}, now()
    FROM pg_temp.incoming_usage i JOIN metering.usage_events e
      USING (tenant_id, livemode, source, id)
    WHERE e.content_hash <> i.content_hash
    ON CONFLICT DO NOTHING;
  END IF;
END
"""  # noqa: S608 - fixed words


def upgrade() -> None:
    worker_function(
        "metering", "store_incoming", "OUT events_stored bigint", "bigint", _STORE,
        argument_types=[],
    )  # fmt: skip


def downgrade() -> None:
    """Leave the function: it stores and counts what the one before did."""
