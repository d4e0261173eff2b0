"""Create identity's tables.

Why: tenants, people, what they may do, their sessions and API keys.
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

TABLES = ("tenants", "users", "memberships", "refresh_tokens", "api_keys")


def upgrade() -> None:
    create_foundation("identity")
    op.execute("""
        CREATE TABLE identity.tenants (
            tenant_id text PRIMARY KEY,
            name text NOT NULL,
            live boolean NOT NULL,
            created_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE identity.users (
            tenant_id text NOT NULL,
            id text NOT NULL,
            email text NOT NULL,
            email_key text NOT NULL UNIQUE,
            password_hash text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute("""
        CREATE TABLE identity.memberships (
            tenant_id text NOT NULL,
            user_id text NOT NULL,
            role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer')),
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, user_id)
        )""")
    op.execute("CREATE INDEX ix_memberships_user_id ON identity.memberships (user_id)")
    op.execute("""
        CREATE TABLE identity.refresh_tokens (
            tenant_id text NOT NULL,
            hash text NOT NULL UNIQUE,
            user_id text NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, hash)
        )""")
    op.execute("""
        CREATE TABLE identity.api_keys (
            tenant_id text NOT NULL,
            id text NOT NULL UNIQUE,
            livemode boolean NOT NULL,
            name text NOT NULL,
            hash text NOT NULL,
            scopes jsonb NOT NULL,
            unlimited boolean NOT NULL,
            created_by text NOT NULL,
            expires_at timestamptz,
            last_used_at timestamptz,
            revoked_at timestamptz,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    for table in TABLES:
        create_tenant_table("identity", table)
    worker_function(
        "identity",
        "find_user",
        "wanted text",
        "TABLE (tenant_id text, user_id text, role text, password_hash text)",
        "SELECT m.tenant_id, m.user_id, m.role, u.password_hash FROM users u"
        " JOIN memberships m ON m.user_id = u.id WHERE u.email_key = wanted"
        " ORDER BY m.created_at, m.tenant_id",
        language="sql",
    )
    worker_function(
        "identity",
        "find_key",
        "wanted text",
        "SETOF identity.api_keys",
        "SELECT * FROM api_keys WHERE id = wanted",
        language="sql",
    )
    worker_function(
        "identity",
        "find_refresh_token",
        "wanted text",
        "TABLE (tenant_id text, user_id text, role text, expires_at timestamptz)",
        "SELECT t.tenant_id, t.user_id, m.role, t.expires_at FROM refresh_tokens t"
        " JOIN memberships m ON m.tenant_id = t.tenant_id AND m.user_id = t.user_id"
        " WHERE t.hash = wanted",
        language="sql",
    )


def downgrade() -> None:
    for function in ("find_user", "find_key", "find_refresh_token"):
        op.execute(f"DROP FUNCTION identity.{function}(text)")
    for table in TABLES:
        op.execute(f"DROP TABLE identity.{table}")
    drop_foundation("identity")
