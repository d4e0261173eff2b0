"""Somebody who pays by Stripe's SDK."""

from typing import Any

import stripe


def pay(client: stripe.StripeClient, amount: int = 2000, **more: Any) -> Any:
    """Create an intent and confirm it at once."""
    params = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa"}
    return client.v1.payment_intents.create({**params, "confirm": True, **more})
