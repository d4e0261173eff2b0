"""The invoice as data: what EN 16931 knows of a document, its rules, and its two syntaxes.

Owns the semantic model (BT and BG numbers), the business rules that can fail here, CII and UBL,
and what makes a PDF a Factur-X. Owns no amount: every one comes in final.
"""

from billplane.invoice.einvoice.cii import to_cii
from billplane.invoice.einvoice.facturx import ATTACHMENT, mark_facturx
from billplane.invoice.einvoice.model import (
    Allowance,
    Document,
    Kind,
    Line,
    Party,
    Payment,
    Preceding,
    TaxGroup,
)
from billplane.invoice.einvoice.rules import Fault, faults
from billplane.invoice.einvoice.ubl import to_ubl

__all__ = [
    "ATTACHMENT",
    "Allowance",
    "Document",
    "Fault",
    "Kind",
    "Line",
    "Party",
    "Payment",
    "Preceding",
    "TaxGroup",
    "faults",
    "mark_facturx",
    "to_cii",
    "to_ubl",
]
