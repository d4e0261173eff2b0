"""REST of payment, in Stripe's dialect."""

from fastapi import APIRouter

from billplane.payment.rest import authentication, customers, intents, methods, refunds, webhooks

rest = APIRouter()
for part in (intents, methods, customers, refunds, webhooks, authentication):
    rest.include_router(part.rest)

__all__ = ["rest"]
