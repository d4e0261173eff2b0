"""Ids: `<prefix>_<26 characters>`, ordered by the time they were made."""

import os
import time

# Crockford's base 32: no i, l, o, u; ordered like the numbers it writes. Two characters at once.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def new(prefix: str) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits.

    Source: the layout of ULID (github.com/ulid/spec), in lower case.
    """
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
    high, low = number >> 70, number & ((1 << 70) - 1)
    characters = [_PAIRS[high >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)]
    characters += [_PAIRS[low >> shift & 1023] for shift in (60, 50, 40, 30, 20, 10, 0)]
    return f"{prefix}_{''.join(characters)}"
