"""Row-level security as every table of a tenant has it, and functions that work across tenants."""

from collections.abc import Sequence

from alembic import op


def create_tenant_table(
    schema: str, table: str, *, append_only: bool = False, staff_readable: bool = True
) -> None:
    """Put a table that was just created under row-level security, forced, with its grants.

    The owner's own policy is needed because FORCE binds the owner too: without it a data
    migration changes no row and says nothing.
    """
    name = f"{schema}.{table}"
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant ON {name} TO {schema}_app"
        f" USING (tenant_id = (SELECT {schema}.tenant()))"
        f" WITH CHECK (tenant_id = (SELECT {schema}.tenant()))"
    )
    for role in ("owner", "worker"):
        op.execute(
            f"CREATE POLICY {role} ON {name} TO {schema}_{role} USING (true) WITH CHECK (true)"
        )
    changes = "INSERT" if append_only else "INSERT, UPDATE, DELETE"
    op.execute(f"GRANT SELECT, {changes} ON {name} TO {schema}_app")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {schema}_worker")
    if staff_readable:
        op.execute(f"CREATE POLICY reader ON {name} FOR SELECT TO {schema}_reader USING (true)")
        op.execute(f"GRANT SELECT ON {name} TO {schema}_reader")


def worker_function(
    schema: str,
    name: str,
    arguments: str,
    returns: str,
    body: str,
    *,
    language: str = "plpgsql",
    argument_types: Sequence[str] | None = None,
) -> None:
    """Create a function that sees every tenant's rows: a finder or a batch writer.

    It runs as the no-login worker role, finds names only in its own schema, and may be called
    by the app role alone.
    """
    op.execute(
        f"CREATE OR REPLACE FUNCTION {schema}.{name}({arguments}) RETURNS {returns}"
        f" LANGUAGE {language} SECURITY DEFINER SET search_path = {schema}, pg_temp"
        f" AS $function${body}$function$"
    )
    types = ", ".join(
        argument_types
        if argument_types is not None
        else [part.split(None, 1)[1] for part in arguments.split(",") if part.strip()]
    )
    signature = f"{schema}.{name}({types})"
    op.execute(f"ALTER FUNCTION {signature} OWNER TO {schema}_worker")
    op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {schema}_app")
