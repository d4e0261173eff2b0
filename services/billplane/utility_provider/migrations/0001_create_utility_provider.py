"""Create utility_provider's tables.

Why: providers and what the last probe of each found.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.applied import APPLIED_SQL, applied_indexes
from billplane.chassis.migrations import (
    create_foundation,
    create_tenant_table,
    drop_foundation,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_foundation("utility_provider")
    op.execute(f"""
        CREATE TABLE utility_provider.providers (
            {APPLIED_SQL},
            simulator_endpoint text NOT NULL,
            reachability text NOT NULL
                CHECK (reachability IN ('unknown', 'reachable', 'unreachable')),
            last_probe_at timestamptz,
            last_success_at timestamptz,
            last_error text NOT NULL,
            CHECK (reachability <> 'reachable' OR last_success_at IS NOT NULL),
            CHECK ((reachability = 'unreachable') = (last_error <> ''))
        )""")
    for statement in applied_indexes("utility_provider", "providers"):
        op.execute(statement)
    create_tenant_table("utility_provider", "providers")


def downgrade() -> None:
    op.execute("DROP TABLE utility_provider.providers")
    drop_foundation("utility_provider")
