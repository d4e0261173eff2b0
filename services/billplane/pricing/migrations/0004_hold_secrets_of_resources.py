"""Hold the tokens that plans of resources name, as the operator hands them over.

Why: the token of a Secret belongs to the plan that names it, and goes and changes with it.
Locks: none, the table is new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE pricing.plan_secrets (
            tenant_id text NOT NULL,
            plan_id text NOT NULL,
            digest text NOT NULL,
            sealed bytea NOT NULL,
            provided_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, plan_id)
        )""")
    create_tenant_table("pricing", "plan_secrets", staff_readable=False)


def downgrade() -> None:
    op.execute("DROP TABLE pricing.plan_secrets")
