"""Ids: `<prefix>_<26 characters>`, ordered by the time they were made."""

import os
import time

# Crockford's base 32: no i, l, o, u; ordered like the numbers it writes.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new(prefix: str) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits.

    Source: the layout of ULID (github.com/ulid/spec), in lower case.
    """
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
    characters = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(characters)}"
