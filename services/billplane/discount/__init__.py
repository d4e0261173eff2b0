"""Coupons and conditions.

Owns coupons, who redeemed them and every application of one to a document. Owns neither prices
nor documents: callers bring the lines.

A redemption is one customer, or one subscription of a customer, taking up a coupon; a repeating
coupon then lowers several documents under the same redemption. Limits count redemptions, and a
redemption counts while at least one document has it.

Invariants: a coupon's counter equals its live redemptions and never exceeds its maximum; a
redemption's counter equals its live applications; shares sum to their application.
Publishes DiscountApplied, DiscountReversed. Consumes nothing.
"""
