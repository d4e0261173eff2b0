"""The ledger: money in double entry.

Owns accounts with their balances, transactions that balance per currency, what pending ones
reserve, the chart of accounts of a billing business, and the chain of hashes over all of it;
nothing of it is ever changed. Owns no rule about what is charged and none about who is paid: it
records what others decide.
Publishes TransactionsPosted. Consumes InvoiceFinalized, InvoicePaid, InvoiceUncollectible,
InvoiceVoided; PaymentSucceeded, RefundSucceeded, DisputeOpened, DisputeClosed.
"""
