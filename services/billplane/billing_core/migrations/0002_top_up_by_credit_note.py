"""Keep which credit note a top-up came from.

Why: what a credit note leaves over of a paid invoice fills the customer's wallet, once a note.
Locks: a short ACCESS EXCLUSIVE; the column's default needs no rewrite. The index has no rows.
Kind: expand
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE billing_core.operations ADD COLUMN credit_note_id text NOT NULL DEFAULT ''"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_operations_credit_note ON billing_core.operations"
        " (tenant_id, livemode, credit_note_id)"
        " WHERE credit_note_id <> '' AND state <> 'refused'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE billing_core.operations DROP COLUMN credit_note_id")
