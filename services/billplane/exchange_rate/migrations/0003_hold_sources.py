"""Hold what the Secrets and ConfigMaps hold that feeds name, sealed.

Why: only the operator can read them; a source is fetched by schedule, also while it is away.
Locks: none, the table is new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE exchange_rate.feed_sources (
            tenant_id text NOT NULL,
            feed_id text NOT NULL,
            digest text NOT NULL CHECK (digest <> ''),
            sealed bytea NOT NULL,
            provided_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, feed_id)
        )""")
    create_tenant_table("exchange_rate", "feed_sources", staff_readable=False)


def downgrade() -> None:
    op.execute("DROP TABLE exchange_rate.feed_sources")
