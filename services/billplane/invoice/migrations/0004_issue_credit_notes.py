"""Let invoices be credited, issued as e-invoices and printed in the tenant's own look.

Why: credit notes with their lines and taxes, what of an invoice was credited, which taxes each of
its lines has, when money settled it, and the settings of e-invoices and of templates.
Locks: a short ACCESS EXCLUSIVE for columns whose defaults need no rewrite; the checks are added
    unvalidated and then validated while the table is written.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import create_tenant_table

revision = "0004"
down_revision = "0003"

TABLES = (
    "credit_notes",
    "credit_note_lines",
    "credit_note_taxes",
    "credit_note_documents",
    "invoice_settlements",
)
APPEND_ONLY = (
    "credit_notes",
    "credit_note_lines",
    "credit_note_taxes",
    "credit_note_documents",
    "invoice_settlements",
)

_NOTES = """
    CREATE TABLE invoice.credit_notes (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        invoice_id text NOT NULL,
        number text NOT NULL,
        series text NOT NULL,
        sequence bigint NOT NULL,
        customer_id text NOT NULL,
        currency_code char(3) NOT NULL,
        reason text NOT NULL,
        excess text NOT NULL CHECK (excess IN ('credit', 'refund', 'by_hand')),
        net_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        total_minor bigint NOT NULL CHECK (total_minor > 0),
        applied_minor bigint NOT NULL CHECK (applied_minor >= 0),
        excess_minor bigint NOT NULL CHECK (excess_minor >= 0),
        issued_on date NOT NULL,
        at timestamptz NOT NULL,
        metadata jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT total_is_net_and_tax CHECK (total_minor = net_minor + tax_minor),
        CONSTRAINT all_goes_somewhere CHECK (total_minor = applied_minor + excess_minor)
    )"""
_NOTE_LINES = """
    CREATE TABLE invoice.credit_note_lines (
        tenant_id text NOT NULL,
        id text NOT NULL,
        credit_note_id text NOT NULL,
        invoice_line_id text NOT NULL,
        position bigint NOT NULL,
        description text NOT NULL,
        quantity text NOT NULL,
        unit text NOT NULL,
        unit_amount text NOT NULL,
        amount_minor bigint NOT NULL,
        net_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )"""
_NOTE_TAXES = """
    CREATE TABLE invoice.credit_note_taxes (
        tenant_id text NOT NULL,
        credit_note_id text NOT NULL,
        position bigint NOT NULL,
        key text NOT NULL,
        label text NOT NULL,
        jurisdiction text NOT NULL,
        category text NOT NULL,
        rate text NOT NULL,
        treatment text NOT NULL,
        base_minor bigint NOT NULL,
        tax_minor bigint NOT NULL,
        PRIMARY KEY (tenant_id, credit_note_id, position)
    )"""
_NOTE_DOCUMENTS = """
    CREATE TABLE invoice.credit_note_documents (
        tenant_id text NOT NULL,
        credit_note_id text NOT NULL,
        locale text NOT NULL,
        content bytea NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, credit_note_id, locale)
    )"""
_SETTLEMENTS = """
    CREATE TABLE invoice.invoice_settlements (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        invoice_id text NOT NULL,
        on_day date NOT NULL,
        amount_minor bigint NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )"""
_INDEXES = (
    "UNIQUE INDEX uq_credit_notes_number ON invoice.credit_notes (tenant_id, livemode, number)",
    "UNIQUE INDEX uq_credit_notes_sequence ON invoice.credit_notes"
    " (tenant_id, livemode, series, sequence)",
    "INDEX ix_credit_notes_invoice ON invoice.credit_notes (tenant_id, invoice_id, id)",
    "INDEX ix_credit_notes_customer ON invoice.credit_notes (tenant_id, livemode, customer_id, id)",
    "UNIQUE INDEX uq_credit_note_lines_position ON invoice.credit_note_lines"
    " (tenant_id, credit_note_id, position)",
    "INDEX ix_invoice_settlements_invoice ON invoice.invoice_settlements (tenant_id, invoice_id)",
)
_COLUMNS = {
    "invoices": (
        "credited_minor bigint NOT NULL DEFAULT 0",
        "returned_minor bigint NOT NULL DEFAULT 0",
        "closed_on date",
    ),
    "invoice_lines": ("tax_keys jsonb NOT NULL DEFAULT '[]'",),
    "invoice_taxes": ("key text NOT NULL DEFAULT ''",),
    "invoice_settings": (
        "e_invoice text NOT NULL DEFAULT 'off' CHECK (e_invoice IN ('off', 'required'))",
        "credit_note_prefix text NOT NULL DEFAULT 'CN-'",
        "template jsonb NOT NULL DEFAULT '{}'",
    ),
}
_CHECKS = {
    "credited_in_bounds": "credited_minor >= 0 AND returned_minor >= 0"
    " AND paid_minor + credited_minor <= total_minor AND returned_minor <= paid_minor",
    "settled_in_full": "state <> 'paid' OR paid_minor + credited_minor = total_minor",
}
_KEEP = """
DECLARE
  free text[] := '{FREE}';
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
_FREE = "state,revision,paid_minor,paid_at,voided_at,past_due_at"
_FREE_NOW = f"{_FREE},credited_minor,returned_minor,closed_on"


def _keep(free: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION invoice.keep_invoice() RETURNS trigger LANGUAGE plpgsql"
        f" AS $${_KEEP.replace('FREE', free)}$$"
    )


def upgrade() -> None:
    for statement in (_NOTES, _NOTE_LINES, _NOTE_TAXES, _NOTE_DOCUMENTS, _SETTLEMENTS):
        op.execute(statement)
    for index in _INDEXES:
        op.execute(f"CREATE {index}")
    for table in TABLES:
        create_tenant_table("invoice", table, append_only=table in APPEND_ONLY)
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE invoice.{table} ADD COLUMN {column}")
    _keep(_FREE_NOW)
    op.execute("ALTER TABLE invoice.invoices DROP CONSTRAINT paid_in_full")
    for name, rule in _CHECKS.items():
        op.execute(f"ALTER TABLE invoice.invoices ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
        op.execute(f"ALTER TABLE invoice.invoices VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    for name in _CHECKS:
        op.execute(f"ALTER TABLE invoice.invoices DROP CONSTRAINT {name}")
    op.execute(
        "ALTER TABLE invoice.invoices ADD CONSTRAINT paid_in_full"
        " CHECK (state <> 'paid' OR paid_minor = total_minor) NOT VALID"
    )
    _keep(_FREE)
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE invoice.{table} DROP COLUMN {column.split()[0]}")
    for table in TABLES:
        op.execute(f"DROP TABLE invoice.{table}")
