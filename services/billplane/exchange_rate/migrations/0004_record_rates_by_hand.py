"""Hold rates that people record, what they decide, and which currencies a tenant uses.

Why: a rate by hand wins over feeds until its end; one that deviates too far, of a feed or by hand,
waits for an approval; what is decided is kept beside the rates, which nobody changes.
Locks: rates while its unique index is made anew, in a table of some hundred thousand short rows.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Rates of feeds serve both modes; one by hand belongs to the mode that it was recorded in.
    op.execute(
        "ALTER TABLE exchange_rate.rates ADD COLUMN until date, ADD COLUMN reason text,"
        " ADD COLUMN actor text, ADD COLUMN livemode boolean,"
        " ADD CONSTRAINT ck_rates_by_hand CHECK ((feed_id = 'manual') = (actor IS NOT NULL)"
        " AND (feed_id = 'manual') = (livemode IS NOT NULL)),"
        " ADD CONSTRAINT ck_rates_until CHECK (until > as_of)"
    )
    op.execute("DROP INDEX exchange_rate.uq_rates_quote_as_of")
    op.execute(
        "CREATE UNIQUE INDEX uq_rates_quote_as_of ON exchange_rate.rates"
        " (tenant_id, feed_id, quote, as_of DESC, rate) WHERE feed_id <> 'manual'"
    )
    op.execute(
        "CREATE INDEX ix_rates_by_hand ON exchange_rate.rates (tenant_id, as_of)"
        " WHERE feed_id = 'manual'"
    )
    op.execute("""
        CREATE TABLE exchange_rate.rate_decisions (
            tenant_id text NOT NULL,
            rate_id text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('approval', 'withdrawal')),
            actor text NOT NULL,
            reason text NOT NULL,
            effective_on date NOT NULL,
            decided_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, rate_id, kind)
        )""")
    op.execute("""
        CREATE TABLE exchange_rate.currencies (
            tenant_id text NOT NULL,
            code char(3) NOT NULL,
            enabled boolean NOT NULL,
            is_default boolean NOT NULL CHECK (enabled OR NOT is_default),
            changed_by text NOT NULL,
            changed_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, code)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_currencies_default ON exchange_rate.currencies (tenant_id)"
        " WHERE is_default"
    )
    create_tenant_table("exchange_rate", "rate_decisions", append_only=True)
    create_tenant_table("exchange_rate", "currencies")


def downgrade() -> None:
    op.execute("DROP TABLE exchange_rate.currencies")
    op.execute("DROP TABLE exchange_rate.rate_decisions")
    op.execute("DELETE FROM exchange_rate.rates WHERE feed_id = 'manual'")
    op.execute("DROP INDEX exchange_rate.ix_rates_by_hand")
    op.execute("DROP INDEX exchange_rate.uq_rates_quote_as_of")
    op.execute(
        "CREATE UNIQUE INDEX uq_rates_quote_as_of ON exchange_rate.rates"
        " (tenant_id, feed_id, quote, as_of DESC, rate)"
    )
    op.execute(
        "ALTER TABLE exchange_rate.rates DROP COLUMN until, DROP COLUMN reason, DROP COLUMN actor,"
        " DROP COLUMN livemode"
    )
