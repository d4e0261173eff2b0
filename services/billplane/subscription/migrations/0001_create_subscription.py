"""Create subscription's tables.

Why: customers, what they are subscribed to, what was billed, and test clocks.
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

TABLES = ("customers", "test_clocks", "subscriptions", "billed_periods", "billing_runs")


def upgrade() -> None:
    create_foundation("subscription")
    op.execute("""
        CREATE TABLE subscription.customers (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            external_id text,
            name text NOT NULL,
            email text NOT NULL,
            address jsonb NOT NULL,
            tax_ids jsonb NOT NULL,
            tax_type text NOT NULL CHECK (tax_type IN ('consumer', 'business')),
            user_type text NOT NULL,
            currency_code char(3) NOT NULL,
            locale text NOT NULL,
            payment_terms_days integer NOT NULL CHECK (payment_terms_days BETWEEN 0 AND 365),
            time_zone text NOT NULL,
            test_clock_id text,
            metadata jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_customers_external_id"
        " ON subscription.customers (tenant_id, livemode, external_id)"
    )
    op.execute("""
        CREATE TABLE subscription.test_clocks (
            tenant_id text NOT NULL,
            id text NOT NULL,
            name text NOT NULL,
            now timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute("""
        CREATE TABLE subscription.subscriptions (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            customer_id text NOT NULL,
            test_clock_id text,
            plan_id text NOT NULL,
            plan_name text NOT NULL,
            plan_version integer NOT NULL,
            next_plan_version integer,
            interval jsonb NOT NULL,
            state text NOT NULL,
            starts_at timestamptz NOT NULL,
            billing_starts_at timestamptz NOT NULL,
            period_starts_at timestamptz NOT NULL,
            period_ends_at timestamptz NOT NULL CHECK (period_ends_at > period_starts_at),
            nominal_starts_at timestamptz NOT NULL,
            nominal_ends_at timestamptz NOT NULL,
            advance_due boolean NOT NULL,
            cancel_at timestamptz,
            ended_at timestamptz,
            coupon_codes jsonb NOT NULL,
            metadata jsonb NOT NULL,
            claimed_by text,
            claimed_until timestamptz,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, customer_id) REFERENCES subscription.customers (tenant_id, id)
        )""")
    op.execute(
        "CREATE INDEX ix_subscriptions_customer_id"
        " ON subscription.subscriptions (tenant_id, customer_id)"
    )
    op.execute(
        "CREATE INDEX ix_subscriptions_due ON subscription.subscriptions (period_ends_at)"
        " WHERE ended_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_subscriptions_plan_id ON subscription.subscriptions (tenant_id, plan_id)"
    )
    op.execute("""
        CREATE TABLE subscription.billed_periods (
            tenant_id text NOT NULL,
            subscription_id text NOT NULL,
            starts_at timestamptz NOT NULL,
            livemode boolean NOT NULL,
            ends_at timestamptz NOT NULL,
            plan_version integer NOT NULL,
            invoice_id text NOT NULL,
            run_id text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, subscription_id, starts_at)
        )""")
    op.execute("""
        CREATE TABLE subscription.billing_runs (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
            at timestamptz,
            customer_ids jsonb NOT NULL,
            finalize boolean NOT NULL,
            automatic boolean NOT NULL,
            periods bigint NOT NULL,
            invoiced bigint NOT NULL,
            errors jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            finished_at timestamptz,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_billing_runs_automatic ON subscription.billing_runs"
        " (tenant_id, livemode) WHERE automatic AND state = 'running'"
    )
    for table in TABLES:
        create_tenant_table("subscription", table, append_only=table == "billed_periods")
    worker_function(
        "subscription",
        "tenants_due",
        "real_now timestamptz, grace interval",
        "TABLE (tenant_id text, livemode boolean)",
        "SELECT DISTINCT s.tenant_id, s.livemode FROM subscriptions s"
        " LEFT JOIN test_clocks c ON c.tenant_id = s.tenant_id AND c.id = s.test_clock_id"
        " WHERE s.ended_at IS NULL AND ("
        "   s.period_ends_at <= coalesce(c.now, real_now - grace)"
        "   OR (s.advance_due AND s.billing_starts_at <= coalesce(c.now, real_now)))"
        # What failed is tried again after a while, not at every look.
        " AND NOT EXISTS (SELECT FROM billing_runs r WHERE r.tenant_id = s.tenant_id"
        "   AND r.livemode = s.livemode AND r.automatic AND r.state = 'failed'"
        "   AND r.finished_at > real_now - interval '5 minutes')",
        language="sql",
    )
    worker_function(
        "subscription",
        "running_runs",
        "",
        "TABLE (tenant_id text, livemode boolean, id text)",
        "SELECT tenant_id, livemode, id FROM billing_runs WHERE state = 'running'"
        " ORDER BY created_at LIMIT 100",
        language="sql",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION subscription.tenants_due(timestamptz, interval)")
    op.execute("DROP FUNCTION subscription.running_runs()")
    for table in ("subscriptions", "customers", "test_clocks", "billed_periods", "billing_runs"):
        op.execute(f"DROP TABLE subscription.{table}")
    drop_foundation("subscription")
