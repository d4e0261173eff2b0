"""Hold who is of the operating company, and in which role.

Why: people act for tenants by their own log-in, not by a key that several of them know.
Locks: none, the table is new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table, worker_function

revision = "0003"
down_revision = "0002"

MEMBER = "TABLE (user_id text, email text, role text, granted_by text, granted_at timestamptz)"
SELECT = (
    "SELECT s.user_id, u.email, s.role, s.granted_by, s.granted_at FROM staff s"
    " JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id"
)


def upgrade() -> None:
    op.execute("""
        CREATE TABLE identity.staff (
            tenant_id text NOT NULL,
            user_id text NOT NULL UNIQUE,
            role text NOT NULL CHECK (role IN ('support', 'finance', 'platform')),
            granted_by text NOT NULL,
            granted_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, user_id),
            FOREIGN KEY (tenant_id, user_id) REFERENCES identity.users (tenant_id, id)
        )""")
    create_tenant_table("identity", "staff")
    worker_function(
        *("identity", "find_staff", "wanted text", MEMBER),
        f"{SELECT} WHERE s.user_id = wanted",
        language="sql",
    )
    worker_function(
        *("identity", "list_staff", "before text, row_limit integer", MEMBER),
        f"{SELECT} WHERE before = '' OR s.user_id < before ORDER BY s.user_id DESC LIMIT row_limit",
        language="sql",
    )
    worker_function(
        *("identity", "find_home", "wanted text", "text"),
        "SELECT m.tenant_id FROM memberships m"
        " JOIN users u ON u.tenant_id = m.tenant_id AND u.id = m.user_id WHERE m.user_id = wanted",
        language="sql",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION identity.find_home(text)")
    op.execute("DROP FUNCTION identity.list_staff(text, integer)")
    op.execute("DROP FUNCTION identity.find_staff(text)")
    op.execute("DROP TABLE identity.staff")
