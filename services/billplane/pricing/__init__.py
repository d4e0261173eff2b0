"""Plans and prices: what usage and fees cost, exactly.

Owns plans, their immutable versions and the rating of one billing period. Does not own usage
(metering), exchange rates (exchange_rate), subscriptions or invoices: it is given quantities, a
rate and a period, and answers with lines before discounts and tax.

Invariants: a version never changes; rating is a pure function of the version, the usage, the
period and the rate; each line is exact until it is rounded, half up, once.
"""
