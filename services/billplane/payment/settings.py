"""Settings of payment."""

from typing import Literal

from pydantic import Field, field_validator

from billplane.chassis.settings import Settings


class PaymentSettings(Settings):
    """What payment reads beside the shared settings."""

    processor: Literal["simulated", "stripe"] = "simulated"
    """Who moves the money: `simulated` (test cards, no money) or `stripe`."""
    stripe_api_key: str = Field(default="", repr=False)
    """Secret key of the Stripe account, `sk_…`; needed by the processor `stripe`."""
    stripe_api_base: str = "https://api.stripe.com"
    """Where Stripe's API answers."""
    stripe_webhook_secret: str = Field(default="", repr=False)
    """Secrets of Stripe's webhooks, `whsec_…`, comma-separated during rotation."""
    simulated_webhook_secret: str = Field(default="", repr=False)
    """Secret that webhooks of the simulated processor are signed with; empty = refused."""
    simulated_delay_seconds: float = Field(default=2, ge=0)
    """After how long a delayed outcome of the simulated processor is known, in seconds."""
    public_url: str = ""
    """Address of the gateway as payers' browsers reach it: authentication pages are below it.
    Empty = this machine."""
    processor_timeout_seconds: float = Field(default=20, gt=0)
    """How long a processor may take to answer; after it the outcome counts as unknown."""
    stale_attempt_seconds: float = Field(default=30, ge=0)
    """Age at which an attempt without an outcome is taken up by the janitor, in seconds."""
    wallet_credit: bool = True
    """Settle invoices from the customer's wallet before the payment method is charged."""
    dunning_days: tuple[int, ...] = (3, 5, 7)
    """Days between a failed collection and the next attempt, one for each further attempt."""
    dunning_final_action: Literal["mark_uncollectible", "cancel_subscription", "leave_past_due"] = (
        "mark_uncollectible"
    )
    """What becomes of an invoice, or of its subscription, when the last attempt failed."""
    authorization_days: int = Field(default=7, ge=1)
    """After how many days an authorization that was not captured is given up."""

    @field_validator("dunning_days")
    @classmethod
    def _in_order(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if len(days) > 20 or any(not 0 < item <= 60 for item in days):
            raise ValueError("at most 20 pauses of 1 to 60 days")
        return days
