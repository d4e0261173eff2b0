"""A utility to develop against: its customers, meters and bills follow from a seed.

Owns nothing that lasts: it has no tenant, no database and no credential of ours, since it stands
for somebody else's system. It is not one of the catalog's services but runs alone, as
`python -m billplane run provider_simulator`; what is published of its API under
docs/reference/provider-json-api is what every utility behind `connection.json` answers.

Invariants: the same seed gives the same bills everywhere; a bill's lines sum to its total.
Publishes nothing. Consumes nothing.
"""
