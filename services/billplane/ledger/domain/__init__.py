"""The rules of the books. Pure: no clock, no store, no network.

`transactions` says what a transaction must be and what a balance means, `chart` which accounts a
billing business keeps, `facts` how what happened elsewhere is posted to them.
"""

from billplane.ledger.domain.chart import (
    CHART,
    ChartAccount,
    Entry,
    chart_account,
    check_chart,
)
from billplane.ledger.domain.facts import Fact, fact_postings
from billplane.ledger.domain.transactions import (
    GROW_BY_DEBIT,
    POSTINGS_MAX,
    Account,
    Balance,
    Direction,
    Kind,
    NewTransaction,
    Posting,
    TrialLine,
    check_currencies,
    check_shape,
    fingerprint,
    is_divisible,
    mirrored,
    read_currency,
    total_of,
)

__all__ = [
    "CHART",
    "GROW_BY_DEBIT",
    "POSTINGS_MAX",
    "Account",
    "Balance",
    "ChartAccount",
    "Direction",
    "Entry",
    "Fact",
    "Kind",
    "NewTransaction",
    "Posting",
    "TrialLine",
    "chart_account",
    "check_chart",
    "check_currencies",
    "check_shape",
    "fact_postings",
    "fingerprint",
    "is_divisible",
    "mirrored",
    "read_currency",
    "total_of",
]
