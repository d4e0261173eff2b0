"""Create notification's tables.

Why: events, the endpoints that they are delivered to, messages to people.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import (
    create_foundation,
    create_tenant_table,
    drop_foundation,
    worker_function,
)

revision = "0001"
down_revision = None

_TABLES = {
    "event_heads": """
        tenant_id text NOT NULL,
        livemode boolean NOT NULL,
        sequence bigint NOT NULL CHECK (sequence >= 0),
        PRIMARY KEY (tenant_id, livemode)""",
    "events": """
        tenant_id text NOT NULL,
        livemode boolean NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        id text NOT NULL,
        type text NOT NULL,
        object_id text NOT NULL,
        body text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, livemode, sequence),
        UNIQUE (tenant_id, id)""",
    "object_versions": """
        tenant_id text NOT NULL,
        aggregate_id text NOT NULL,
        version bigint NOT NULL,
        PRIMARY KEY (tenant_id, aggregate_id)""",
    "webhook_endpoints": """
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        url text NOT NULL,
        description text NOT NULL,
        enabled_events text[] NOT NULL CHECK (cardinality(enabled_events) > 0),
        metadata jsonb NOT NULL,
        api_version text NOT NULL,
        status text NOT NULL CHECK (status IN ('enabled', 'disabled')),
        disabled_reason text NOT NULL,
        secret bytea NOT NULL,
        previous_secret bytea,
        previous_expires_at timestamptz,
        failing_since timestamptz,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)""",
    "deliveries": """
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        endpoint_id text NOT NULL,
        event_id text NOT NULL,
        event_sequence bigint NOT NULL,
        event_type text NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed', 'canceled')),
        attempts integer NOT NULL CHECK (attempts >= 0),
        due_at timestamptz NOT NULL,
        claimed_by text,
        last_status integer,
        last_error text NOT NULL,
        created_at timestamptz NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, endpoint_id, event_id),
        CHECK ((state = 'pending') = (finished_at IS NULL))""",
    "delivery_attempts": """
        tenant_id text NOT NULL,
        delivery_id text NOT NULL,
        number integer NOT NULL,
        attempted_at timestamptz NOT NULL,
        milliseconds integer NOT NULL,
        status integer,
        error text NOT NULL,
        answer text NOT NULL,
        PRIMARY KEY (tenant_id, delivery_id, number)""",
    "messages": """
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        channel text NOT NULL CHECK (channel IN ('email', 'sms')),
        recipient text NOT NULL,
        template text NOT NULL,
        locale text NOT NULL,
        variables jsonb NOT NULL,
        dedupe_key text NOT NULL,
        subject text NOT NULL,
        state text NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'not_configured')),
        detail text NOT NULL,
        attempts integer NOT NULL CHECK (attempts >= 0),
        due_at timestamptz NOT NULL,
        claimed_by text,
        created_at timestamptz NOT NULL,
        sent_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, livemode, dedupe_key),
        CHECK ((state = 'sent') = (sent_at IS NOT NULL))""",
    "templates": """
        tenant_id text NOT NULL,
        name text NOT NULL,
        locale text NOT NULL,
        subject text NOT NULL,
        text text NOT NULL,
        html text NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, name, locale)""",
    "settings": """
        tenant_id text PRIMARY KEY,
        locale text NOT NULL,
        sender_name text NOT NULL,
        reply_to text NOT NULL,
        notice_email text NOT NULL,
        updated_at timestamptz NOT NULL""",
}
_INDEXES = (
    "ix_events_object ON notification.events (tenant_id, livemode, object_id, sequence)",
    "ix_events_type ON notification.events (tenant_id, livemode, type, sequence)",
    "ix_events_created_at ON notification.events (created_at)",
    "ix_webhook_endpoints_mode ON notification.webhook_endpoints (tenant_id, livemode, id)",
    "ix_deliveries_pending ON notification.deliveries (tenant_id, endpoint_id, due_at)"
    " WHERE state = 'pending'",
    "ix_deliveries_finished_at ON notification.deliveries (finished_at) WHERE state <> 'pending'",
    "ix_messages_due_at ON notification.messages (due_at) WHERE state = 'queued'",
)

# What is due, a few of each endpoint, from one endpoint to the next: where the last claim ended
# the next begins, so that no endpoint's heap is passed over again and again. The lease is the due
# time moved on: a claimer that died leaves its rows due again.
_CLAIM = """
  WITH RECURSIVE lanes AS (
    (SELECT d.tenant_id, d.endpoint_id FROM deliveries d
      WHERE d.state = 'pending' AND (d.tenant_id, d.endpoint_id) > (after_tenant, after_endpoint)
      ORDER BY d.tenant_id, d.endpoint_id LIMIT 1)
    UNION ALL
    SELECT n.tenant_id, n.endpoint_id FROM lanes l CROSS JOIN LATERAL (
      SELECT d.tenant_id, d.endpoint_id FROM deliveries d
      WHERE d.state = 'pending' AND (d.tenant_id, d.endpoint_id) > (l.tenant_id, l.endpoint_id)
      ORDER BY d.tenant_id, d.endpoint_id LIMIT 1) n),
  due AS MATERIALIZED (
    SELECT l.tenant_id, d.id, e.url, e.secret, e.previous_secret, e.previous_expires_at,
      e.failing_since
    FROM lanes l
    JOIN webhook_endpoints e ON (e.tenant_id, e.id) = (l.tenant_id, l.endpoint_id)
    CROSS JOIN LATERAL (
      SELECT d.id FROM deliveries d
      WHERE d.tenant_id = l.tenant_id AND d.endpoint_id = l.endpoint_id
        AND d.state = 'pending' AND d.due_at <= moment
      ORDER BY d.due_at LIMIT per_endpoint FOR UPDATE SKIP LOCKED) d
    WHERE e.status = 'enabled' AND l.endpoint_id NOT IN (SELECT unnest(busy))
      AND (with_failing OR e.failing_since IS NULL)
    LIMIT row_limit),
  claimed AS (
    UPDATE deliveries d SET claimed_by = claimer,
      due_at = moment + make_interval(secs => lease_seconds)
    FROM due WHERE (d.tenant_id, d.id) = (due.tenant_id, due.id)
    RETURNING d.tenant_id, d.livemode, d.id, d.endpoint_id, d.event_id, d.event_sequence,
      d.attempts, d.started_at, due.url, due.secret, due.previous_secret, due.previous_expires_at,
      due.failing_since)
  SELECT c.tenant_id, c.livemode, c.id, c.endpoint_id, c.event_id, c.attempts, c.started_at,
    c.url, c.secret, c.previous_secret, c.previous_expires_at,
    c.failing_since IS NOT NULL AS failing, v.body
  FROM claimed c
  JOIN events v ON (v.tenant_id, v.livemode, v.sequence)
    = (c.tenant_id, c.livemode, c.event_sequence)
  ORDER BY c.tenant_id, c.endpoint_id
