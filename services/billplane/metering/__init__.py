"""Usage in, quantities out.

Owns meters, usage events and their hourly roll-up. Owns no price and no customer: an event's
subject is any name that a customer may have.

Invariants: an event is stored once by (tenant, mode, source, id); the roll-up of a meter is the
sum of its stored events. Publishes nothing. Consumes nothing.
"""
