"""Rate limits: how many calls are left, as a pure rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls a period, of which `burst` may come at once."""

    name: str
    rate: int
    burst: int
    period_seconds: int = 1

    @property
    def chunk(self) -> int:
        """How many calls one lease covers: a tenth of a second's worth, at least one."""
        return max(1, self.rate // 10)


@dataclass(slots=True)
class Lease:
    """Calls that this process may let through without asking again."""

    left: int
    until: float
    remaining: int
    reset_seconds: float

    def take(self, count: int, now: float) -> bool:
        """Use `count` calls if the lease holds them and has not run out."""
        if now >= self.until or self.left < count:
            return False
        self.left -= count
        return True
