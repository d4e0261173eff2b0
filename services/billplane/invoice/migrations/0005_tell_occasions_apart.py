"""Let a subscription have several documents without a period of their own.

Why: fees of a change of plan, or of a resumption, are billed at once.
Locks: a SHARE lock on invoices while the new index is built; the column's default needs no rewrite.
Kind: expand
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_INDEX = (
    "CREATE UNIQUE INDEX uq_invoices_period ON invoice.invoices"
    " (tenant_id, livemode, subscription_id, period_starts_at{occasion})"
    " NULLS NOT DISTINCT WHERE subscription_id <> ''"
)


def upgrade() -> None:
    op.execute("ALTER TABLE invoice.invoices ADD COLUMN occasion text NOT NULL DEFAULT ''")
    op.execute("DROP INDEX invoice.uq_invoices_period")
    op.execute(_INDEX.format(occasion=", occasion"))


def downgrade() -> None:
    op.execute("DROP INDEX invoice.uq_invoices_period")
    op.execute(_INDEX.format(occasion=""))
    op.execute("ALTER TABLE invoice.invoices DROP COLUMN occasion")
