"""The registry of utilities.

Owns providers, from resources and from the API: what a utility supplies and where, how it is
reached, and what the last probe of it found. Owns no account, no bill and no credential: what is
stored of a credential is the name of the Secret that holds it.

Invariants: a provider that counts as reachable has answered; names are unique within a tenant.
Publishes nothing. Consumes nothing.
"""
