"""Let stored events be voided and corrected, and thresholds be announced.

Why: an event that was sent in error must not be billed, and what was billed already must be put
right on the next invoice; a customer's usage that reaches a threshold is told once. `updated_at` of
an hourly record now says when its usage changed last, also where a meter is counted anew: who
billed a period can ask whether its usage has changed since.
Locks: usage_events for a moment, since columns without a default rewrite nothing.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table, worker_function

revision = "0005"
down_revision = "0004"

_POINTS = """
    SELECT e.tenant_id, e.livemode, e.subject, m.meter_id, m.aggregation,
      metering.event_dimensions(e.data, m.names, m.paths) AS dimensions,
      date_bin('1 hour', e.event_at, '2000-01-01T00:00:00Z') AS starts_at,
      CASE m.aggregation WHEN 'Count' THEN 1
        WHEN 'UniqueCount' THEN CASE WHEN metering.event_text(e.data, e.quantity, m.value_path)
          IS NOT NULL THEN 1 END
        ELSE metering.event_value(e.data, e.quantity, m.value_path) END AS value,
      greatest(e.received_at, e.adjusted_at) AS changed_at
    FROM metering.usage_events e
    JOIN {rules} m ON m.tenant_id = e.tenant_id AND m.event_type = e.event_type
    WHERE e.voided_at IS NULL AND metering.event_passes(e.data, m.filter_paths, m.filter_values)
"""
_COUNTED = """
  SELECT tenant_id, livemode, subject AS customer_id, meter_id, starts_at, dimensions, aggregation,
    CASE aggregation WHEN 'Count' THEN count(*) WHEN 'Sum' THEN sum(value)
      WHEN 'Average' THEN sum(value) WHEN 'Max' THEN max(value) WHEN 'Min' THEN min(value) END
      AS quantity,
    count(*) AS event_count{changed}
  FROM ({points}) points
  WHERE value IS NOT NULL
  GROUP BY tenant_id, livemode, subject, meter_id, starts_at, dimensions, aggregation
"""
_RECORDS = (
    "metering.usage_records (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions,"
    " aggregation, quantity, event_count, updated_at)"
)
_CHANGED = ", max(changed_at) AS changed_at"
# The lock that a flush takes, shared.
_LOCK = "pg_advisory_xact_lock(hashtext('metering.count'), hashtext(metering.tenant()) & 63)"
_ONE_METER = "(SELECT * FROM metering.meter_rules WHERE meter_id = recounted OFFSET 0)"
_RECOUNT = f"""
BEGIN
  PERFORM {_LOCK};
  DELETE FROM metering.usage_records WHERE meter_id = recounted;
  INSERT INTO {_RECORDS}
  {_COUNTED.format(points=_POINTS.format(rules=_ONE_METER), changed=_CHANGED)};
END
"""  # noqa: S608 - fixed words

_OF_HOUR = (
    " AND e.tenant_id = metering.tenant() AND e.livemode = of_livemode AND e.subject = of_subject"
    " AND e.event_type = of_type AND e.event_at >= hour AND e.event_at < hour + interval '1 hour'"
)
_EVERY_METER = _POINTS.format(rules="metering.meter_rules")
_RECOUNT_HOUR = f"""
DECLARE
  hour timestamptz := date_bin('1 hour', of_instant, '2000-01-01T00:00:00Z');
BEGIN
  PERFORM {_LOCK};
  DELETE FROM metering.usage_records r USING metering.meter_rules m
  WHERE m.tenant_id = r.tenant_id AND m.meter_id = r.meter_id AND m.event_type = of_type
    AND r.livemode = of_livemode AND r.customer_id = of_subject AND r.starts_at = hour;
  INSERT INTO {_RECORDS}
  {_COUNTED.format(points=_EVERY_METER + _OF_HOUR, changed=_CHANGED)};
END
"""  # noqa: S608 - fixed words

_WATCHED = "jsonb_array_length(coalesce(spec -> 'thresholds', '[]')) > 0"
_NOTE_SUBJECTS = """
  UPDATE metering.usage_subjects s SET changes = s.changes + 1
  FROM (SELECT DISTINCT tenant_id, livemode, subject FROM pg_temp.incoming_usage) i
  WHERE (s.tenant_id, s.livemode, s.subject) = (i.tenant_id, i.livemode, i.subject);
"""
# After the events of a batch are stored, in the same transaction: every subject has its row then.
_NOTE = f"""
BEGIN
  {_NOTE_SUBJECTS}
  INSERT INTO metering.threshold_checks
    (tenant_id, livemode, subject, event_type, from_at, until_at)
  SELECT tenant_id, livemode, subject, event_type, min(event_at), max(event_at)
  FROM pg_temp.incoming_usage i
  WHERE EXISTS (SELECT FROM metering.meters m WHERE m.tenant_id = i.tenant_id
    AND m.spec ->> 'eventType' = i.event_type AND m.removed_at IS NULL AND {_WATCHED})
  GROUP BY tenant_id, livemode, subject, event_type
  ON CONFLICT (tenant_id, livemode, subject, event_type) DO UPDATE SET
    from_at = least(threshold_checks.from_at, EXCLUDED.from_at),
    until_at = greatest(threshold_checks.until_at, EXCLUDED.until_at),
    changes = threshold_checks.changes + 1;
