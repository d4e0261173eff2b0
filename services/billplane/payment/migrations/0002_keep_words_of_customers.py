"""Keep what programs that speak Stripe's dialect say of a customer.

Why: a description or a phone number has no place among what subscription knows.
Locks: brief, the default is constant.
Kind: expand
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE payment.customers ADD COLUMN details jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE payment.customers DROP COLUMN details")
