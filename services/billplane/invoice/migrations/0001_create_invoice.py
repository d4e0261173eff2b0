"""Create invoice's tables.

Why: documents with their lines, discounts and taxes, the series that number them, attempts to
finalize, history, issued PDFs and the tenant's settings; triggers that keep what is issued as it
was issued.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import (
    create_foundation,
    create_tenant_table,
    drop_foundation,
    worker_function,
)

revision = "0001"
down_revision = None

PARTS = ("invoice_lines", "invoice_discounts", "invoice_taxes")
TABLES = (
    "invoices",
    *PARTS,
    "invoice_series",
    "finalization_attempts",
    "invoice_history",
    "invoice_documents",
    "invoice_settings",
)

_INVOICES = """
    CREATE TABLE invoice.invoices (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        state text NOT NULL CHECK (state IN ('draft', 'finalizing', 'finalized', 'paid',
            'past_due', 'uncollectible', 'voided')),
        revision bigint NOT NULL,
        number text NOT NULL,
        series text NOT NULL,
        sequence bigint NOT NULL,
        customer_id text NOT NULL,
        customer jsonb NOT NULL,
        seller jsonb NOT NULL,
        subscription_id text NOT NULL,
        plan_id text NOT NULL,
        plan_name text NOT NULL,
        period_starts_at timestamptz,
        period_ends_at timestamptz,
        currency_code char(3) NOT NULL,
        time_zone text NOT NULL,
        at timestamptz NOT NULL,
        simulated boolean NOT NULL,
        coupon_codes jsonb NOT NULL,
        refused_coupons jsonb NOT NULL,
        due_requested_on date,
        issued_on date,
        due_on date,
        past_due_at timestamptz,
        subtotal_minor bigint NOT NULL,
        discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
        net_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        total_minor bigint NOT NULL CHECK (total_minor >= 0),
        paid_minor bigint NOT NULL CHECK (paid_minor BETWEEN 0 AND total_minor),
        conversion jsonb NOT NULL,
        chart jsonb NOT NULL,
        notes jsonb NOT NULL,
        metadata jsonb NOT NULL,
        tax_calculation_id text NOT NULL,
        attempt bigint NOT NULL,
        created_at timestamptz NOT NULL,
        finalized_at timestamptz,
        paid_at timestamptz,
        voided_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT total_is_net_and_tax CHECK (total_minor = net_minor + tax_minor),
        CONSTRAINT numbered_when_final
            CHECK ((state IN ('draft', 'finalizing')) = (number = '')),
        CONSTRAINT paid_in_full CHECK (state <> 'paid' OR paid_minor = total_minor)
    )"""
_LINES = """
    CREATE TABLE invoice.invoice_lines (
        tenant_id text NOT NULL,
        id text NOT NULL,
        invoice_id text NOT NULL,
        position bigint NOT NULL,
        charge text NOT NULL,
        kind text NOT NULL,
        description text NOT NULL,
        quantity text NOT NULL,
        unit text NOT NULL,
        unit_amount text NOT NULL,
        amount_minor bigint NOT NULL,
        discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
        net_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        tax_category text NOT NULL,
        tax_inclusive boolean NOT NULL,
        tax_rule_id text NOT NULL,
        tax_on date,
        tax_rate text NOT NULL,
        starts_at timestamptz,
        ends_at timestamptz,
        detail_json text NOT NULL,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT amounts_add_up CHECK (
            net_minor + (CASE WHEN tax_inclusive THEN tax_minor ELSE 0 END)
            = amount_minor - discount_minor)
    )"""
_DISCOUNTS = """
    CREATE TABLE invoice.invoice_discounts (
        tenant_id text NOT NULL,
        invoice_id text NOT NULL,
        position bigint NOT NULL,
        code text NOT NULL,
        description text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        application_id text NOT NULL,
        PRIMARY KEY (tenant_id, invoice_id, position)
    )"""
_TAXES = """
    CREATE TABLE invoice.invoice_taxes (
        tenant_id text NOT NULL,
        invoice_id text NOT NULL,
        position bigint NOT NULL,
        label text NOT NULL,
        jurisdiction text NOT NULL,
        category text NOT NULL,
        rate text NOT NULL,
        treatment text NOT NULL,
        base_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        PRIMARY KEY (tenant_id, invoice_id, position)
    )"""
_SERIES = """
    CREATE TABLE invoice.invoice_series (
        tenant_id text NOT NULL,
        livemode boolean NOT NULL,
        name text NOT NULL,
        last_number bigint NOT NULL CHECK (last_number > 0),
        PRIMARY KEY (tenant_id, livemode, name)
    )"""
_ATTEMPTS = """
    CREATE TABLE invoice.finalization_attempts (
        tenant_id text NOT NULL,
        invoice_id text NOT NULL,
        attempt bigint NOT NULL,
        livemode boolean NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'done', 'reversing', 'reversed')),
        reason text NOT NULL,
        at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, invoice_id, attempt)
    )"""
_HISTORY = """
    CREATE TABLE invoice.invoice_history (
        tenant_id text NOT NULL,
        id text NOT NULL,
        invoice_id text NOT NULL,
        at timestamptz NOT NULL,
        from_state text NOT NULL,
        to_state text NOT NULL,
        total_minor bigint NOT NULL,
        cause text NOT NULL,
        note text NOT NULL,
        tax_calculation_id text NOT NULL,
        discount_application_ids jsonb NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )"""
_DOCUMENTS = """
    CREATE TABLE invoice.invoice_documents (
        tenant_id text NOT NULL,
        invoice_id text NOT NULL,
        locale text NOT NULL,
        content bytea NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, invoice_id, locale)
    )"""
_SETTINGS = """
    CREATE TABLE invoice.invoice_settings (
        tenant_id text PRIMARY KEY,
        seller jsonb NOT NULL,
        prefix text NOT NULL,
        payment_terms_days bigint NOT NULL CHECK (payment_terms_days BETWEEN 0 AND 366),
        updated_at timestamptz NOT NULL
    )"""
_INDEXES = (
    "UNIQUE INDEX uq_invoices_number ON invoice.invoices (tenant_id, livemode, number)"
    " WHERE number <> ''",
    "UNIQUE INDEX uq_invoices_sequence ON invoice.invoices"
    " (tenant_id, livemode, series, sequence) WHERE number <> ''",
    "UNIQUE INDEX uq_invoices_period ON invoice.invoices"
    " (tenant_id, livemode, subscription_id, period_starts_at)"
    # The first fees in advance have no period of their own: one such document a subscription.
    " NULLS NOT DISTINCT WHERE subscription_id <> ''",
    "INDEX ix_invoices_customer ON invoice.invoices (tenant_id, livemode, customer_id, id)",
    "INDEX ix_invoices_state ON invoice.invoices (tenant_id, livemode, state, id)",
    "INDEX ix_invoices_past_due_at ON invoice.invoices (past_due_at) WHERE state = 'finalized'",
    "UNIQUE INDEX uq_invoice_lines_position ON invoice.invoice_lines"
    " (tenant_id, invoice_id, position)",
    "INDEX ix_invoice_history_invoice ON invoice.invoice_history (tenant_id, invoice_id, id)",
    "INDEX ix_finalization_attempts_open ON invoice.finalization_attempts (created_at)"
    " WHERE state IN ('pending', 'reversing')",
)
_KEEP_INVOICE = """
DECLARE
  free text[] := '{state,revision,paid_minor,paid_at,voided_at,past_due_at}';
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.state <> 'draft' THEN
      RAISE EXCEPTION 'only a draft can be deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
  END IF;
  IF OLD.state NOT IN ('draft', 'finalizing') AND (NEW.state IN ('draft', 'finalizing')
      OR to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free) THEN
    RAISE EXCEPTION 'a numbered invoice is frozen' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
