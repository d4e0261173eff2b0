"""Payments: intents, attempts, charges, refunds, disputes, and collecting what invoices ask for.

Owns payment intents and methods, every attempt at a processor with its outcome, charges, refunds,
disputes, processors' webhooks, and the schedule by which unpaid invoices are tried again. Owns no
balance (billing_core), no books (ledger), no customer (subscription) and no card number: cards
are known by the processor's token, brand and last four digits. Speaks Stripe's dialect.

Invariants: a charge is never captured beyond its authorization nor refunded beyond what was
captured; one attempt of an intent runs at a time; an intent's amounts are those of its charges.
Publishes PaymentIntentCreated, PaymentIntentActionRequired, PaymentIntentCanceled,
PaymentSucceeded, PaymentFailed, CreditApplied, CollectionExhausted, RefundSucceeded,
DisputeOpened, DisputeClosed. Consumes InvoiceCreated, InvoiceFinalized, InvoicePaid,
InvoiceVoided, InvoiceUncollectible, TestClockAdvanced and its own task ApplyProcessorEvent.
"""
