"""Which messages of which partitions are unfinished, and which of them are due again."""

import heapq
import itertools
import time
from dataclasses import dataclass, field, replace

from billplane.chassis.events.transport import Delivery

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands; `claim` tells this assignment of the partition from earlier ones."""

    partition: Partition
    offset: int
    claim: int


@dataclass(slots=True)
class _Lane:
    claim: int
    unfinished: set[int] = field(default_factory=set)
    last: int = -1
    stored: int = -1

    def position(self) -> int:
        return min(self.unfinished) if self.unfinished else self.last + 1


class Progress:
    """Per partition, the offsets begun and not finished; the position is below the oldest."""

    def __init__(self) -> None:
        self._lanes: dict[Partition, _Lane] = {}
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count(1)

    @property
    def unfinished(self) -> int:
        """How many messages wait to be finished."""
        return sum(len(lane.unfinished) for lane in self._lanes.values())

    def begin(self, partition: Partition, offset: int) -> Place:
        """Note a message that was handed out for the first time."""
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane(next(self._numbers))
        lane.unfinished.add(offset)
        lane.last = max(lane.last, offset)
        return Place(partition, offset, lane.claim)

    def finish(self, place: Place) -> None:
        """Note that a message is done with; one of a partition given away is not ours to note."""
        lane = self._lane(place)
        if lane is not None:
            lane.unfinished.discard(place.offset)

    def put_off(self, delivery: Delivery, seconds: float) -> None:
        """Have a message due again after a while, as its next attempt."""
        due = time.monotonic() + seconds
        again = replace(delivery, attempt=delivery.attempt + 1)
        heapq.heappush(self._waiting, (due, next(self._numbers), again))

    def due(self) -> Delivery | None:
        """Take a message whose time has come."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            delivery = heapq.heappop(self._waiting)[2]
            if self._lane(delivery.token) is not None:
                return delivery
        return None

    def until_due(self, most: float) -> float:
        """Return how long until a message is due, and no more than `most` seconds."""
        if not self._waiting:
            return most
        return max(0.0, min(most, self._waiting[0][0] - time.monotonic()))

    def advanced(self) -> dict[Partition, int]:
        """Return the positions that are further than when they were last asked for."""
        found: dict[Partition, int] = {}
        for partition, lane in self._lanes.items():
            if lane.position() > lane.stored:
                found[partition] = lane.stored = lane.position()
        return found

    def forget(self, partition: Partition) -> None:
        """Drop a partition that another process has now."""
        self._lanes.pop(partition, None)

    def _lane(self, place: Place) -> _Lane | None:
        lane = self._lanes.get(place.partition)
        return lane if lane is not None and lane.claim == place.claim else None
