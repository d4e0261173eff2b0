"""Let rules lower documents without a code, and let coupons stand alone or follow a meter.

Why: discounts by user type and by amount, which nobody has to redeem.
Locks: a short ACCESS EXCLUSIVE on two tables; the columns' defaults need no rewrite. The index
    over live applications is built anew, which holds up writes to it for that long.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0003"
down_revision = "0002"

TABLES = ("discount_rules", "discount_documents")


def upgrade() -> None:
    op.execute(
        "ALTER TABLE discount.coupons ADD COLUMN meters jsonb NOT NULL DEFAULT '[]',"
        " ADD COLUMN stackable boolean NOT NULL DEFAULT true"
    )
    op.execute(
        "ALTER TABLE discount.discount_applications ADD COLUMN rule_id text NOT NULL DEFAULT ''"
    )
    op.execute("""
        CREATE TABLE discount.discount_rules (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            kind text NOT NULL CHECK (kind IN ('user_type', 'threshold')),
            name text NOT NULL,
            user_types jsonb NOT NULL,
            minimum_minor bigint CHECK (minimum_minor > 0),
            per text NOT NULL CHECK (per IN ('invoice', 'period')),
            percent numeric(9, 6) CHECK (percent > 0 AND percent <= 100),
            amount_minor bigint CHECK (amount_minor > 0),
            currency_code text NOT NULL,
            cap_minor bigint CHECK (cap_minor > 0),
            priority bigint NOT NULL,
            stackable boolean NOT NULL,
            valid_from timestamptz,
            valid_until timestamptz,
            plans jsonb NOT NULL,
            charges jsonb NOT NULL,
            meters jsonb NOT NULL,
            archived_at timestamptz,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            CONSTRAINT percent_or_amount CHECK ((percent IS NULL) <> (amount_minor IS NULL)),
            CONSTRAINT minimum_of_threshold
                CHECK ((kind = 'threshold') = (minimum_minor IS NOT NULL))
        )""")
    op.execute("""
        CREATE TABLE discount.discount_documents (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            reference text NOT NULL,
            customer_id text NOT NULL,
            currency_code char(3) NOT NULL,
            falls_at timestamptz NOT NULL,
            lines jsonb NOT NULL,
            PRIMARY KEY (tenant_id, livemode, reference)
        )""")
    op.execute(
        "CREATE INDEX ix_discount_documents_customer ON discount.discount_documents"
        " (tenant_id, livemode, customer_id, falls_at)"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_discount_applications_once ON discount.discount_applications"
        " (tenant_id, livemode, reference, coupon_id, rule_id) WHERE reversed_at IS NULL"
    )
    op.execute("DROP INDEX discount.uq_discount_applications_live")
    op.execute(
        "CREATE INDEX ix_discount_applications_rule_id ON discount.discount_applications"
        " (tenant_id, livemode, rule_id, id) WHERE rule_id <> ''"
    )
    for table in TABLES:
        create_tenant_table("discount", table)


def downgrade() -> None:
    op.execute("DELETE FROM discount.discount_applications WHERE rule_id <> ''")
    op.execute("DROP INDEX discount.ix_discount_applications_rule_id")
    op.execute(
        "CREATE UNIQUE INDEX uq_discount_applications_live ON discount.discount_applications"
        " (tenant_id, livemode, reference, coupon_id) WHERE reversed_at IS NULL"
    )
    op.execute("DROP INDEX discount.uq_discount_applications_once")
    for table in TABLES:
        op.execute(f"DROP TABLE discount.{table}")
    op.execute("ALTER TABLE discount.discount_applications DROP COLUMN rule_id")
    op.execute("ALTER TABLE discount.coupons DROP COLUMN meters, DROP COLUMN stackable")
