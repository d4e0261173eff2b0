"""Whether an object is what a manifest asks for, whatever others and defaults have added."""

from typing import Any


def matches(wanted: Any, found: Any) -> bool:
    """Tell whether every field of a manifest is found as it was written.

    A list is compared whole, so that an added rule, port or container is a difference; a field
    that nobody asked for is none, and an empty list asked for may be left out.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return False
        return all(
            matches(value, found[name]) if name in found else value == []
            for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(wanted) != len(found):
            return False
        return all(matches(one, other) for one, other in zip(wanted, found, strict=True))
    return bool(wanted == found)
