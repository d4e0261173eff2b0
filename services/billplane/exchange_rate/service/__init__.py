"""Use cases of exchange_rate: feeds and their refreshes, rates and conversions."""
