"""Use cases of the listener."""
