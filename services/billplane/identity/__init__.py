"""Users, tenants and API keys.

Owns tenants, users, memberships, refresh tokens and API keys. Owns no customer of a tenant.

Invariants: each tenant that registered has an owner; no secret is stored, only its hash.
Publishes UserRegistered. Consumes nothing.
"""
