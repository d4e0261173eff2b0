"""Rates with a source and an age.

Owns feeds, from resources and from the API, and the history of rates, which only grows. Owns no
price and converts no document: callers ask for a rate as of a date and keep its ids.

Invariants: a stored rate is above zero and belongs to a feed; a rate never changes.
Publishes RatesUpdated, RatesStale. Consumes nothing.
"""
