"""What is owed to whom.

Owns the rules of a tenant beside the shipped EU VAT table, the seller's own settings and every
calculation that was recorded. Owns neither customers nor documents: callers say who buys what.

Invariants: a calculation's total is net plus tax, its lines and its groups sum to the same.
Publishes TaxCalculated. Consumes nothing.
"""
