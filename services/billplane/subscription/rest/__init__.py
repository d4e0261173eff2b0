"""REST of subscription."""

from fastapi import APIRouter

from billplane.subscription.rest import changes, items, subscriptions

rest = APIRouter()
# Verbs come before what an id alone leads to.
for part in (changes, items, subscriptions):
    rest.include_router(part.rest)

__all__ = ["rest"]
