"""What people of the operating company do for tenants.

Owns no business rows: it checks that staff calls, asks the service that owns what is wanted, and
tells of every action, which the audit log keeps. Does not own the audit log (listener), payments
(payment) or the dead letters of others.
Publishes: StaffActed. Consumes: nothing.
"""
