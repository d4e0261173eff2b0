"""Use cases of identity: people and their sessions, API keys, tenants."""
