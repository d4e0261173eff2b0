"""Invoices and credit notes: documents that must be right.

Owns drafts, numbering without gaps, frozen documents, their history, PDF and e-invoice. Owns no
price, no discount rule and no tax rule; those come as results of other services.
"""