"""
_KEEP_PART = """
DECLARE
  part record;
BEGIN
  IF TG_OP = 'INSERT' THEN part := NEW; ELSE part := OLD; END IF;
  IF EXISTS (SELECT FROM invoice.invoices i WHERE i.tenant_id = part.tenant_id
      AND i.id = part.invoice_id AND i.state NOT IN ('draft', 'finalizing')) THEN
    RAISE EXCEPTION 'the parts of a numbered invoice are frozen'
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  IF TG_OP = 'UPDATE' AND NEW.invoice_id <> OLD.invoice_id THEN
    RAISE EXCEPTION 'a part stays with its invoice' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
"""
_ADD_UP = """
DECLARE
  found record;
BEGIN
  IF NEW.state IN ('draft', 'finalizing') THEN RETURN NULL; END IF;
  SELECT coalesce(sum(amount_minor), 0) AS subtotal, coalesce(sum(discount_minor), 0) AS discount,
    coalesce(sum(net_minor), 0) AS net, coalesce(sum(tax_minor), 0) AS tax INTO found
    FROM invoice_lines WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.id;
  IF (found.subtotal, found.discount, found.net, found.tax) IS DISTINCT FROM
      (NEW.subtotal_minor, NEW.discount_minor, NEW.net_minor, NEW.tax_minor)
    OR NEW.tax_minor <> (SELECT coalesce(sum(tax_minor), 0) FROM invoice_taxes
      WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.id)
    OR NEW.discount_minor <> (SELECT coalesce(sum(amount_minor), 0) FROM invoice_discounts
      WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.id) THEN
    RAISE EXCEPTION 'the lines of invoice % do not add up', NEW.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END
