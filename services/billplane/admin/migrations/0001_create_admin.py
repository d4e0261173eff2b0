"""Create admin's tables: those that every service has.

Why: what staff does is told through the outbox, once a request.
Locks: none, the tables are new.
Kind: expand
"""

from billplane.chassis.migrations import create_foundation, drop_foundation

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_foundation("admin")


def downgrade() -> None:
    drop_foundation("admin")
