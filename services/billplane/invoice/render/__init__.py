"""The printed invoice: an InvoiceDocument in, a PDF out.

Owns layout, wording and locale formatting. Owns no rule about money: every amount comes in final.
"""

from billplane.invoice.render.document import (
    Discount,
    DocumentKind,
    DocumentState,
    ExchangeNote,
    InvoiceDocument,
    Line,
    Locale,
    Look,
    Party,
    Period,
    Tax,
    UsageChart,
    UsagePoint,
)
from billplane.invoice.render.logo import LogoInvalid, read_logo
from billplane.invoice.render.page import render_invoice
from billplane.invoice.render.wording import (
    country_name,
    day,
    locale_named,
    money,
    overridable,
    term,
)

__all__ = [
    "Discount",
    "DocumentKind",
    "DocumentState",
    "ExchangeNote",
    "InvoiceDocument",
    "Line",
    "Locale",
    "LogoInvalid",
    "Look",
    "Party",
    "Period",
    "Tax",
    "UsageChart",
    "UsagePoint",
    "country_name",
    "day",
    "locale_named",
    "money",
    "overridable",
    "read_logo",
    "render_invoice",
    "term",
]
