"""The choice between the two lanes of usage columns."""

from collections.abc import Sequence
from typing import Final

from billplane.pricing.domain.list_columns import ListColumns
from billplane.pricing.domain.usage import (
    UsageColumns,
    UsageLists,
    UsageRow,
    seconds_since_epoch,
)
from billplane.pricing.errors import UsageShapeMismatch

# From here on arrays are worth their overhead, and the memory of numpy.
ARRAY_ROWS_MIN: Final = 2_000


def columns_from_lists(lists: UsageLists) -> UsageColumns:
    """Turn the rows of one charge into columns.

    Raises: UsageQuantityInvalid.
    """
    if len(lists.quantity) >= ARRAY_ROWS_MIN:
        from billplane.pricing.domain.array_columns import (  # noqa: PLC0415 - loads numpy
            ArrayColumns,
        )

        arrays = ArrayColumns.of(lists)
        if arrays is not None:
            return arrays
    return ListColumns.of(lists)


def columns_from_rows(rows: Sequence[UsageRow]) -> UsageColumns:
    """Turn the rows of one charge into columns.

    Raises: UsageQuantityInvalid; UsageShapeMismatch for rows of different shapes.
    """
    dimensions = {len(row.dimensions) for row in rows}
    properties = {len(row.properties) for row in rows}
    if len(dimensions) > 1 or len(properties) > 1:
        raise UsageShapeMismatch("the rows of a charge must all have the same dimensions")
    return columns_from_lists(
        UsageLists(
            starts_at=[seconds_since_epoch(row.starts_at) for row in rows],
            seconds=[row.seconds for row in rows],
            quantity=[format(row.quantity, "f") for row in rows],
            event_count=[row.event_count for row in rows],
            dimensions=list(zip(*(row.dimensions for row in rows), strict=True)),
            properties=list(zip(*(row.properties for row in rows), strict=True)),
        )
    )
