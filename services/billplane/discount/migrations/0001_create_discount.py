"""Create discount's tables.

Why: coupons, who redeemed them, and their applications to documents.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_foundation, create_tenant_table, drop_foundation

revision = "0001"
down_revision = None

TABLES = ("coupons", "redemptions", "discount_applications")


def upgrade() -> None:
    create_foundation("discount")
    op.execute("""
        CREATE TABLE discount.coupons (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            code text NOT NULL,
            code_key text NOT NULL,
            name text NOT NULL,
            percent numeric(9, 6) CHECK (percent > 0 AND percent <= 100),
            amount_minor bigint CHECK (amount_minor > 0),
            currency_code text NOT NULL,
            duration text NOT NULL CHECK (duration IN ('once', 'repeating', 'forever')),
            duration_periods bigint CHECK (duration_periods > 0),
            redemptions_max bigint CHECK (redemptions_max > 0),
            redemptions_per_customer_max bigint CHECK (redemptions_per_customer_max > 0),
            redemptions bigint NOT NULL CHECK (redemptions >= 0),
            priority bigint NOT NULL,
            cap_minor bigint CHECK (cap_minor > 0),
            valid_from timestamptz,
            valid_until timestamptz,
            plans jsonb NOT NULL,
            charges jsonb NOT NULL,
            archived_at timestamptz,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            CONSTRAINT percent_or_amount CHECK ((percent IS NULL) <> (amount_minor IS NULL)),
            CONSTRAINT periods_of_repeating
                CHECK ((duration = 'repeating') = (duration_periods IS NOT NULL)),
            CONSTRAINT never_above_the_maximum CHECK (redemptions <= redemptions_max)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_coupons_code ON discount.coupons (tenant_id, livemode, code_key)"
    )
    op.execute("""
        CREATE TABLE discount.redemptions (
            tenant_id text NOT NULL,
            coupon_id text NOT NULL,
            customer_id text NOT NULL,
            subscription_id text NOT NULL,
            livemode boolean NOT NULL,
            documents bigint NOT NULL CHECK (documents >= 0),
            PRIMARY KEY (tenant_id, coupon_id, customer_id, subscription_id)
        )""")
    op.execute("""
        CREATE TABLE discount.discount_applications (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            coupon_id text NOT NULL,
            code text NOT NULL,
            description text NOT NULL,
            customer_id text NOT NULL,
            subscription_id text NOT NULL,
            reference text NOT NULL,
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency_code char(3) NOT NULL,
            shares jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            reversed_at timestamptz,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_discount_applications_live ON discount.discount_applications"
        " (tenant_id, livemode, reference, coupon_id) WHERE reversed_at IS NULL"
    )
    for column in ("customer_id", "coupon_id"):
        op.execute(
            f"CREATE INDEX ix_discount_applications_{column} ON discount.discount_applications"
            f" (tenant_id, livemode, {column}, id)"
        )
    for table in TABLES:
        create_tenant_table("discount", table)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE discount.{table}")
    drop_foundation("discount")
