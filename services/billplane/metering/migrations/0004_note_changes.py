"""Note which subjects' usage changed.

Why: an estimate stays as it is until usage of its customer changes, and that is told by a number
that one look-up finds.
Locks: usage_subjects for a moment, since a column with a constant default rewrites nothing.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import worker_function

revision = "0004"
down_revision = "0003"

# After the events of a batch are stored, in the same transaction: every subject has its row then.
_NOTE = """
BEGIN
  UPDATE metering.usage_subjects s SET changes = s.changes + 1
  FROM (SELECT DISTINCT tenant_id, livemode, subject FROM pg_temp.incoming_usage) i
  WHERE (s.tenant_id, s.livemode, s.subject) = (i.tenant_id, i.livemode, i.subject);
END
"""


def upgrade() -> None:
    op.execute("ALTER TABLE metering.usage_subjects ADD COLUMN changes bigint NOT NULL DEFAULT 0")
    worker_function("metering", "note_changes", "", "void", _NOTE)


def downgrade() -> None:
    op.execute("DROP FUNCTION metering.note_changes()")
    op.execute("ALTER TABLE metering.usage_subjects DROP COLUMN changes")
