"""Let tax's relay leave a destination alone while its broker is away.

Why: a queue that nobody can reach must not hold up what goes elsewhere.
Locks: none, only a function changes.
Kind: expand
"""

from billplane.chassis.migrations.foundation import create_claim

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_claim("tax")


def downgrade() -> None:
    """Leave the function: the first revision makes the same one."""
