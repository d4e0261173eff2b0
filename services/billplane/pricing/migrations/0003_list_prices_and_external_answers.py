"""List the prices of every version, and keep what external sources answered.

Why: prices are found and asked for one by one; a bill shows which answer it was rated by.
Locks: none on tables that others write for long: each version's prices are added once.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0003"
down_revision = "0002"

TABLES = ("prices", "external_prices", "price_secrets")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE pricing.prices (
            tenant_id text NOT NULL,
            id text NOT NULL,
            plan_id text NOT NULL,
            plan_name text NOT NULL,
            version integer NOT NULL,
            charge text NOT NULL,
            meter text NOT NULL,
            model text NOT NULL,
            currency_code char(3) NOT NULL,
            spec jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, plan_id, version, charge)
        )""")
    op.execute("CREATE INDEX ix_prices_meter ON pricing.prices (tenant_id, meter, id)")
    op.execute("""
        CREATE TABLE pricing.external_prices (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            plan_id text NOT NULL,
            charge text NOT NULL,
            customer_id text NOT NULL,
            standing_hash text NOT NULL,
            asked jsonb NOT NULL,
            answered jsonb NOT NULL,
            amount text,
            unit_amount text,
            currency_code char(3) NOT NULL,
            fetched_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            CONSTRAINT one_price CHECK ((amount IS NULL) <> (unit_amount IS NULL))
        )""")
    op.execute(
        "CREATE INDEX ix_external_prices_standing ON pricing.external_prices"
        " (tenant_id, standing_hash, fetched_at DESC)"
    )
    op.execute("""
        CREATE TABLE pricing.price_secrets (
            tenant_id text NOT NULL,
            name text NOT NULL,
            key text NOT NULL,
            sealed bytea NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, name, key)
        )""")
    for table in TABLES:
        create_tenant_table(
            "pricing",
            table,
            append_only=table != "price_secrets",
            staff_readable=table != "price_secrets",
        )
    op.execute("""
        INSERT INTO pricing.prices (tenant_id, id, plan_id, plan_name, version, charge, meter,
            model, currency_code, spec, created_at)
        SELECT v.tenant_id, replace(v.id, 'plv_', 'price_') || lpad(c.position::text, 3, '0'),
            v.plan_id, p.name, v.version, c.charge ->> 'name',
            coalesce(c.charge #>> '{usage,meter}', ''),
            coalesce(
                (SELECT key FROM jsonb_object_keys(c.charge #> '{usage,model}') AS key LIMIT 1),
                'recurring'),
            v.spec ->> 'currency', c.charge, v.created_at
        FROM pricing.plan_versions v
        JOIN pricing.plans p ON p.tenant_id = v.tenant_id AND p.id = v.plan_id
        CROSS JOIN LATERAL jsonb_array_elements(v.spec -> 'charges')
            WITH ORDINALITY AS c (charge, position)
        ON CONFLICT DO NOTHING""")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE pricing.{table}")
