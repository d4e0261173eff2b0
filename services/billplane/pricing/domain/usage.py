"""Usage of one charge as rating reads it: rows, columns, and the sums that models ask for.

A quantity has at most six fractional digits, so it is kept as a whole number of millionths and
every sum over it is an exact integer. `columns.py` chooses between two lanes with the same
answers: `list_columns.py` and `array_columns.py`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

from billplane.pricing.errors import UsageQuantityInvalid

MICRO: Final = 1_000_000
# The grain in which time is told apart: since 1972 every zone's offset is a multiple of it.
STEP_SECONDS: Final = 900
# Hourly rows are the widest that a schedule of hours can price.
SPAN_SECONDS_MAX: Final = 3_600

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
# What metering takes in has 12 integer digits; sums of it stay well within 30.
_DECIMAL: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,18})?", re.ASCII)
_AMOUNT_DIGITS: Final = 18
AMOUNT_UNIT: Final = Fraction(1, 10**_AMOUNT_DIGITS)

# Tells what slot a step of time belongs to; steps count STEP_SECONDS since 1970 UTC.
SlotOfStep = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One quantity, as metering returned it.

    Shape: `dimensions` holds values in the order of the charge's group-by, `properties` in the
        order of its event properties.
    """

    dimensions: tuple[str, ...]
    starts_at: datetime
    seconds: int
    quantity: Decimal
    event_count: int
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageLists:
    """The rows of one charge, column by column, as text and integers.

    Units: `starts_at` in seconds since 1970 UTC; quantities are decimal strings.
    Shape: all of one length, in the rows' order; one list per dimension and per property.
    """

    starts_at: Sequence[int]
    seconds: Sequence[int]
    quantity: Sequence[str]
    event_count: Sequence[int]
    dimensions: Sequence[Sequence[str]]
    properties: Sequence[Sequence[str]]


class Total(NamedTuple):
    """What one combination of dimension values adds up to.

    Units: `micro` in millionths.
    """

    values: tuple[str, ...]
    micro: int
    events: int


class SlotTotal(NamedTuple):
    """What one combination of dimension values adds up to in one slot.

    Units: `micro` in millionths.
    """

    values: tuple[str, ...]
    slot: int
    micro: int


class StepTotal(NamedTuple):
    """What one combination of dimension values adds up to in one step of time.

    Units: `step` counts STEP_SECONDS since 1970 UTC, `micro` in millionths.
    """

    values: tuple[str, ...]
    step: int
    micro: int


class SpanTotal(NamedTuple):
    """What one combination of dimension values adds up to over one and the same span.

    Units: `starts_at` in seconds since 1970 UTC, `micro` in millionths.
    """

    values: tuple[str, ...]
    starts_at: int
    seconds: int
    micro: int


class AmountTotal(NamedTuple):
    """What the amounts that events carry add up to for one combination of dimension values.

    Units: `micro` in millionths, `amount` as the events state it.
    """

    values: tuple[str, ...]
    micro: int
    events: int
    amount: Fraction


class Bands(NamedTuple):
    """The single events of one combination of dimension values, by how their price is bounded.

    Units: `micro` and `between_micro` in millionths.
    """

    values: tuple[str, ...]
    events: int
    micro: int
    free: int
    below: int
    above: int
    between: int
    between_micro: int


class UsageColumns(Protocol):
    """Exact sums over the rows of one charge.

    Shape: each list is sorted by dimension values, then by slot, step or span; slots, steps and
        spans that add up to nothing are left out.
    Raises: UsageWindowMismatch where rows are cut wider than the question allows.
    """

    @property
    def size(self) -> int:
        """How many rows there are."""

    @property
    def dimension_count(self) -> int:
        """How many dimensions each row has."""

    @property
    def property_count(self) -> int:
        """How many properties each row has."""

    def totals(self) -> list[Total]:
        """Sum by dimensions."""

    def slot_totals(self, slot_of: SlotOfStep) -> list[SlotTotal]:
        """Sum by dimensions and slot; a row must begin and end in the same slot."""

    def step_totals(self) -> list[StepTotal]:
        """Sum by dimensions and the step in which a row begins."""

    def span_totals(self) -> list[SpanTotal]:
        """Sum by dimensions and the exact span of a row."""

    def fits_windows(self, window_of: SlotOfStep) -> bool:
        """Tell whether each row begins and ends within one window of steps."""

    def amount_totals(self, index: int) -> list[AmountTotal]:
        """Sum the amounts that the events carry in one property."""

    def event_bands(self, free: int, low: int | None, high: int | None) -> list[Bands]:
        """Set the first `free` events aside, tell the others apart: below low, above high, between.

        Units: `low` and `high` in millionths.
        """


def seconds_since_epoch(instant: datetime) -> int:
    """Return an aware instant in whole seconds since 1970 UTC."""
    return (instant - _EPOCH) // _SECOND


def instant_of(seconds: int) -> datetime:
    """Return the instant so many seconds after the beginning of 1970 UTC."""
    return _EPOCH + seconds * _SECOND


def to_micro(quantity: str) -> int:
    """Return a decimal string in millionths.

    Raises: UsageQuantityInvalid for text that is no plain decimal of six fractional digits.
    """
    return _scaled(quantity, 6, "a quantity")


def to_amount_units(text: str) -> int:
    """Return the amount that an event carries, counted in AMOUNT_UNIT.

    Raises: UsageQuantityInvalid for text that is no plain decimal of 18 fractional digits.
    """
    return _scaled(text, _AMOUNT_DIGITS, "an amount")


def _scaled(text: str, digits: int, what: str) -> int:
    whole, _, fraction = text.partition(".")
    if len(fraction) > digits or not _DECIMAL.fullmatch(text):
        raise UsageQuantityInvalid(
            f"{text[:40]!r} is not {what}: a decimal of at most {digits} fractional digits"
        )
    return int(whole + fraction.ljust(digits, "0"))
