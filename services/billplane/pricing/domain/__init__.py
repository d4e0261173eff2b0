"""The rating core: what usage and fees cost. Pure: no clock, no store, no network.

`rate_period` turns the usage of a period into lines, `columns_from_rows` brings rows into the form
in which many of them are summed quickly. Which usage a plan is rated from is told by
`billplane.resources.usage_queries`.
"""

from billplane.pricing.domain.columns import columns_from_lists, columns_from_rows
from billplane.pricing.domain.external import Answer, Question, questions, read_answer
from billplane.pricing.domain.lines import LineKind, RatedLine, shown
from billplane.pricing.domain.periods import (
    Period,
    calendar_period,
    period_at,
    require_usual,
    share_of,
)
from billplane.pricing.domain.priced import FetchedPrice
from billplane.pricing.domain.quotes import Item, quoted_usage
from billplane.pricing.domain.rating import Prices, rate_period
from billplane.pricing.domain.usage import UsageColumns, UsageLists, UsageRow

__all__ = [
    "Answer",
    "FetchedPrice",
    "Item",
    "LineKind",
    "Period",
    "Prices",
    "Question",
    "RatedLine",
    "UsageColumns",
    "UsageLists",
    "UsageRow",
    "calendar_period",
    "columns_from_lists",
    "columns_from_rows",
    "period_at",
    "questions",
    "quoted_usage",
    "rate_period",
    "read_answer",
    "require_usual",
    "share_of",
    "shown",
]
