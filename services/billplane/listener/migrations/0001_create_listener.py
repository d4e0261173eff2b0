"""Create the listener's tables.

Why: the audit log of every fact, chained per tenant.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_foundation, create_tenant_table, drop_foundation

revision = "0001"
down_revision = None

_IMMUTABLE = """
BEGIN
  RAISE EXCEPTION 'an audit entry is never changed' USING ERRCODE = 'restrict_violation';
END
"""


def upgrade() -> None:
    create_foundation("listener")
    op.execute("""
        CREATE TABLE listener.audit_entries (
            tenant_id text NOT NULL,
            sequence bigint NOT NULL CHECK (sequence > 0),
            id text NOT NULL,
            livemode boolean NOT NULL,
            event_id text NOT NULL,
            event_type text NOT NULL,
            source text NOT NULL,
            aggregate_type text NOT NULL,
            aggregate_id text NOT NULL,
            aggregate_version bigint NOT NULL,
            occurred_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            correlation_id text NOT NULL,
            causation_id text NOT NULL,
            envelope bytea NOT NULL,
            previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
            hash bytea NOT NULL CHECK (octet_length(hash) = 32),
            PRIMARY KEY (tenant_id, sequence),
            UNIQUE (tenant_id, event_id)
        )""")
    op.execute("CREATE UNIQUE INDEX ix_audit_entries_id ON listener.audit_entries (tenant_id, id)")
    op.execute(
        "CREATE INDEX ix_audit_entries_aggregate"
        " ON listener.audit_entries (tenant_id, livemode, aggregate_id, id)"
    )
    op.execute("""
        CREATE TABLE listener.audit_heads (
            tenant_id text PRIMARY KEY,
            sequence bigint NOT NULL CHECK (sequence >= 0),
            hash bytea NOT NULL CHECK (octet_length(hash) = 32)
        )""")
    create_tenant_table("listener", "audit_entries", append_only=True)
    create_tenant_table("listener", "audit_heads")
    op.execute("REVOKE DELETE ON listener.audit_heads FROM listener_app")
    op.execute("REVOKE UPDATE, DELETE ON listener.audit_entries FROM listener_worker")
    op.execute(
        "CREATE FUNCTION listener.audit_immutable() RETURNS trigger LANGUAGE plpgsql"
        f" AS $${_IMMUTABLE}$$"
    )
    # Grants bind the application; the trigger binds whoever owns the table as well.
    op.execute(
        "CREATE TRIGGER audit_immutable BEFORE UPDATE OR DELETE OR TRUNCATE"
        " ON listener.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION listener.audit_immutable()"
    )


def downgrade() -> None:
    for table in ("audit_entries", "audit_heads"):
        op.execute(f"DROP TABLE listener.{table}")
    op.execute("DROP FUNCTION listener.audit_immutable()")
    drop_foundation("listener")
