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
    Party,
    Period,
    Tax,
    UsageChart,
    UsagePoint,
)
from billplane.invoice.render.page import render_invoice
from billplane.invoice.render.wording import country_name, term

__all__ = [
    "Discount",
    "DocumentKind",
    "DocumentState",
    "ExchangeNote",
    "InvoiceDocument",
    "Line",
    "Locale",
    "Party",
    "Period",
    "Tax",
    "UsageChart",
    "UsagePoint",
    "country_name",
    "render_invoice",
    "term",
]
