"""Usage columns of numpy integers: many rows whose quantities fit 64 bits.

Importing this module loads numpy; `columns.py` does so when the first large usage arrives.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from billplane.pricing.domain.list_columns import ListColumns
from billplane.pricing.domain.usage import (
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
)
from billplane.pricing.errors import UsageWindowMismatch

Integers = npt.NDArray[np.int64]
Values = tuple[str, ...]

_INT64_MAX = 2**63 - 1
# Sums go into one dense array up to this many cells; beyond, the codes are made dense first.
_DENSE_CELLS = 1 << 20
# A sign, twelve digits, a point and six digits: any such number of millionths fits 64 bits.
_TEXT_WIDTH = 20
_WHOLE_DIGITS = 12
_LOW_BITS = 32


class Dimension:
    """One dimension, its values numbered in order of first appearance.

    Shape: `codes` holds one number per row, an index into `values`.
    """

    def __init__(self, codes: Integers, values: Sequence[str]) -> None:
        self.codes = codes
        self.values = values

    @classmethod
    def of(cls, column: Sequence[str]) -> Self:
        """Give each value of a column its number."""
        numbers = {value: number for number, value in enumerate(dict.fromkeys(column))}
        codes = np.fromiter(map(numbers.__getitem__, column), np.int64, len(column))
        return cls(codes, list(numbers))


class ArrayColumns:
    """Rows kept as parallel arrays, with spans of time numbered as dimension values are.

    Units: quantities in millionths, instants in seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        dimensions: Sequence[Dimension],
        starts_at: Integers,
        seconds: Integers,
        micro: Integers,
        events: Integers,
        properties: Sequence[Sequence[str]] = (),
    ) -> None:
        self._micro = micro
        self._events = events
        self._properties = properties
        self._dimension_count = len(dimensions)
        self._groups, self._values = _number_combinations(dimensions, len(micro))
        self._spans, first_rows = _number_spans(starts_at, seconds)
        self._span_starts = starts_at[first_rows]
        self._span_seconds = seconds[first_rows]

    @classmethod
    def of(cls, lists: UsageLists) -> Self | None:
        """Read the rows, or return None if a quantity is no plain number that fits 64 bits."""
        micro = parse_micro(lists.quantity)
        if micro is None:
            return None
        return cls(
            dimensions=[Dimension.of(column) for column in lists.dimensions],
            starts_at=np.asarray(lists.starts_at, np.int64),
            seconds=np.asarray(lists.seconds, np.int64),
            micro=micro,
            events=np.asarray(lists.event_count, np.int64),
            properties=lists.properties,
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
        micro = _sums(self._micro, self._groups, len(self._values))
        events = _sums(self._events, self._groups, len(self._values))
        return sorted(map(Total, self._values, micro, events))

    def slot_totals(self, slot_of: SlotOfStep) -> list[SlotTotal]:
        """Sum by dimensions and slot; a row must begin and end in the same slot."""
        first, last = (list(map(slot_of, steps.tolist())) for steps in self._span_steps())
        if first != last:
            raise UsageWindowMismatch("a usage row reaches over a change of price")
        slots = np.array(first, np.int64)[self._spans]
        return [SlotTotal(*total) for total in self._totals_by(slots)]

    def step_totals(self) -> list[StepTotal]:
        """Sum by dimensions and the step in which a row begins."""
        steps = self._span_starts // STEP_SECONDS
        low = int(steps.min())
        totals = self._totals_by((steps - low)[self._spans])
        return [StepTotal(values, step + low, micro) for values, step, micro in totals]

    def span_totals(self) -> list[SpanTotal]:
        """Sum by dimensions and the exact span of a row."""
        starts_at, seconds = self._span_starts.tolist(), self._span_seconds.tolist()
        totals: defaultdict[tuple[Values, int, int], int] = defaultdict(int)
        for values, span, micro in self._totals_by(self._spans):
            totals[values, starts_at[span], seconds[span]] += micro
        return [SpanTotal(*key, totals[key]) for key in sorted(totals) if totals[key]]

    def fits_windows(self, window_of: SlotOfStep) -> bool:
        """Tell whether each row begins and ends within one window of steps."""
        spans = zip(*(steps.tolist() for steps in self._span_steps()), strict=True)
        return all(window_of(first) == window_of(last) for first, last in spans)

    def amount_totals(self, index: int) -> list[AmountTotal]:
        """Sum the amounts that the events carry in one property."""
        return self._as_lists().amount_totals(index)

    def event_bands(self, free: int, low: int | None, high: int | None) -> list[Bands]:
        """Set the first `free` events aside, tell the others apart: below low, above high, between.

        Units: `low` and `high` in millionths.
        """
        if not bool(np.all(self._events == 1)):
            raise UsageWindowMismatch("this model prices single events: ask for window EVENT")
        # Bands are numbered between 0, below 1, above 2, free 3.
        band = np.zeros(self.size, np.int64)
        if low is not None:
            band += self._micro < low
        if high is not None:
            band += 2 * (self._micro > high)
        if free:
            band[self._first_events(free)] = 3
        codes = band if len(self._values) == 1 else self._groups * 4 + band
        cells = 4 * len(self._values)
        counts = np.bincount(codes, minlength=cells).tolist()
        sums = _sums(self._micro, codes, cells)
        return sorted(
            Bands(
                values=values,
                events=sum(counts[cell : cell + 4]),
                micro=sum(sums[cell : cell + 4]),
                free=counts[cell + 3],
                below=counts[cell + 1],
                above=counts[cell + 2],
                between=counts[cell],
                between_micro=sums[cell],
            )
            for values, cell in zip(self._values, range(0, cells, 4), strict=True)
        )

    def _first_events(self, free: int) -> Integers:
        """Return the rows of each group's first events; ties in time keep the rows' order."""
        order = np.lexsort((self._span_starts[self._spans], self._groups))
        groups = self._groups[order]
        rank = np.arange(len(order)) - np.searchsorted(groups, groups, side="left")
        return order[rank < free]

    def _span_steps(self) -> tuple[Integers, Integers]:
        """Return the first and the last step of each span."""
        if int(self._span_seconds.max()) > SPAN_SECONDS_MAX:
            raise UsageWindowMismatch("a usage row is wider than an hour")
        last = self._span_starts + (np.maximum(self._span_seconds, 1) - 1)
        return self._span_starts // STEP_SECONDS, last // STEP_SECONDS

    def _totals_by(self, others: Integers) -> list[tuple[Values, int, int]]:
        """Sum by dimensions and a number of each row, leaving out sums of zero."""
        width = int(others.max()) + 1
        codes = others if len(self._values) == 1 else self._groups * width + others
        cells = len(self._values) * width
        present: Sequence[int] = range(cells)
        if cells > _DENSE_CELLS:
            present, codes = _make_dense(codes, cells)
        sums = _sums(self._micro, codes, len(present))
        return sorted(
            (self._values[cell // width], cell % width, micro)
            for cell, micro in zip(present, sums, strict=True)
            if micro
        )

    def _as_lists(self) -> ListColumns:
        return ListColumns(
            values=[self._values[group] for group in self._groups.tolist()],
            starts_at=self._span_starts[self._spans].tolist(),
            seconds=self._span_seconds[self._spans].tolist(),
            micro=self._micro.tolist(),
            events=self._events.tolist(),
            properties=self._properties,
            dimension_count=self._dimension_count,
        )


def parse_micro(texts: Sequence[str]) -> Integers | None:
    """Read decimal strings as millionths, all at once.

    Shape: None if any text is not -?digits[.digits] with at most 12 and 6 digits; whoever asked
        then reads one by one and finds out which.
    """
    try:
        encoded = np.array(texts, "S")
    except UnicodeEncodeError:
        return None
    width = encoded.dtype.itemsize
    if width > _TEXT_WIDTH:
        return None
    # A row per position makes each step below run over adjacent bytes.
    rows = np.ascontiguousarray(encoded.view(np.uint8).reshape(len(texts), width).T)
    negative = rows[0] == ord("-")
    value = np.zeros(len(texts), np.int64)
    whole = np.zeros(len(texts), np.int8)
    fraction = np.zeros(len(texts), np.int8)
    pointed = np.zeros(len(texts), np.bool_)
    ended = np.zeros(len(texts), np.bool_)
    for position in range(width):
        character = rows[position]
        digit = character - np.uint8(ord("0"))
        is_digit = digit <= 9
        is_point = character == ord(".")
        ended |= character == 0
        is_sign = negative if position == 0 else np.False_
        valid = np.where(ended, character == 0, is_digit | (is_point & ~pointed) | is_sign)
        if not bool(np.all(valid)):
            return None
        value = np.where(is_digit, value * 10 + digit, value)
        whole += is_digit & ~pointed
        fraction += is_digit & pointed
        pointed |= is_point
    plain = (whole >= 1) & (whole <= _WHOLE_DIGITS) & (fraction <= 6) & (pointed == (fraction > 0))
    # numpy drops NULs at the end of a text: as many characters must be read as there are.
    read = sum(int(part.sum()) for part in (whole, fraction, pointed, negative))
    if not bool(np.all(plain)) or read != len("".join(texts)):
        return None
    value *= np.array([10**digits for digits in range(6, -1, -1)], np.int64)[fraction]
    return np.where(negative, -value, value)


def _number_combinations(
    dimensions: Sequence[Dimension], size: int
) -> tuple[Integers, list[Values]]:
    """Give each combination of dimension values a number; return the rows' numbers and the list."""
    if not dimensions:
        return np.zeros(size, np.int64), [()]
    codes = dimensions[0].codes
    values: list[Values] = [(value,) for value in dimensions[0].values]
    for dimension in dimensions[1:]:
        width = len(dimension.values)
        combined = codes * width + dimension.codes
        present, codes = _make_dense(combined, len(values) * width)
        values = [
            (*values[number // width], dimension.values[number % width]) for number in present
        ]
    return codes, values


def _make_dense(codes: Integers, cells: int) -> tuple[list[int], Integers]:
    """Return the codes that occur, ascending, and each row's place among them."""
    if cells > _DENSE_CELLS:
        present, places = np.unique(codes, return_inverse=True)
        return present.tolist(), places.astype(np.int64, copy=False)
    seen = np.zeros(cells, np.bool_)
    seen[codes] = True
    return np.flatnonzero(seen).tolist(), (np.cumsum(seen) - 1)[codes]


def _number_spans(starts_at: Integers, seconds: Integers) -> tuple[Integers, Integers]:
    """Number the rows' spans; return the rows' numbers and one row of each span."""
    changes = np.ones(len(starts_at), np.bool_)
    changes[1:] = (np.diff(starts_at) != 0) | (np.diff(seconds) != 0)
    if bool(np.all(starts_at[1:] >= starts_at[:-1])):
        # Rows come by start: spans are numbered as they follow, without a sort. A span that comes
        # back after another length has two numbers then.
        return np.cumsum(changes) - 1, np.flatnonzero(changes)
    pairs = starts_at * (int(seconds.max()) + 1) + seconds
    _, first_rows, numbers = np.unique(pairs, return_index=True, return_inverse=True)
    return numbers, first_rows


def _sums(values: Integers, codes: Integers, count: int) -> list[int]:
    """Sum integers by code, exactly, whatever their size."""
    if not len(values):
        return [0] * count
    largest = max(int(values.max()), -int(values.min()))
    if largest * len(values) <= _INT64_MAX:
        return _int64_sums(values, codes, count)
    # Each half of the bits sums up without overflow, and Python puts the halves together.
    high = _int64_sums(values >> _LOW_BITS, codes, count)
    low = _int64_sums(values & ((1 << _LOW_BITS) - 1), codes, count)
    return [(upper << _LOW_BITS) + lower for upper, lower in zip(high, low, strict=True)]


def _int64_sums(values: Integers, codes: Integers, count: int) -> list[int]:
    if count == 1:
        return [int(values.sum())]
    sums = np.zeros(count, np.int64)
    np.add.at(sums, codes, values)
    return sums.tolist()