END
"""  # noqa: S608 - fixed words
_NOTE_BEFORE = f"BEGIN{_NOTE_SUBJECTS}END"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE metering.usage_events"
        " ADD COLUMN voided_at timestamptz, ADD COLUMN adjusted_at timestamptz"
    )
    _create_tables()
    op.execute(
        "CREATE OR REPLACE VIEW metering.counted_events WITH (security_invoker = true) AS"
        + _COUNTED.format(points=_POINTS.format(rules="metering.meter_rules"), changed="")
    )
    _create_invoker("recount", "recounted text", _RECOUNT)
    _create_invoker(
        "recount_hour",
        "of_livemode boolean, of_subject text, of_type text, of_instant timestamptz",
        _RECOUNT_HOUR,
    )
    worker_function("metering", "note_changes", "", "void", _NOTE)
    worker_function(
        "metering",
        "due_threshold_checks",
        "row_limit integer",
        "TABLE (tenant_id text, livemode boolean, subject text, event_type text)",
        "SELECT tenant_id, livemode, subject, event_type FROM threshold_checks"
        " ORDER BY tried_at NULLS FIRST LIMIT row_limit",
        language="sql",
    )


def _create_invoker(name: str, arguments: str, body: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION metering.{name}({arguments}) RETURNS void LANGUAGE plpgsql"
        f" SET search_path = metering, pg_temp AS $${body}$$"
    )


def _create_tables() -> None:
    op.execute("""
        CREATE TABLE metering.usage_adjustments (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            kind text NOT NULL CHECK (kind IN ('void', 'correction')),
            source text NOT NULL,
            event_id text NOT NULL,
            event_type text NOT NULL,
            subject text NOT NULL,
            event_at timestamptz NOT NULL,
            data_before jsonb NOT NULL,
            quantity_before numeric(18, 6),
            data jsonb,
            quantity numeric(18, 6),
            reason text NOT NULL,
            actor text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            CHECK (kind = 'correction' OR (data IS NULL AND quantity IS NULL))
        )""")
    op.execute(
        "CREATE INDEX ix_usage_adjustments_subject ON metering.usage_adjustments"
        " (tenant_id, livemode, subject, event_at)"
    )
    op.execute(
        "CREATE INDEX ix_usage_adjustments_event ON metering.usage_adjustments"
        " (tenant_id, livemode, source, event_id)"
    )
    op.execute("""
        CREATE TABLE metering.threshold_checks (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            subject text NOT NULL,
            event_type text NOT NULL,
            from_at timestamptz NOT NULL,
            until_at timestamptz NOT NULL,
            changes bigint NOT NULL DEFAULT 0,
            tried_at timestamptz,
            PRIMARY KEY (tenant_id, livemode, subject, event_type)
        )""")
    op.execute("""
        CREATE TABLE metering.thresholds_reached (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            customer_id text NOT NULL,
            meter_id text NOT NULL,
            threshold text NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            id text NOT NULL,
            quantity numeric NOT NULL,
            reached_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, livemode, customer_id, meter_id, threshold, starts_at)
        )""")
    op.execute(
        "CREATE INDEX ix_meters_watched ON metering.meters (tenant_id, (spec ->> 'eventType'))"
        f" WHERE removed_at IS NULL AND {_WATCHED}"
    )
    create_tenant_table("metering", "usage_adjustments", append_only=True)
    create_tenant_table("metering", "threshold_checks")
    create_tenant_table("metering", "thresholds_reached", append_only=True)


def downgrade() -> None:
    """Go back to events that count whatever happened since; the functions' older forms follow."""
    op.execute("DROP FUNCTION metering.due_threshold_checks(integer)")
    op.execute("DROP FUNCTION metering.recount_hour(boolean, text, text, timestamptz)")
    worker_function("metering", "note_changes", "", "void", _NOTE_BEFORE)
    every = {
        "e.voided_at IS NULL AND ": "",
        "greatest(e.received_at, e.adjusted_at)": "e.received_at",
    }
    points = _POINTS
    for new, old in every.items():
        points = points.replace(new, old)
    op.execute(
        "CREATE OR REPLACE VIEW metering.counted_events WITH (security_invoker = true) AS"
        + _COUNTED.format(points=points.format(rules="metering.meter_rules"), changed="")
    )
    body = _RECOUNT.replace(_POINTS.format(rules=_ONE_METER), points.format(rules=_ONE_METER))
    _create_invoker("recount", "recounted text", body)
    op.execute("DROP INDEX metering.ix_meters_watched")
    for table in ("thresholds_reached", "threshold_checks", "usage_adjustments"):
        op.execute(f"DROP TABLE metering.{table}")
    op.execute("ALTER TABLE metering.usage_events DROP COLUMN adjusted_at, DROP COLUMN voided_at")