"""
_CLAIM_ARGUMENTS = (
    "claimer text, moment timestamptz, lease_seconds double precision, row_limit integer,"
    " per_endpoint integer, busy text[], with_failing boolean, after_tenant text,"
    " after_endpoint text"
)
_CLAIMED = (
    "TABLE (tenant_id text, livemode boolean, id text, endpoint_id text, event_id text,"
    " attempts integer, started_at timestamptz, url text, secret bytea, previous_secret bytea,"
    " previous_expires_at timestamptz, failing boolean, body text)"
)
# The results of some attempts, whoever's they are: deliveries, their log, how endpoints stand.
# Returned are the endpoints that are to be disabled.
_FINISH = """
  WITH results AS (
    SELECT * FROM unnest(tenant_ids, ids, endpoint_ids, states, statuses, errors, due_ats,
      attempted_ats, durations, answers) AS r (tenant_id, id, endpoint_id, state, status, error,
      due_at, attempted_at, milliseconds, answer)),
  done AS (
    UPDATE deliveries d SET state = r.state, attempts = d.attempts + 1, due_at = r.due_at,
      claimed_by = NULL, last_status = r.status, last_error = r.error,
      finished_at = CASE r.state WHEN 'pending' THEN NULL ELSE moment END
    FROM results r WHERE (d.tenant_id, d.id) = (r.tenant_id, r.id)
      AND d.state = 'pending' AND d.claimed_by = claimer
    RETURNING d.tenant_id, d.id, d.attempts),
  logged AS (
    INSERT INTO delivery_attempts
    SELECT r.tenant_id, r.id, d.attempts, r.attempted_at, r.milliseconds, r.status, r.error,
      r.answer
    FROM done d JOIN results r ON (r.tenant_id, r.id) = (d.tenant_id, d.id)),
  standing AS (
    SELECT tenant_id, endpoint_id, bool_or(state = 'succeeded') AS well,
      bool_or(status = 410) AS gone, min(attempted_at) AS failed_at
    FROM results GROUP BY tenant_id, endpoint_id),
  noted AS (
    UPDATE webhook_endpoints e
    SET failing_since = CASE WHEN s.well THEN NULL ELSE coalesce(e.failing_since, s.failed_at) END
    FROM standing s WHERE (e.tenant_id, e.id) = (s.tenant_id, s.endpoint_id)
      AND (e.failing_since IS NOT NULL) = s.well)
  SELECT e.tenant_id, e.livemode, e.id, CASE WHEN s.gone THEN 'gone' ELSE 'failing' END
  FROM standing s JOIN webhook_endpoints e ON (e.tenant_id, e.id) = (s.tenant_id, s.endpoint_id)
  WHERE e.status = 'enabled' AND (s.gone OR (NOT s.well AND e.failing_since <= give_up_before))
