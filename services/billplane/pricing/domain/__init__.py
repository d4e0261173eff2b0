"""The rating core: what usage and fees cost. Pure: no clock, no store, no network.

`rate_period` turns the usage of a period into lines, `columns_from_rows` brings rows into the form
in which many of them are summed quickly. Which usage a plan is rated from is told by
`billplane.resources.usage_queries`.
"""

from billplane.pricing.domain.columns import columns_from_lists, columns_from_rows
from billplane.pricing.domain.lines import LineKind, RatedLine
from billplane.pricing.domain.periods import Period, calendar_period, share_of
from billplane.pricing.domain.rating import rate_period
from billplane.pricing.domain.usage import UsageColumns, UsageLists, UsageRow

__all__ = [
    "LineKind",
    "Period",
    "RatedLine",
    "UsageColumns",
    "UsageLists",
    "UsageRow",
    "calendar_period",
    "columns_from_lists",
    "columns_from_rows",
    "rate_period",
    "share_of",
]
