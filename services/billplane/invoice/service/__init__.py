"""Use cases of invoice."""
