"""Objects by the fields that name them: what `expand` puts in the place of an id."""

from collections.abc import Awaitable, Callable
from typing import Any

from billplane.chassis.database import ReadTransaction
from billplane.payment import repository
from billplane.payment.service.objects import (
    charge_object,
    intent_object,
    method_object,
)

Loader = Callable[[str, str], Awaitable[dict[str, Any] | None]]


def loader(tx: ReadTransaction) -> Loader:
    """Return what finds the object that a field names."""

    async def load(field: str, object_id: str) -> dict[str, Any] | None:
        if field in ("latest_charge", "charge"):
            charge = await repository.charge(tx, object_id)
            return None if charge is None else charge_object(charge)
        if field == "payment_intent":
            intent = await repository.intent(tx, object_id)
            return None if intent is None else intent_object(intent)
        if field in ("payment_method", "default_payment_method"):
            method = await repository.method(tx, object_id)
            return None if method is None else method_object(method)
        return None

    return load
