"""Create exchange_rate's tables.

Why: feeds and the history of their rates.
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


def upgrade() -> None:
    create_foundation("exchange_rate")
    op.execute(f"""
        CREATE TABLE exchange_rate.feeds (
            {APPLIED_SQL},
            last_success_at timestamptz,
            next_refresh_at timestamptz,
            last_error text NOT NULL,
            stale_told boolean NOT NULL
        )""")
    for statement in applied_indexes("exchange_rate", "feeds"):
        op.execute(statement)
    op.execute("CREATE INDEX ix_feeds_next_refresh_at ON exchange_rate.feeds (next_refresh_at)")
    op.execute("""
        CREATE TABLE exchange_rate.rates (
            tenant_id text NOT NULL,
            id text NOT NULL,
            feed_id text NOT NULL,
            base char(3) NOT NULL,
            quote char(3) NOT NULL,
            rate numeric(40, 18) NOT NULL CHECK (rate > 0),
            as_of date NOT NULL,
            held_back boolean NOT NULL,
            fetched_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_rates_quote_as_of ON exchange_rate.rates"
        " (tenant_id, feed_id, quote, as_of DESC, rate)"
    )
    create_tenant_table("exchange_rate", "feeds")
    create_tenant_table("exchange_rate", "rates", append_only=True)
    worker_function(
        "exchange_rate",
        "due_feeds",
        "due_by timestamptz",
        "TABLE (tenant_id text, id text)",
        "SELECT tenant_id, id FROM feeds"
        " WHERE next_refresh_at <= due_by AND removed_at IS NULL"
        " ORDER BY next_refresh_at LIMIT 100",
        language="sql",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION exchange_rate.due_feeds(timestamptz)")
    op.execute("DROP TABLE exchange_rate.rates")
    op.execute("DROP TABLE exchange_rate.feeds")
    drop_foundation("exchange_rate")
