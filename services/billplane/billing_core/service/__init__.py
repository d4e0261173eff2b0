"""Use cases of billing_core: wallets, operations, reservations, and what runs them to their end."""
