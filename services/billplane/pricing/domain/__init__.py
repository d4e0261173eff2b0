"""The rating core: what usage and fees cost. Pure: no clock, no store, no network.

`rate_period` turns the usage of a period into lines, `columns_from_rows` brings rows into the form
in which many of them are summed quickly. Which usage a plan is rated from is told by
`billplane.resources.usage_queries`.
"""

from billplane.pricing.domain.columns import columns_from_lists, columns_from_rows
from billplane.pricing.domain.lines import LineKind, RatedLine, shown
from billplane.pricing.domain.periods import (
    Period,
    calendar_period,
    period_at,
    require_usual,
    share_of,
)
from billplane.pricing.domain.quotes import Item, quoted_usage
from billplane.pricing.domain.rating import rate_period
from billplane.pricing.domain.usage import UsageColumns, UsageLists, UsageRow

__all__ = [
    "Item",
    "LineKind",
    "Period",
    "RatedLine",
    "UsageColumns",
    "UsageLists",
    "UsageRow",
    "calendar_period",
    "columns_from_lists",
    "columns_from_rows",
    "period_at",
    "quoted_usage",
    "rate_period",
    "require_usual",
    "share_of",
    "shown",
]
