"""REST of invoice: documents, credit notes, what is owed, and how documents look."""

from fastapi import APIRouter

from billplane.invoice.rest import credit_notes, invoices, receivables, settings

rest = APIRouter()
rest.include_router(receivables.rest)
rest.include_router(invoices.rest)
rest.include_router(credit_notes.rest)
rest.include_router(settings.rest)

__all__ = ["rest"]
