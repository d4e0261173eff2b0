"""Keep which versions of its plan a subscription takes from an instant on.

Why: a version may be published before it is in effect.
Locks: a short ACCESS EXCLUSIVE; the column's default needs no rewrite.
Kind: expand
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE subscription.subscriptions"
        " ADD COLUMN dated_versions jsonb NOT NULL DEFAULT '[]'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE subscription.subscriptions DROP COLUMN dated_versions")
