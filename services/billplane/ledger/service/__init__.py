"""Use cases of ledger: accounts, transactions, and the writer that gathers them."""
