"""The dialect that Stripe's official SDKs speak: forms or JSON in, Stripe's shapes out.

A service that speaks it makes its router by `stripe_router`, its bodies from `StripeBody`, and
declares its prefixes by `Route(…, dialect="stripe")`, so that whatever fails before a route is
found is told in the dialect as well. Transactions, keys and credentials are those of every route.
"""

from billplane.chassis.stripe_dialect.answers import error_object, refusal, send_refusal
from billplane.chassis.stripe_dialect.bodies import (
    Flag,
    Metadata,
    StripeBody,
    Text,
    WholeNumber,
)
from billplane.chassis.stripe_dialect.expansion import Expand, expanded
from billplane.chassis.stripe_dialect.lists import StripePage, StripePageQuery, fetch_list, listed
from billplane.chassis.stripe_dialect.routes import StripeRoute, stripe_router

__all__ = [
    "Expand",
    "Flag",
    "Metadata",
    "StripeBody",
    "StripePage",
    "StripePageQuery",
    "StripeRoute",
    "Text",
    "WholeNumber",
    "error_object",
    "expanded",
    "fetch_list",
    "listed",
    "refusal",
    "send_refusal",
    "stripe_router",
]
