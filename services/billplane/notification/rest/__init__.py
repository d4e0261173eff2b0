"""REST of notification: events and endpoints in Stripe's dialect, logs and wordings in ours."""

from fastapi import APIRouter

from billplane.notification.rest import people, programs

rest = APIRouter()
rest.include_router(programs.stripe)
rest.include_router(programs.rest)
rest.include_router(people.rest)

__all__ = ["rest"]
