"""Create billing_core's tables.

Why: wallets with their credits and reservations, the operations that change them, and the payments
that are asked for when one runs low. That no more is taken than there is, is checked here as well.
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

_MOST = 9007199254740991

_WALLETS = f"""
    CREATE TABLE billing_core.wallets (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        customer_id text NOT NULL,
        customer_external_id text NOT NULL,
        currency_code char(3) NOT NULL,
        state text NOT NULL CHECK (state IN ('opening', 'active', 'closed')),
        overdraft_minor bigint NOT NULL CHECK (overdraft_minor >= 0),
        low_balance_minor bigint CHECK (low_balance_minor >= 0),
        auto_below_minor bigint CHECK (auto_below_minor >= 0),
        auto_amount_minor bigint CHECK (auto_amount_minor > 0),
        metadata jsonb NOT NULL,
        posted_minor bigint NOT NULL CHECK (posted_minor BETWEEN -{_MOST} AND {_MOST}),
        reserved_minor bigint NOT NULL CHECK (reserved_minor >= 0),
        is_low boolean NOT NULL,
        is_filling boolean NOT NULL,
        account_id text NOT NULL,
        account_posted_minor bigint NOT NULL,
        account_reserved_minor bigint NOT NULL,
        account_entries bigint NOT NULL,
        compared_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT no_overspend CHECK (posted_minor - reserved_minor >= -overdraft_minor),
        CONSTRAINT auto_top_up_is_whole
            CHECK ((auto_below_minor IS NULL) = (auto_amount_minor IS NULL)),
        CONSTRAINT account_is_open CHECK (state = 'opening' OR account_id <> '')
    )"""
_CREDITS = """
    CREATE TABLE billing_core.credits (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        wallet_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('promotional', 'purchased')),
        granted_minor bigint NOT NULL CHECK (granted_minor > 0),
        remaining_minor bigint NOT NULL CHECK (remaining_minor BETWEEN 0 AND granted_minor),
        priority bigint NOT NULL,
        expires_at timestamptz,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )"""
_RESERVATIONS = """
    CREATE TABLE billing_core.reservations (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        wallet_id text NOT NULL,
        state text NOT NULL
            CHECK (state IN ('opening', 'open', 'committed', 'released', 'expired', 'refused')),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        committed_minor bigint NOT NULL CHECK (committed_minor >= 0),
        remaining_minor bigint NOT NULL CHECK (remaining_minor >= 0),
        currency_code char(3) NOT NULL,
        reference text NOT NULL,
        description text NOT NULL,
        rate_id text NOT NULL,
        hold_id text NOT NULL,
        expires_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        closed_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT within_its_amount CHECK (committed_minor + remaining_minor <= amount_minor),
        CONSTRAINT whole_while_open CHECK (state NOT IN ('opening', 'open')
            OR committed_minor + remaining_minor = amount_minor),
        CONSTRAINT nothing_left_when_closed
            CHECK (state IN ('opening', 'open') OR remaining_minor = 0)
    )"""
_OPERATIONS = """
    CREATE TABLE billing_core.operations (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        wallet_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('top_up', 'grant', 'adjust', 'expire', 'charge',
            'commit', 'refund', 'reserve', 'release', 'run_out')),
        state text NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
        amount_minor bigint NOT NULL,
        currency_code char(3) NOT NULL,
        other_minor bigint NOT NULL CHECK (other_minor >= 0),
        other_currency_code text NOT NULL,
        rate_id text NOT NULL,
        refunded_minor bigint NOT NULL
            CHECK (refunded_minor BETWEEN 0 AND greatest(0, -amount_minor)),
        reservation_id text NOT NULL,
        final boolean NOT NULL,
        credit_id text NOT NULL,
        credit_kind text NOT NULL,
        credit_priority bigint NOT NULL,
        credit_expires_at timestamptz,
        refunded_id text NOT NULL,
        invoice_id text NOT NULL,
        payment_intent_id text NOT NULL,
        reference text NOT NULL,
        description text NOT NULL,
        cause text NOT NULL,
        request_key text NOT NULL,
        fingerprint text NOT NULL,
        transaction_id text NOT NULL,
        result jsonb NOT NULL,
        due_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        done_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT moves_by_its_kind CHECK (CASE
            WHEN kind IN ('top_up', 'grant', 'refund') THEN amount_minor > 0
            WHEN kind IN ('charge', 'commit', 'expire') THEN amount_minor < 0
            WHEN kind = 'adjust' THEN amount_minor <> 0
            ELSE amount_minor = 0 END)
    )"""
_CREDIT_MOVES = """
    CREATE TABLE billing_core.credit_moves (
        tenant_id text NOT NULL,
        operation_id text NOT NULL,
        position bigint NOT NULL,
        livemode boolean NOT NULL,
        credit_id text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
        PRIMARY KEY (tenant_id, operation_id, position)
    )"""
_AUTO_TOP_UPS = """
    CREATE TABLE billing_core.auto_top_ups (
        tenant_id text NOT NULL,
        id text NOT NULL,
        livemode boolean NOT NULL,
        wallet_id text NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'asked', 'failed', 'paid')),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        currency_code char(3) NOT NULL,
        payment_intent_id text NOT NULL,
        reason text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )"""
_INDEXES = (
    "UNIQUE INDEX uq_wallets_customer ON billing_core.wallets"
    " (tenant_id, livemode, customer_id, currency_code)",
    "INDEX ix_wallets_external_id ON billing_core.wallets"
    " (tenant_id, livemode, customer_external_id, currency_code)",
    "INDEX ix_wallets_opening ON billing_core.wallets (created_at) WHERE state = 'opening'",
    "INDEX ix_wallets_compared_at ON billing_core.wallets (compared_at) WHERE state <> 'opening'",
    # A credit that is used up stays for its history and is not looked at any more.
    "INDEX ix_credits_wallet ON billing_core.credits (tenant_id, wallet_id)"
    " WHERE remaining_minor > 0",
    "INDEX ix_credits_expires_at ON billing_core.credits (expires_at) WHERE remaining_minor > 0",
    "INDEX ix_reservations_expires_at ON billing_core.reservations (expires_at)"
    " WHERE state = 'open'",
    "INDEX ix_reservations_wallet ON billing_core.reservations (tenant_id, wallet_id, id)",
    "UNIQUE INDEX uq_operations_request ON billing_core.operations"
    " (tenant_id, livemode, request_key) WHERE request_key <> ''",
    "UNIQUE INDEX uq_operations_payment ON billing_core.operations"
    " (tenant_id, livemode, payment_intent_id)"
    " WHERE payment_intent_id <> '' AND state <> 'refused'",
    # At most one at a time: what a reservation is to become is decided after what it became.
    "UNIQUE INDEX uq_operations_of_reservation ON billing_core.operations"
    " (tenant_id, reservation_id) WHERE reservation_id <> '' AND state = 'pending'",
    "INDEX ix_operations_refunded ON billing_core.operations (tenant_id, refunded_id)"
    " WHERE refunded_id <> ''",
    "INDEX ix_operations_wallet ON billing_core.operations (tenant_id, wallet_id, id)",
    "INDEX ix_operations_due ON billing_core.operations (due_at) WHERE state = 'pending'",
    "INDEX ix_operations_pending ON billing_core.operations (tenant_id, wallet_id)"
    " WHERE state = 'pending'",
    "INDEX ix_auto_top_ups_pending ON billing_core.auto_top_ups (created_at)"
    " WHERE state = 'pending'",
    "INDEX ix_auto_top_ups_wallet ON billing_core.auto_top_ups (tenant_id, wallet_id, id)",
)
TABLES = ("wallets", "credits", "reservations", "operations", "credit_moves", "auto_top_ups")
_OF_ONE = "TABLE (tenant_id text, livemode boolean, id text)"
_FINDERS = (
    (
        "due_operations",
        "due timestamptz, row_limit integer",
        "SELECT o.tenant_id, o.livemode, o.id FROM operations o"
        " WHERE o.state = 'pending' AND o.due_at <= due ORDER BY o.due_at LIMIT row_limit",
    ),
    (
        "due_reservations",
        "due timestamptz, row_limit integer",
        "SELECT r.tenant_id, r.livemode, r.id FROM reservations r"
        " WHERE r.state = 'open' AND r.expires_at <= due ORDER BY r.expires_at LIMIT row_limit",
    ),
    (
        # Not the ones that a reservation keeps: its end lets go of them.
        "due_wallets",
        "due timestamptz, row_limit integer",
        "SELECT w.tenant_id, w.livemode, w.id FROM wallets w JOIN (SELECT c.tenant_id,"
        " c.wallet_id, sum(c.remaining_minor) AS over_minor FROM credits c"
        " WHERE c.remaining_minor > 0 AND c.expires_at <= due GROUP BY 1, 2) o"
        " ON (o.tenant_id, o.wallet_id) = (w.tenant_id, w.id)"
        " WHERE o.over_minor > w.reserved_minor LIMIT row_limit",
    ),
    (
        "opening_wallets",
        "before timestamptz, row_limit integer",
        "SELECT w.tenant_id, w.livemode, w.id FROM wallets w"
        " WHERE w.state = 'opening' AND w.created_at <= before"
        " ORDER BY w.created_at LIMIT row_limit",
    ),
    (
        "wallets_to_compare",
        "before timestamptz, row_limit integer",
        "SELECT w.tenant_id, w.livemode, w.id FROM wallets w"
        " WHERE w.state <> 'opening' AND w.compared_at <= before"
        " ORDER BY w.compared_at LIMIT row_limit",
    ),
    (
        "pending_auto_top_ups",
        "row_limit integer",
        "SELECT a.tenant_id, a.livemode, a.id FROM auto_top_ups a WHERE a.state = 'pending'"
        " ORDER BY a.created_at LIMIT row_limit",
    ),
)


def upgrade() -> None:
    create_foundation("billing_core")
    statements = (_WALLETS, _CREDITS, _RESERVATIONS, _OPERATIONS, _CREDIT_MOVES, _AUTO_TOP_UPS)
    for statement in statements:
        op.execute(statement)
    for index in _INDEXES:
        op.execute(f"CREATE {index}")
    for table in TABLES:
        create_tenant_table("billing_core", table, append_only=table == "credit_moves")
    for table in ("wallets", "credits", "reservations", "operations", "auto_top_ups"):
        op.execute(f"REVOKE DELETE ON billing_core.{table} FROM billing_core_app")
    for name, arguments, body in _FINDERS:
        worker_function("billing_core", name, arguments, _OF_ONE, body, language="sql")


def downgrade() -> None:
    for name, arguments, _body in _FINDERS:
        types = ", ".join(part.split(None, 1)[1] for part in arguments.split(", "))
        op.execute(f"DROP FUNCTION billing_core.{name}({types})")
    for table in TABLES:
        op.execute(f"DROP TABLE billing_core.{table}")
    drop_foundation("billing_core")
