"""Prepaid balances: charge, reserve and commit, top up, credits.

Owns wallets and the rules of what may be taken from them and in which order: credits with their
priority and end, reservations, overdraft, automatic top-ups. Owns no money: that lies in the
ledger's accounts, which follow every operation. Each operation is decided and stored first, then
posted by one call of the ledger under an id of its own, then completed; whoever finds one that was
not completed goes on with it.
Publishes BalanceLow, ReservationExpired and asks for NotifyTask.
Consumes PaymentSucceeded and CreditNoteIssued (top-ups) and its own BalanceLow (to tell the
customer).
"""
