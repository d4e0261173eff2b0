"""Let subscriptions change plans, pause, and hold items for their next invoice.

Why: a period may be of several plans, each rated alone; what is credited, charged or added by hand
in between waits in invoice_items.
Locks: a short ACCESS EXCLUSIVE; no default needs a rewrite.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table, worker_function

revision = "0004"
down_revision = "0003"

COLUMNS = {
    "subscriptions": {
        "anchor_at": "timestamptz",
        "next_plan": "jsonb",
        "segments": "jsonb NOT NULL DEFAULT '[]'",
        "pauses": "jsonb NOT NULL DEFAULT '[]'",
        "held": "boolean NOT NULL DEFAULT false",
        "prepaid_invoices": "jsonb NOT NULL DEFAULT '[]'",
        "items_due": "text",
        "document": "text",
        "trial_end_told": "boolean NOT NULL DEFAULT false",
    },
    "billed_periods": {
        "plan_id": "text",
        "nominal_starts_at": "timestamptz",
        "nominal_ends_at": "timestamptz",
        "segments": "jsonb NOT NULL DEFAULT '[]'",
    },
}
DUE = (
    "SELECT DISTINCT s.tenant_id, s.livemode FROM subscriptions s"
    " LEFT JOIN test_clocks c ON c.tenant_id = s.tenant_id AND c.id = s.test_clock_id"
    " WHERE s.ended_at IS NULL AND (({held}s.period_ends_at <= coalesce(c.now, real_now - grace))"
    "   OR (s.advance_due AND s.billing_starts_at <= coalesce(c.now, real_now)){items})"
    " AND NOT EXISTS (SELECT FROM billing_runs r WHERE r.tenant_id = s.tenant_id"
    "   AND r.livemode = s.livemode AND r.automatic AND r.state = 'failed'"
    "   AND r.finished_at > real_now - interval '5 minutes')"
)


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for name, kind in columns.items():
            op.execute(f"ALTER TABLE subscription.{table} ADD COLUMN {name} {kind}")
    op.execute("""
        CREATE TABLE subscription.invoice_items (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            customer_id text NOT NULL,
            subscription_id text,
            kind text NOT NULL CHECK (kind IN ('one_off', 'proration', 'recurring')),
            charge text NOT NULL,
            description text NOT NULL,
            quantity text NOT NULL,
            unit text NOT NULL,
            unit_amount text NOT NULL,
            amount_minor bigint NOT NULL,
            currency_code char(3) NOT NULL,
            tax_category text NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
            detail jsonb NOT NULL,
            metadata jsonb NOT NULL,
            document text,
            invoice_id text,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, customer_id) REFERENCES subscription.customers (tenant_id, id)
        )""")
    op.execute(
        "CREATE INDEX ix_invoice_items_customer_id"
        " ON subscription.invoice_items (tenant_id, customer_id)"
    )
    create_tenant_table("subscription", "invoice_items")
    worker_function(
        "subscription",
        "tenants_due",
        "real_now timestamptz, grace interval",
        "TABLE (tenant_id text, livemode boolean)",
        DUE.format(held="NOT s.held AND ", items=" OR s.items_due IS NOT NULL"),
        language="sql",
    )
    worker_function(
        "subscription",
        "moments_due",
        "real_now timestamptz, ahead interval",
        "TABLE (tenant_id text, livemode boolean, id text)",
        "SELECT s.tenant_id, s.livemode, s.id FROM ("
        " SELECT * FROM subscriptions WHERE ended_at IS NULL AND state IN ('pending', 'trialing')"
        " UNION"
        " SELECT * FROM subscriptions WHERE ended_at IS NULL AND NOT trial_end_told"
        "   AND billing_starts_at > starts_at) s"
        " LEFT JOIN test_clocks c ON c.tenant_id = s.tenant_id AND c.id = s.test_clock_id"
        " WHERE (s.state = 'pending' AND s.starts_at <= coalesce(c.now, real_now))"
        "   OR (s.state = 'trialing' AND s.billing_starts_at <= coalesce(c.now, real_now))"
        "   OR (s.billing_starts_at > s.starts_at AND NOT s.trial_end_told"
        "     AND s.starts_at <= coalesce(c.now, real_now)"
        "     AND s.billing_starts_at - ahead <= coalesce(c.now, real_now))"
        " LIMIT 500",
        language="sql",
    )
    op.execute(
        "CREATE INDEX ix_subscriptions_waiting ON subscription.subscriptions (state)"
        " WHERE ended_at IS NULL AND state IN ('pending', 'trialing')"
    )
    op.execute(
        "CREATE INDEX ix_subscriptions_trial ON subscription.subscriptions (billing_starts_at)"
        " WHERE ended_at IS NULL AND NOT trial_end_told AND billing_starts_at > starts_at"
    )
    # Nobody is told of a trial that is over.
    op.execute(
        "UPDATE subscription.subscriptions SET trial_end_told = true"
        " WHERE billing_starts_at <= now()"
    )


def downgrade() -> None:
    op.execute("DROP INDEX subscription.ix_subscriptions_trial")
    op.execute("DROP INDEX subscription.ix_subscriptions_waiting")
    op.execute("DROP FUNCTION subscription.moments_due(timestamptz, interval)")
    worker_function(
        "subscription",
        "tenants_due",
        "real_now timestamptz, grace interval",
        "TABLE (tenant_id text, livemode boolean)",
        DUE.format(held="", items=""),
        language="sql",
    )
    op.execute("DROP TABLE subscription.invoice_items")
    for table, columns in COLUMNS.items():
        for name in columns:
            op.execute(f"ALTER TABLE subscription.{table} DROP COLUMN {name}")
