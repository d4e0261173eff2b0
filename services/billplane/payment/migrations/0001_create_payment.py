"""Create payment's tables.

Why: intents and what was tried, charged, refunded and disputed for them; collections of invoices.
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

TABLES = (
    "payment_intents",
    "payment_methods",
    "customers",
    "attempts",
    "charges",
    "refunds",
    "disputes",
    "processor_events",
    "collections",
    "test_clocks",
)


def upgrade() -> None:
    create_foundation("payment")
    op.execute("""
        CREATE TABLE payment.payment_intents (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            state text NOT NULL CHECK (state IN ('requires_payment_method',
                'requires_confirmation', 'requires_action', 'processing', 'requires_capture',
                'succeeded', 'canceled')),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            amount_capturable_minor bigint NOT NULL CHECK (amount_capturable_minor >= 0),
            amount_received_minor bigint NOT NULL CHECK (
                amount_received_minor BETWEEN 0 AND amount_minor),
            currency_code char(3) NOT NULL,
            customer_id text NOT NULL,
            payment_method_id text NOT NULL,
            capture_method text NOT NULL CHECK (capture_method IN ('automatic', 'manual')),
            details jsonb NOT NULL,
            metadata jsonb NOT NULL,
            invoice_id text NOT NULL,
            top_up_wallet_id text NOT NULL,
            processor text NOT NULL,
            latest_charge_id text NOT NULL,
            last_error jsonb,
            next_action jsonb,
            client_secret text NOT NULL,
            cancellation_reason text NOT NULL,
            canceled_at timestamptz,
            request_key text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_intents_request_key ON payment.payment_intents"
        " (tenant_id, livemode, request_key) WHERE request_key <> ''"
    )
    op.execute(
        "CREATE INDEX ix_payment_intents_customer_id ON payment.payment_intents"
        " (tenant_id, customer_id, id) WHERE customer_id <> ''"
    )
    # One intent collects an invoice, whoever asks for it.
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_intents_invoice_id ON payment.payment_intents"
        " (tenant_id, invoice_id) WHERE invoice_id <> '' AND state <> 'canceled'"
    )
    op.execute("""
        CREATE TABLE payment.payment_methods (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            processor text NOT NULL,
            token text NOT NULL,
            card jsonb NOT NULL,
            customer_id text NOT NULL,
            detached boolean NOT NULL,
            billing_details jsonb NOT NULL,
            metadata jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    op.execute(
        "CREATE INDEX ix_payment_methods_customer_id ON payment.payment_methods"
        " (tenant_id, customer_id, id) WHERE customer_id <> ''"
    )
    op.execute("""
        CREATE TABLE payment.customers (
            tenant_id text NOT NULL,
            customer_id text NOT NULL,
            livemode boolean NOT NULL,
            default_payment_method_id text NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, customer_id)
        )""")
    op.execute("""
        CREATE TABLE payment.attempts (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            kind text NOT NULL CHECK (kind IN ('confirm', 'capture', 'cancel', 'refund')),
            payment_intent_id text NOT NULL,
            subject_id text NOT NULL,
            number integer NOT NULL,
            state text NOT NULL CHECK (state IN ('started', 'unknown', 'requires_action',
                'pending', 'succeeded', 'authorized', 'declined', 'abandoned')),
            processor text NOT NULL,
            reference text NOT NULL,
            payment_method_id text NOT NULL,
            token text NOT NULL,
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency_code char(3) NOT NULL,
            off_session boolean NOT NULL,
            return_url text NOT NULL,
            challenge text NOT NULL CHECK (challenge IN ('', 'passed', 'failed')),
            challenge_token text NOT NULL,
            reason text NOT NULL,
            failure_code text NOT NULL,
            decline_code text NOT NULL,
            failure_message text NOT NULL,
            request_key text NOT NULL,
            asked_at timestamptz NOT NULL,
            started_at timestamptz NOT NULL,
            finished_at timestamptz,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, payment_intent_id)
                REFERENCES payment.payment_intents (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_attempts_number ON payment.attempts"
        " (tenant_id, payment_intent_id, number)"
    )
    # What is worked on is worked on by one: a second attempt waits for the first one's end.
    op.execute(
        "CREATE UNIQUE INDEX uq_attempts_open ON payment.attempts"
        " (tenant_id, subject_id) WHERE finished_at IS NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_attempts_request_key ON payment.attempts"
        " (tenant_id, livemode, request_key) WHERE request_key <> ''"
    )
    op.execute(
        "CREATE INDEX ix_attempts_open ON payment.attempts (asked_at) WHERE finished_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_attempts_reference ON payment.attempts (processor, reference)"
        " WHERE reference <> ''"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_attempts_challenge ON payment.attempts (challenge_token)"
        " WHERE challenge_token <> ''"
    )
    op.execute("""
        CREATE TABLE payment.charges (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            payment_intent_id text NOT NULL,
            attempt_id text NOT NULL,
            status text NOT NULL CHECK (status IN ('succeeded', 'failed')),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            captured boolean NOT NULL,
            canceled boolean NOT NULL,
            amount_captured_minor bigint NOT NULL CHECK (
                amount_captured_minor BETWEEN 0 AND amount_minor),
            amount_refunded_minor bigint NOT NULL CHECK (
                amount_refunded_minor BETWEEN 0 AND amount_captured_minor),
            fee_minor bigint NOT NULL,
            currency_code char(3) NOT NULL,
            customer_id text NOT NULL,
            processor text NOT NULL,
            reference text NOT NULL,
            payment_method_id text NOT NULL,
            card jsonb NOT NULL,
            billing_details jsonb NOT NULL,
            details jsonb NOT NULL,
            metadata jsonb NOT NULL,
            failure_code text NOT NULL,
            decline_code text NOT NULL,
            failure_message text NOT NULL,
            disputed boolean NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, payment_intent_id)
                REFERENCES payment.payment_intents (tenant_id, id)
        )""")
    op.execute(
        "CREATE INDEX ix_charges_payment_intent_id ON payment.charges"
        " (tenant_id, payment_intent_id, id)"
    )
    op.execute(
        "CREATE INDEX ix_charges_customer_id ON payment.charges (tenant_id, customer_id, id)"
        " WHERE customer_id <> ''"
    )
    op.execute("""
        CREATE TABLE payment.refunds (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            charge_id text NOT NULL,
            payment_intent_id text NOT NULL,
            status text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency_code char(3) NOT NULL,
            reason text NOT NULL,
            reference text NOT NULL,
            failure_reason text NOT NULL,
            metadata jsonb NOT NULL,
            request_key text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, charge_id) REFERENCES payment.charges (tenant_id, id)
        )""")
    op.execute("CREATE INDEX ix_refunds_charge_id ON payment.refunds (tenant_id, charge_id, id)")
    op.execute("CREATE INDEX ix_refunds_reference ON payment.refunds (tenant_id, reference)")
    op.execute(
        "CREATE UNIQUE INDEX uq_refunds_request_key ON payment.refunds"
        " (tenant_id, livemode, request_key) WHERE request_key <> ''"
    )
    op.execute("""
        CREATE TABLE payment.disputes (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            charge_id text NOT NULL,
            payment_intent_id text NOT NULL,
            status text NOT NULL CHECK (status IN ('warning_needs_response',
                'warning_under_review', 'warning_closed', 'needs_response', 'under_review', 'won',
                'lost')),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            fee_minor bigint NOT NULL,
            currency_code char(3) NOT NULL,
            reason text NOT NULL,
            reference text NOT NULL,
            evidence jsonb NOT NULL,
            submissions integer NOT NULL,
            metadata jsonb NOT NULL,
            due_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, charge_id) REFERENCES payment.charges (tenant_id, id)
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_disputes_reference ON payment.disputes (tenant_id, reference)"
    )
    op.execute("CREATE INDEX ix_disputes_charge_id ON payment.disputes (tenant_id, charge_id, id)")
    op.execute("""
        CREATE TABLE payment.processor_events (
            tenant_id text NOT NULL,
            processor text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            kind text NOT NULL,
            reference text NOT NULL,
            event jsonb NOT NULL,
            body bytea NOT NULL,
            result text NOT NULL,
            received_at timestamptz NOT NULL,
            applied_at timestamptz,
            PRIMARY KEY (tenant_id, processor, id)
        )""")
    op.execute("""
        CREATE TABLE payment.collections (
            tenant_id text NOT NULL,
            invoice_id text NOT NULL,
            livemode boolean NOT NULL,
            customer_id text NOT NULL,
            subscription_id text NOT NULL,
            number text NOT NULL,
            currency_code char(3) NOT NULL,
            due_minor bigint NOT NULL,
            credit_minor bigint NOT NULL CHECK (credit_minor >= 0),
            collected_minor bigint NOT NULL CHECK (collected_minor >= 0),
            state text NOT NULL CHECK (state IN ('prepared', 'due', 'waiting', 'paid',
                'exhausted', 'closed')),
            payment_intent_id text NOT NULL,
            attempts integer NOT NULL,
            rounds integer NOT NULL,
            next_attempt_at timestamptz,
            test_clock_id text NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, invoice_id),
            CHECK (credit_minor + collected_minor <= due_minor OR state = 'prepared')
        )""")
    op.execute(
        "CREATE INDEX ix_collections_due ON payment.collections (next_attempt_at)"
        " WHERE next_attempt_at IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_collections_customer_id ON payment.collections (tenant_id, customer_id)"
        " WHERE state = 'waiting'"
    )
    op.execute("""
        CREATE TABLE payment.test_clocks (
            tenant_id text NOT NULL,
            id text NOT NULL,
            now timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id)
        )""")
    for table in TABLES:
        create_tenant_table("payment", table)
    _functions()


def _functions() -> None:
    """Make what looks across tenants."""
    worker_function(
        "payment",
        "stale_attempts",
        "before timestamptz, answered_before timestamptz",
        "TABLE (tenant_id text, livemode boolean, id text)",
        "SELECT tenant_id, livemode, id FROM attempts WHERE finished_at IS NULL"
        " AND state <> 'requires_action'"
        # Whoever began one may still be waiting for its answer; what was answered needs no such
        # patience.
        " AND asked_at <= CASE WHEN state = 'started' THEN before ELSE answered_before END"
        " ORDER BY asked_at LIMIT 200",
        language="sql",
    )
    worker_function(
        "payment",
        "stale_authorizations",
        "before timestamptz",
        "TABLE (tenant_id text, livemode boolean, id text)",
        "SELECT i.tenant_id, i.livemode, i.id FROM payment_intents i"
        " JOIN charges c ON c.tenant_id = i.tenant_id AND c.id = i.latest_charge_id"
        " WHERE i.state = 'requires_capture' AND c.created_at <= before LIMIT 200",
        language="sql",
    )
    worker_function(
        "payment",
        "due_collections",
        "real_now timestamptz",
        "TABLE (tenant_id text, livemode boolean, invoice_id text)",
        "SELECT k.tenant_id, k.livemode, k.invoice_id FROM collections k"
        " LEFT JOIN test_clocks c ON c.tenant_id = k.tenant_id AND c.id = k.test_clock_id"
        " WHERE k.next_attempt_at <= CASE WHEN k.test_clock_id = '' THEN real_now"
        "   ELSE coalesce(c.now, k.next_attempt_at) END"
        " ORDER BY k.next_attempt_at LIMIT 200",
        language="sql",
    )
    worker_function(
        "payment",
        "owner_of_reference",
        "of_processor text, of_reference text",
        "TABLE (tenant_id text, livemode boolean)",
        "SELECT tenant_id, livemode FROM attempts"
        " WHERE processor = of_processor AND reference = of_reference AND reference <> '' LIMIT 1",
        language="sql",
    )
    worker_function(
        "payment",
        "owner_of_challenge",
        "wanted text",
        "TABLE (tenant_id text, livemode boolean, id text)",
        "SELECT tenant_id, livemode, id FROM attempts"
        " WHERE challenge_token = wanted AND challenge_token <> ''",
        language="sql",
    )


def downgrade() -> None:
    for function in (
        "stale_attempts(timestamptz, timestamptz)",
        "stale_authorizations(timestamptz)",
        "due_collections(timestamptz)",
        "owner_of_reference(text, text)",
        "owner_of_challenge(text)",
    ):
        op.execute(f"DROP FUNCTION payment.{function}")
    for table in (
        *("disputes", "refunds", "charges", "attempts", "payment_intents", "payment_methods"),
        *("customers", "processor_events", "collections", "test_clocks"),
    ):
        op.execute(f"DROP TABLE payment.{table}")
    drop_foundation("payment")
