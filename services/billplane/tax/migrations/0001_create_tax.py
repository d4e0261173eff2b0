"""Create tax's tables.

Why: rules of tenants, their settings and the record of every calculation.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_foundation, create_tenant_table, drop_foundation

revision = "0001"
down_revision = None

TABLES = ("tax_rules", "tax_settings", "tax_calculations")


def upgrade() -> None:
    create_foundation("tax")
    op.execute("""
        CREATE TABLE tax.tax_rules (
            tenant_id text NOT NULL,
            id text NOT NULL,
            country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
            region text NOT NULL,
            postal_prefix text NOT NULL,
            category text NOT NULL,
            treatment text NOT NULL,
            rate numeric(12, 8) NOT NULL CHECK (rate BETWEEN 0 AND 1),
            stacked boolean NOT NULL,
            customer_id text NOT NULL,
            tax_type text NOT NULL,
            valid_from date NOT NULL,
            valid_until date CHECK (valid_until > valid_from),
            label text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute("CREATE INDEX ix_tax_rules_country ON tax.tax_rules (tenant_id, country)")
    op.execute("""
        CREATE TABLE tax.tax_settings (
            tenant_id text PRIMARY KEY,
            country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
            updated_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE tax.tax_calculations (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            reference text NOT NULL,
            customer_id text NOT NULL,
            currency_code char(3) NOT NULL,
            net_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            total_minor bigint NOT NULL CHECK (total_minor = net_minor + tax_minor),
            lines jsonb NOT NULL,
            groups jsonb NOT NULL,
            notes jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE INDEX ix_tax_calculations_reference"
        " ON tax.tax_calculations (tenant_id, livemode, reference)"
    )
    for table in TABLES:
        create_tenant_table("tax", table, append_only=table == "tax_calculations")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE tax.{table}")
    drop_foundation("tax")
