"""Invoices: documents that must be right.

Owns drafts, numbering without gaps, frozen documents, credit notes, their history, PDF and
e-invoice, and what is owed. Owns no price, no discount rule and no tax rule; those come as results
of other services.

Invariants: a total is the sum of its lines; numbers of a series have no gap; one invoice per
subscription and period; a finalized document never changes; credit notes give back no more than
was asked for. Publishes InvoiceCreated, InvoiceFinalized, InvoicePaid, InvoicePastDue,
InvoiceVoided, InvoiceUncollectible, CreditNoteIssued, and asks for NotifyTask. Consumes the facts
of payment, TestClockAdvanced, and its own tasks RenderInvoice, PrintCreditNote, RefundCreditNote.
"""
