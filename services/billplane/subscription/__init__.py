"""Customers, subscriptions, billing runs.

Owns customers, who is on which plan, what period each subscription is in, changes of plan, pauses,
the items that wait for an invoice, the runs that bill ended periods, and test clocks. Owns no
price, no usage and no document: a run asks metering for usage, pricing for lines and invoice for
the document.

Invariants: one billed period per subscription and start; periods of a subscription follow each
other without overlap, and without any gap but a pause. Publishes SubscriptionCreated,
SubscriptionChanged, SubscriptionTrialWillEnd, SubscriptionEnded. Consumes PlanPublished.
"""
