"""Invoices: documents that must be right.

Owns drafts, numbering without gaps, frozen documents, their history and PDF. Owns no price, no
discount rule and no tax rule; those come as results of other services.

Invariants: a total is the sum of its lines; numbers of a series have no gap; one invoice per
subscription and period; a finalized document never changes. Publishes InvoiceCreated,
InvoiceFinalized, InvoicePaid, InvoicePastDue, InvoiceVoided. Consumes its own task RenderInvoice.
"""
