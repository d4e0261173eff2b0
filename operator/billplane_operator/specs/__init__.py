"""Manifests of the objects that belong to a resource: pure functions."""
