"""Hours of the week by month, in local time: which period of a tariff an instant belongs to."""

from collections.abc import Iterable, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from billplane.pricing.domain.usage import STEP_SECONDS, instant_of

_SATURDAY = 5

Grid = Sequence[Sequence[int]]


class Schedule:
    """Two grids, 12 months of 24 local hours, that hold indexes of periods.

    Saturdays, Sundays and holidays follow the weekend's grid. The hour that a change to winter
    time repeats is looked up twice and the one that a change to summer time skips never: each
    instant has one local hour.
    """

    def __init__(
        self, time_zone: str, *, weekday: Grid, weekend: Grid, holidays: Iterable[date] = ()
    ) -> None:
        self._zone = ZoneInfo(time_zone)
        self._weekday = weekday
        self._weekend = weekend
        self._holidays = frozenset(holidays)
        self._known: dict[int, int] = {}

    def slot_of(self, step: int) -> int:
        """Return the index of the period that a step of time belongs to.

        Units: steps of STEP_SECONDS since 1970 UTC.
        """
        slot = self._known.get(step)
        if slot is None:
            slot = self._known[step] = self._look_up(step)
        return slot

    def window_of(self, step: int, *, width: int) -> int:
        """Return the step that begins the window of the wall clock which a step belongs to.

        Units: `width` in steps, a divisor of an hour.
        """
        if width == 1:
            return step
        local = instant_of(step * STEP_SECONDS).astimezone(self._zone)
        return step - local.minute * 60 // STEP_SECONDS % width

    def _look_up(self, step: int) -> int:
        local = instant_of(step * STEP_SECONDS).astimezone(self._zone)
        off = local.weekday() >= _SATURDAY or local.date() in self._holidays
        grid = self._weekend if off else self._weekday
        return grid[local.month - 1][local.hour]