"""


def upgrade() -> None:
    create_foundation("invoice")
    for statement in (
        _INVOICES,
        _LINES,
        _DISCOUNTS,
        _TAXES,
        _SERIES,
        _ATTEMPTS,
        _HISTORY,
        _DOCUMENTS,
        _SETTINGS,
    ):
        op.execute(statement)
    for index in _INDEXES:
        op.execute(f"CREATE {index}")
    for table in TABLES:
        create_tenant_table(
            "invoice", table, append_only=table in ("invoice_history", "invoice_documents")
        )
    # The history and the drawer of a deleted draft go with it.
    op.execute("GRANT DELETE ON invoice.invoice_history TO invoice_app")
    _create_triggers()
    _create_finders()


def _create_triggers() -> None:
    for name, body in (("keep_invoice", _KEEP_INVOICE), ("keep_part", _KEEP_PART)):
        op.execute(
            f"CREATE FUNCTION invoice.{name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
        )
    op.execute(
        "CREATE TRIGGER keep_invoice BEFORE UPDATE OR DELETE ON invoice.invoices"
        " FOR EACH ROW EXECUTE FUNCTION invoice.keep_invoice()"
    )
    for table in PARTS:
        op.execute(
            f"CREATE TRIGGER keep_part BEFORE INSERT OR UPDATE OR DELETE ON invoice.{table}"
            " FOR EACH ROW EXECUTE FUNCTION invoice.keep_part()"
        )
    # Until Postgres 17 a deferred trigger runs as the session's role, from 18 on as the one that
    # queued it: as the worker it sees the rows in both.
    worker_function("invoice", "add_up", "", "trigger", _ADD_UP)
    op.execute(
        "CREATE CONSTRAINT TRIGGER add_up AFTER INSERT OR UPDATE ON invoice.invoices"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION invoice.add_up()"
    )


def _create_finders() -> None:
    worker_function(
        "invoice",
        "stale_attempts",
        "before timestamptz",
        "TABLE (tenant_id text, livemode boolean, invoice_id text)",
        "SELECT a.tenant_id, a.livemode, a.invoice_id FROM finalization_attempts a"
        " WHERE a.state IN ('pending', 'reversing') AND a.created_at < before"
        " ORDER BY a.created_at LIMIT 500",
        language="sql",
    )
    worker_function(
        "invoice",
        "past_due_invoices",
        "until timestamptz",
        "TABLE (tenant_id text, livemode boolean, invoice_id text)",
        "SELECT i.tenant_id, i.livemode, i.id FROM invoices i WHERE i.state = 'finalized'"
        " AND i.past_due_at <= until AND NOT i.simulated ORDER BY i.past_due_at LIMIT 500",
        language="sql",
    )


def downgrade() -> None:
    for signature in ("past_due_invoices(timestamptz)", "stale_attempts(timestamptz)"):
        op.execute(f"DROP FUNCTION invoice.{signature}")
    for table in TABLES:
        op.execute(f"DROP TABLE invoice.{table}")
    for name in ("add_up", "keep_part", "keep_invoice"):
        op.execute(f"DROP FUNCTION invoice.{name}()")
    drop_foundation("invoice")
