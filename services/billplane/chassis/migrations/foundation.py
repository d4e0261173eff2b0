"""The tables and functions that every service's first migration creates."""

from alembic import op

from billplane.chassis.database.tables import FoundationBase
from billplane.chassis.migrations.tables import create_tenant_table, worker_function

# Lists that a test holds against the database: who may see rows of several tenants, and why.
FINDERS: tuple[str, ...] = ("outbox_age",)
BATCH_WRITERS = ("claim_outbox", "mark_published", "forget_old")

_TENANT = """
BEGIN
  IF coalesce(current_setting('billplane.tenant_id', true), '') = '' THEN
    RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN current_setting('billplane.tenant_id');
END
"""

# One claimer a shard at a time: a shard with a live lease of another is left alone, and the lock
# keeps two claimers from looking at once. Rows come in the order of their aggregates. What goes to
# a held destination is left alone.
_CLAIM = """
DECLARE
  one_shard smallint;
  room bigint := row_limit;
  taken bigint;
BEGIN
  FOR one_shard IN SELECT DISTINCT o.shard FROM outbox o ORDER BY 1 LOOP
    EXIT WHEN room <= 0;
    CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtext('{schema}.outbox'), one_shard);
    CONTINUE WHEN EXISTS (
      SELECT 1 FROM outbox o WHERE o.shard = one_shard AND o.claimed_until > now()
        AND o.claimed_by IS DISTINCT FROM claimer);
    RETURN QUERY
      WITH due AS (
        SELECT o.id FROM outbox o
        WHERE o.shard = one_shard AND NOT o.destination = ANY (held)
        ORDER BY o.id LIMIT room FOR UPDATE SKIP LOCKED)
      , claimed AS (
        UPDATE outbox o SET claimed_by = claimer,
          claimed_until = now() + make_interval(secs => lease_seconds)
        FROM due WHERE o.id = due.id RETURNING o.*)
      SELECT * FROM claimed c ORDER BY c.aggregate_id, c.aggregate_version;
    GET DIAGNOSTICS taken = ROW_COUNT;
    room := room - taken;
  END LOOP;
END
"""

_FORGET = """
  DELETE FROM idempotency WHERE created_at < before;
  DELETE FROM inbox WHERE handled_at < before - interval '30 days';
"""


def create_foundation(schema: str) -> None:
    """Create tenant(), the messages' tables and the idempotency table in a service's schema."""
    op.execute(
        f"CREATE FUNCTION {schema}.tenant() RETURNS text LANGUAGE plpgsql STABLE AS $${_TENANT}$$"
    )
    op.execute(f"GRANT EXECUTE ON FUNCTION {schema}.tenant() TO {schema}_app")
    bind = op.get_bind().execution_options(schema_translate_map={"service": schema})
    FoundationBase.metadata.create_all(bind, checkfirst=False)
    for table in FoundationBase.metadata.tables.values():
        create_tenant_table(schema, table.name)
    op.execute(f"CREATE INDEX ix_outbox_shard ON {schema}.outbox (shard, id)")
    op.execute(f"CREATE INDEX ix_idempotency_created_at ON {schema}.idempotency (created_at)")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}_app, {schema}_worker")
    create_claim(schema)
    worker_function(
        schema,
        "mark_published",
        "row_ids bigint[]",
        "void",
        "DELETE FROM outbox WHERE id = ANY (row_ids)",
        language="sql",
    )
    worker_function(schema, "forget_old", "before timestamptz", "void", _FORGET, language="sql")
    worker_function(
        schema,
        "outbox_age",
        "",
        "double precision",
        "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision"
        " FROM outbox",
        language="sql",
    )


def create_claim(schema: str) -> None:
    """Create the function that claims outbox rows, in place of one that holds no destination."""
    op.execute(f"DROP FUNCTION IF EXISTS {schema}.claim_outbox(text, double precision, integer)")
    worker_function(
        schema,
        "claim_outbox",
        "claimer text, lease_seconds double precision, row_limit integer, held text[]",
        f"SETOF {schema}.outbox",
        _CLAIM.replace("{schema}", schema),
    )


def drop_foundation(schema: str) -> None:
    """Remove what create_foundation made."""
    for signature in (
        "outbox_age()",
        "forget_old(timestamptz)",
        "mark_published(bigint[])",
        "claim_outbox(text, double precision, integer, text[])",
    ):
        op.execute(f"DROP FUNCTION {schema}.{signature}")
    for table in reversed(FoundationBase.metadata.sorted_tables):
        op.execute(f"DROP TABLE {schema}.{table.name}")
    op.execute(f"DROP FUNCTION {schema}.tenant()")
