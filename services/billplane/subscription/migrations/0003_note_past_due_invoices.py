"""Keep which invoices of a subscription are past due.

Why: the subscription is past due as long as one of them is.
Locks: a short ACCESS EXCLUSIVE; the column's default needs no rewrite.
Kind: expand
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE subscription.subscriptions"
        " ADD COLUMN past_due_invoices jsonb NOT NULL DEFAULT '[]'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE subscription.subscriptions DROP COLUMN past_due_invoices")
