"""The data of the examples."""

from tests.fixtures.airport import airport_source

__all__ = ["airport_source"]
