"""Keep the test clock of an invoice's customer, by which the invoice falls due.

Why: the time of such a customer moves when somebody moves it, not by itself.
Locks: a short ACCESS EXCLUSIVE for the column, whose default needs no rewrite; the index is built
    over the few open documents of such customers.
Kind: expand
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE invoice.invoices ADD COLUMN test_clock_id text NOT NULL DEFAULT ''")
    op.execute(
        "CREATE INDEX ix_invoices_test_clock_id ON invoice.invoices (tenant_id, test_clock_id)"
        " WHERE state = 'finalized' AND test_clock_id <> ''"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE invoice.invoices DROP COLUMN test_clock_id")
