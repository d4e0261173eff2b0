"""Use cases of subscription: customers, subscriptions, billing, runs, test clocks."""
