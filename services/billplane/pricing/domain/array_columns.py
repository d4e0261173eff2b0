"""Usage columns of numpy integers: many rows whose quantities fit 64 bits.

Importing this module loads numpy; `columns.py` does so when the first large usage arrives.
"""

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
    """Rows kept as parallel arrays.

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
        self._starts_at = starts_at
        self._seconds = seconds
        self._micro = micro
        self._events = events
        self._properties = properties
        self._dimension_count = len(dimensions)
        self._groups, self._values = _number_combinations(dimensions, len(micro))

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
        first, last = self._spans()
        low = int(first.min())
        seen = np.zeros(int(last.max()) - low + 1, np.bool_)
        seen[first - low] = True
        seen[last - low] = True
        slots = np.zeros(len(seen), np.int64)
        for index in np.flatnonzero(seen).tolist():
            slots[index] = slot_of(index + low)
        row_slots = slots[first - low]
        if not np.array_equal(row_slots, slots[last - low]):
            raise UsageWindowMismatch("a usage row reaches over a change of price")
        keys, sums = _sums_by_pair(self._micro, self._groups, row_slots)
        return sorted(
            SlotTotal(self._values[group], slot, micro)
            for (group, slot), micro in zip(keys, sums, strict=True)
        )

    def step_totals(self) -> list[StepTotal]:
        """Sum by dimensions and the step in which a row begins."""
        steps = self._starts_at // STEP_SECONDS
        low = int(steps.min())
        keys, sums = _sums_by_pair(self._micro, self._groups, steps - low)
        return sorted(
            StepTotal(self._values[group], step + low, micro)
            for (group, step), micro in zip(keys, sums, strict=True)
        )

    def span_totals(self) -> list[SpanTotal]:
        """Sum by dimensions and the exact span of a row."""
        return self._as_lists().span_totals()

    def fits_steps(self) -> bool:
        """Tell whether each row begins and ends within one step."""
        return np.array_equal(*self._spans())

    def amount_totals(self, index: int) -> list[AmountTotal]:
        """Sum the amounts that the events carry in one property."""
        return self._as_lists().amount_totals(index)

    def event_bands(self, free: int, low: int | None, high: int | None) -> list[Bands]:
        """Set the first `free` events aside, tell the others apart: below low, above high, between.

        Units: `low` and `high` in millionths.
        """
        if not bool(np.all(self._events == 1)):
            raise UsageWindowMismatch("this model prices single events: ask for window EVENT")
        priced = np.ones(self.size, np.bool_)
        if free:
            priced[self._first_events(free)] = False
        below = np.zeros(self.size, np.bool_) if low is None else self._micro < _bounded(low)
        above = np.zeros(self.size, np.bool_) if high is None else self._micro > _bounded(high)
        between = priced & ~below & ~above
        count = len(self._values)
        groups = self._groups
        columns = (
            np.bincount(groups, minlength=count).tolist(),
            _sums(self._micro, groups, count),
            np.bincount(groups[~priced], minlength=count).tolist(),
            np.bincount(groups[priced & below], minlength=count).tolist(),
            np.bincount(groups[priced & above], minlength=count).tolist(),
            np.bincount(groups[between], minlength=count).tolist(),
            _sums(self._micro[between], groups[between], count),
        )
        return sorted(map(Bands, self._values, *columns))

    def _first_events(self, free: int) -> Integers:
        """Return the rows of each group's first events; ties in time keep the rows' order."""
        order = np.lexsort((self._starts_at, self._groups))
        groups = self._groups[order]
        rank = np.arange(len(order)) - np.searchsorted(groups, groups, side="left")
        return order[rank < free]

    def _spans(self) -> tuple[Integers, Integers]:
        if int(self._seconds.max()) > SPAN_SECONDS_MAX:
            raise UsageWindowMismatch("a usage row is wider than an hour")
        last = self._starts_at + (np.maximum(self._seconds, 1) - 1)
        return self._starts_at // STEP_SECONDS, last // STEP_SECONDS

    def _as_lists(self) -> ListColumns:
        return ListColumns(
            values=[self._values[group] for group in self._groups.tolist()],
            starts_at=self._starts_at.tolist(),
            seconds=self._seconds.tolist(),
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


def _bounded(limit: int) -> int:
    return max(-_INT64_MAX, min(limit, _INT64_MAX))


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


def _sums_by_pair(
    values: Integers, groups: Integers, others: Integers
) -> tuple[list[tuple[int, int]], list[int]]:
    """Sum values by (group, other); return the pairs that occur and their sums."""
    width = int(others.max()) + 1
    present, places = _make_dense(groups * width + others, (int(groups.max()) + 1) * width)
    return [divmod(number, width) for number in present], _sums(values, places, len(present))


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
