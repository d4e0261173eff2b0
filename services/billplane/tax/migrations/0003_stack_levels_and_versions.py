"""Let rules name counties, cities, plans and levels, and have versions; record who bought.

Why: stacked taxes of state, county and city, rates that change, and a history that explains itself.
Locks: a short ACCESS EXCLUSIVE on two tables; the columns' defaults need no rewrite.
Kind: expand
"""

from alembic import op

revision = "0003"
down_revision = "0002"

RULE_COLUMNS = {
    "county": "text NOT NULL DEFAULT ''",
    "city": "text NOT NULL DEFAULT ''",
    "level": "text NOT NULL DEFAULT ''",
    "plan": "text NOT NULL DEFAULT ''",
    "version": "integer NOT NULL DEFAULT 1 CHECK (version > 0)",
    "series": "text NOT NULL DEFAULT ''",
}


def upgrade() -> None:
    for name, definition in RULE_COLUMNS.items():
        op.execute(f"ALTER TABLE tax.tax_rules ADD COLUMN {name} {definition}")
    op.execute("UPDATE tax.tax_rules SET series = id")
    op.execute(
        "CREATE UNIQUE INDEX uq_tax_rules_version ON tax.tax_rules (tenant_id, series, version)"
        " WHERE series <> ''"
    )
    op.execute("ALTER TABLE tax.tax_calculations ADD COLUMN buyer jsonb NOT NULL DEFAULT '{}'")
    op.execute(
        "CREATE INDEX ix_tax_calculations_customer"
        " ON tax.tax_calculations (tenant_id, livemode, customer_id, id)"
    )


def downgrade() -> None:
    op.execute("DROP INDEX tax.ix_tax_calculations_customer")
    op.execute("ALTER TABLE tax.tax_calculations DROP COLUMN buyer")
    op.execute("DROP INDEX tax.uq_tax_rules_version")
    for name in RULE_COLUMNS:
        op.execute(f"ALTER TABLE tax.tax_rules DROP COLUMN {name}")
