"""Ids: `<prefix>_<26 characters>`, ordered by the time they were made."""

import os
import time

# Crockford's base 32: no i, l, o, u; ordered like the numbers it writes. Two characters at once.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LOW = (1 << 70) - 1


def new(prefix: str) -> str:
    """Make an id: 48 bits of milliseconds, then 80 random bits.

    Source: the layout of ULID (github.com/ulid/spec), in lower case.
    """
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
    high, low, pairs = number >> 70, number & _LOW, _PAIRS
    return (
        f"{prefix}_{pairs[high >> 50]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}"
        f"{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 60]}{pairs[low >> 50 & 1023]}{pairs[low >> 40 & 1023]}"
        f"{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )
