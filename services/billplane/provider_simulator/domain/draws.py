"""Numbers that follow from a seed and a name, alike on every machine and in every version."""

from hashlib import blake2b


def draw(seed: int, *name: object) -> int:
    """Return a number of 64 bits that belongs to a name."""
    text = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def between(low: int, high: int, seed: int, *name: object) -> int:
    """Return a number from low to high, both included."""
    return low + draw(seed, *name) % (high - low + 1)


def one_in(count: int, seed: int, *name: object) -> bool:
    """Tell whether a name is the one in so many."""
    return draw(seed, *name) % count == 0
