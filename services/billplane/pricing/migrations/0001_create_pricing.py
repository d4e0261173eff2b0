"""Create pricing's tables.

Why: plans and their immutable versions.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.applied import APPLIED_SQL, applied_indexes
from billplane.chassis.migrations import create_foundation, create_tenant_table, drop_foundation

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_foundation("pricing")
    op.execute(f"CREATE TABLE pricing.plans ({APPLIED_SQL})")
    for statement in applied_indexes("pricing", "plans"):
        op.execute(statement)
    op.execute(
        "CREATE UNIQUE INDEX uq_plans_default ON pricing.plans (tenant_id)"
        " WHERE removed_at IS NULL AND spec @> '{\"default\": true}'"
    )
    op.execute("""
        CREATE TABLE pricing.plan_versions (
            tenant_id text NOT NULL,
            id text NOT NULL,
            plan_id text NOT NULL,
            version integer NOT NULL CHECK (version > 0),
            spec jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            UNIQUE (tenant_id, plan_id, version)
        )""")
    create_tenant_table("pricing", "plans")
    create_tenant_table("pricing", "plan_versions", append_only=True)
    op.execute("""
        CREATE FUNCTION pricing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION 'a published version of a plan never changes: % refused', TG_OP
            USING ERRCODE = 'restrict_violation';
        END
        $$""")
    op.execute(
        "CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON pricing.plan_versions"
        " FOR EACH ROW EXECUTE FUNCTION pricing.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER never_emptied BEFORE TRUNCATE ON pricing.plan_versions"
        " FOR EACH STATEMENT EXECUTE FUNCTION pricing.refuse_change()"
    )


def downgrade() -> None:
    op.execute("DROP TABLE pricing.plan_versions")
    op.execute("DROP FUNCTION pricing.refuse_change()")
    op.execute("DROP TABLE pricing.plans")
    drop_foundation("pricing")
