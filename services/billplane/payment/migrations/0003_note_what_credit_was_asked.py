"""Note what credit was asked for before it is asked, and record whatever came in.

Why: a worker that is started again must ask for the same amount, and money that arrived twice, by
wallet and by card, has to be recorded all the same.
Locks: brief, no row is rewritten.
Kind: expand
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE payment.collections"
        " ADD COLUMN credit_asked_minor bigint NOT NULL DEFAULT 0 CHECK (credit_asked_minor >= 0)"
    )
    op.execute("ALTER TABLE payment.collections DROP CONSTRAINT IF EXISTS collections_check")


def downgrade() -> None:
    op.execute("ALTER TABLE payment.collections DROP COLUMN credit_asked_minor")
