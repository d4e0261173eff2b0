"""Plans and prices: what usage and fees cost, exactly.

Owns plans, from resources and from the API, their immutable versions and the rating of one
billing period. Does not own usage (metering), exchange rates (exchange_rate), subscriptions or
invoices: it is given quantities, a rate and a period, and answers with lines before discounts and
tax. Quotes ask exchange_rate for a rate; a plan is deleted only once subscription counts nobody
who has it.

Invariants: a version never changes; versions count from 1 without gaps up to the one that the plan
is at; rating is a pure function of the version, the usage, the period and the rate; each line is
exact until it is rounded, half up, once.
Publishes PlanPublished. Consumes nothing.
"""