"""
_FINISH_ARGUMENTS = (
    "claimer text, moment timestamptz, give_up_before timestamptz, tenant_ids text[], ids text[],"
    " endpoint_ids text[], states text[], statuses integer[], errors text[],"
    " due_ats timestamptz[], attempted_ats timestamptz[], durations integer[], answers text[]"
)
_CLAIM_MESSAGES = """
  UPDATE messages m SET claimed_by = claimer,
    due_at = moment + make_interval(secs => lease_seconds)
  FROM (SELECT tenant_id, id FROM messages WHERE state = 'queued' AND due_at <= moment
    ORDER BY due_at LIMIT row_limit FOR UPDATE SKIP LOCKED) due
  WHERE (m.tenant_id, m.id) = (due.tenant_id, due.id)
  RETURNING m.tenant_id, m.livemode, m.id
"""
# An event that was written while its endpoint went has a delivery that nobody would make.
_CANCEL = """
  UPDATE deliveries d SET state = 'canceled', finished_at = moment, claimed_by = NULL,
    last_error = 'the endpoint is gone or disabled'
  WHERE d.state = 'pending' AND NOT EXISTS (SELECT FROM webhook_endpoints e
    WHERE (e.tenant_id, e.id) = (d.tenant_id, d.endpoint_id) AND e.status = 'enabled')
"""
# The oldest first, so that what is left has no gap; what still waits to be delivered stays.
_FORGET = """
  DELETE FROM events e USING (
    SELECT o.tenant_id, o.livemode, least(max(o.sequence),
      (SELECT min(d.event_sequence) - 1 FROM deliveries d WHERE d.state = 'pending'
        AND d.tenant_id = o.tenant_id AND d.livemode = o.livemode)) AS last
    FROM events o WHERE o.created_at < before GROUP BY o.tenant_id, o.livemode) old
  WHERE (e.tenant_id, e.livemode) = (old.tenant_id, old.livemode) AND e.sequence <= old.last;
  DELETE FROM delivery_attempts a USING deliveries d
  WHERE d.state <> 'pending' AND d.finished_at < before
    AND (a.tenant_id, a.delivery_id) = (d.tenant_id, d.id)
    AND NOT EXISTS (SELECT FROM events e WHERE (e.tenant_id, e.id) = (d.tenant_id, d.event_id));
  DELETE FROM deliveries d WHERE d.state <> 'pending' AND d.finished_at < before
    AND NOT EXISTS (SELECT FROM events e WHERE (e.tenant_id, e.id) = (d.tenant_id, d.event_id));
  DELETE FROM messages WHERE state = 'sent' AND sent_at < before;
"""


def upgrade() -> None:
    create_foundation("notification")
    for table, columns in _TABLES.items():
        op.execute(f"CREATE TABLE notification.{table} ({columns})")
        create_tenant_table("notification", table, append_only=table == "delivery_attempts")
    op.execute("REVOKE UPDATE, DELETE ON notification.events FROM notification_app")
    for index in _INDEXES:
        op.execute(f"CREATE INDEX {index}")
    worker_function(
        "notification", "claim_deliveries", _CLAIM_ARGUMENTS, _CLAIMED, _CLAIM, language="sql"
    )
    worker_function(
        "notification",
        "finish_deliveries",
        _FINISH_ARGUMENTS,
        "TABLE (tenant_id text, livemode boolean, endpoint_id text, reason text)",
        _FINISH,
        language="sql",
    )
    worker_function(
        "notification",
        "claim_messages",
        "claimer text, moment timestamptz, lease_seconds double precision, row_limit integer",
        "TABLE (tenant_id text, livemode boolean, id text)",
        _CLAIM_MESSAGES,
        language="sql",
    )
    worker_function(
        "notification",
        "cancel_orphans",
        "moment timestamptz",
        "void",
        _CANCEL,
        language="sql",
    )
    worker_function(
        "notification",
        "forget_events",
        "before timestamptz",
        "void",
        _FORGET,
        language="sql",
    )


def downgrade() -> None:
    for name in ("forget_events", "cancel_orphans"):
        op.execute(f"DROP FUNCTION notification.{name}(timestamptz)")
    op.execute(
        "DROP FUNCTION notification.claim_messages(text, timestamptz, double precision, integer)"
    )
    for name in ("finish_deliveries", "claim_deliveries"):
        op.execute(f"DROP FUNCTION notification.{name}")
    for table in _TABLES:
        op.execute(f"DROP TABLE notification.{table}")
    drop_foundation("notification")
