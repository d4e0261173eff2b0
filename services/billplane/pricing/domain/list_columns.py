"""Usage columns of plain Python integers: few rows, or quantities of any size."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Self

from billplane.pricing.domain.usage import (
    AMOUNT_UNIT,
    SPAN_SECONDS_MAX,
    STEP_SECONDS,
    AmountTotal,
    Bands,
    SlotOfStep,
    SlotTotal,
    SpanTotal,
    StepTotal,
    Total,
    UsageLists,
    to_amount_units,
    to_micro,
)
from billplane.pricing.errors import UsageWindowMismatch

Values = tuple[str, ...]


class ListColumns:
    """Rows kept as parallel lists.

    Units: quantities in millionths, instants in seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        values: Sequence[Values],
        starts_at: Sequence[int],
        seconds: Sequence[int],
        micro: Sequence[int],
        events: Sequence[int],
        properties: Sequence[Sequence[str]],
        dimension_count: int,
    ) -> None:
        self._values = values
        self._starts_at = starts_at
        self._seconds = seconds
        self._micro = micro
        self._events = events
        self._properties = properties
        self._dimension_count = dimension_count

    @classmethod
    def of(cls, lists: UsageLists) -> Self:
        """Read the rows.

        Raises: UsageQuantityInvalid.
        """
        size = len(lists.quantity)
        values: list[Values] = list(zip(*lists.dimensions, strict=True)) or [()] * size
        return cls(
            values=values,
            starts_at=lists.starts_at,
            seconds=lists.seconds,
            micro=[to_micro(quantity) for quantity in lists.quantity],
            events=lists.event_count,
            properties=lists.properties,
            dimension_count=len(lists.dimensions),
        )

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self._micro)

    @property
    def dimension_count(self) -> int:
        """How many dimensions each row has."""
        return self._dimension_count

    @property
    def property_count(self) -> int:
        """How many properties each row has."""
        return len(self._properties)

    def totals(self) -> list[Total]:
        """Sum by dimensions."""
        micro: defaultdict[Values, int] = defaultdict(int)
        events: defaultdict[Values, int] = defaultdict(int)
        for values, quantity, count in zip(self._values, self._micro, self._events, strict=True):
            micro[values] += quantity
            events[values] += count
        return [Total(values, micro[values], events[values]) for values in sorted(micro)]

    def slot_totals(self, slot_of: SlotOfStep) -> list[SlotTotal]:
        """Sum by dimensions and slot; a row must begin and end in the same slot."""
        known: dict[int, int] = {}
        totals: defaultdict[tuple[Values, int], int] = defaultdict(int)
        for values, (first, last), micro in zip(
            self._values, self._spans(), self._micro, strict=True
        ):
            for step in (first, last):
                if step not in known:
                    known[step] = slot_of(step)
            if known[first] != known[last]:
                raise UsageWindowMismatch("a usage row reaches over a change of price")
            totals[values, known[first]] += micro
        return [SlotTotal(*key, totals[key]) for key in sorted(totals) if totals[key]]

    def step_totals(self) -> list[StepTotal]:
        """Sum by dimensions and the step in which a row begins."""
        totals: defaultdict[tuple[Values, int], int] = defaultdict(int)
        for values, start, micro in zip(self._values, self._starts_at, self._micro, strict=True):
            totals[values, start // STEP_SECONDS] += micro
        return [StepTotal(*key, totals[key]) for key in sorted(totals) if totals[key]]

    def span_totals(self) -> list[SpanTotal]:
        """Sum by dimensions and the exact span of a row."""
        totals: defaultdict[tuple[Values, int, int], int] = defaultdict(int)
        spans = zip(self._values, self._starts_at, self._seconds, strict=True)
        for span, micro in zip(spans, self._micro, strict=True):
            totals[span] += micro
        return [SpanTotal(*key, totals[key]) for key in sorted(totals) if totals[key]]

    def fits_windows(self, window_of: SlotOfStep) -> bool:
        """Tell whether each row begins and ends within one window of steps."""
        return all(window_of(first) == window_of(last) for first, last in set(self._spans()))

    def amount_totals(self, index: int) -> list[AmountTotal]:
        """Sum the amounts that the events carry in one property."""
        if not self.size:
            return []
        units: defaultdict[Values, int] = defaultdict(int)
        for values, text in zip(self._values, self._properties[index], strict=True):
            units[values] += to_amount_units(text)
        return [AmountTotal(*total, units[total.values] * AMOUNT_UNIT) for total in self.totals()]

    def event_bands(self, free: int, low: int | None, high: int | None) -> list[Bands]:
        """Set the first `free` events aside, tell the others apart: below low, above high, between.

        Units: `low` and `high` in millionths.
        """
        if any(count != 1 for count in self._events):
            raise UsageWindowMismatch("this model prices single events: ask for window EVENT")
        by_values: defaultdict[Values, list[int]] = defaultdict(list)
        # sorted() is stable: events of one instant keep the order in which they were given.
        for index in sorted(range(self.size), key=self._starts_at.__getitem__):
            by_values[self._values[index]].append(self._micro[index])
        return [_bands(values, by_values[values], free, low, high) for values in sorted(by_values)]

    def _spans(self) -> Iterable[tuple[int, int]]:
        for start, seconds in zip(self._starts_at, self._seconds, strict=True):
            if seconds > SPAN_SECONDS_MAX:
                raise UsageWindowMismatch("a usage row is wider than an hour")
            yield start // STEP_SECONDS, (start + max(seconds, 1) - 1) // STEP_SECONDS


def _bands(
    values: Values, quantities: Sequence[int], free: int, low: int | None, high: int | None
) -> Bands:
    priced = quantities[free:]
    between = [
        micro
        for micro in priced
        if (low is None or micro >= low) and (high is None or micro <= high)
    ]
    below = sum(low is not None and micro < low for micro in priced)
    return Bands(
        values=values,
        events=len(quantities),
        micro=sum(quantities),
        free=len(quantities) - len(priced),
        below=below,
        above=len(priced) - below - len(between),
        between=len(between),
        between_micro=sum(between),
    )
