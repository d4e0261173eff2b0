"""How answers are made: objects with what is expanded, refusals of a processor."""

from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse, Response

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import BillplaneError
from billplane.chassis.stripe_dialect import error_object, expanded
from billplane.payment.errors import CardRefused
from billplane.payment.models import PaymentIntentRow
from billplane.payment.service import views
from billplane.payment.service.objects import intent_object
from billplane.payment.service.outcomes import Done


async def told(value: dict[str, Any], expand: Sequence[str], tx: ReadTransaction) -> Any:
    """Return an object, or a list, with what was asked to be expanded."""
    if not expand:
        return value
    return await expanded(value, expand, views.loader(tx))


async def told_by(
    value: dict[str, Any], expand: Sequence[str], call: Call, seen: views.Seen | None = None
) -> Any:
    """Return an object at the end of a call of several steps."""
    if not expand:
        return value
    return await expanded(value, expand, views.loader(call.ending, seen or {}))


async def intent_answer(
    done: Done | PaymentIntentRow, expand: Sequence[str], call: Call, seen: views.Seen
) -> dict[str, Any] | Response:
    """Return the intent, or why the processor refused it."""
    if isinstance(done, PaymentIntentRow):
        return dict(await told_by(intent_object(done), expand, call, seen))
    if done.failure is None:
        return dict(await told_by(intent_object(done.intent), expand, call, seen))
    more: dict[str, Any] = {"payment_intent": intent_object(done.intent)}
    if done.charge_id:
        more["charge"] = done.charge_id
    return declined(CardRefused(done.failure, **more))


def declined(error: BillplaneError) -> Response:
    """Tell a refusal whose effect is kept: the attempt was made."""
    return JSONResponse(error_object(error), error.kind.http_status)
