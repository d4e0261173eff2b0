"""Objects by the fields that name them: what `expand` puts in the place of an id."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.payment import peers, repository
from billplane.payment.service.objects import (
    charge_object,
    customer_object,
    intent_object,
    method_object,
)

Loader = Callable[[str, str], Awaitable[dict[str, Any] | None]]
Seen = Mapping[str, dict[str, Any]]


def loader(tx: ReadTransaction, seen: Seen | None = None) -> Loader:
    """Return what finds the object that a field names.

    `seen` holds what other services know, where the transaction may not ask them any more.
    """

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
        if field == "customer":
            return seen.get(object_id) if seen is not None else await _customer(tx, object_id)
        return None

    return load


async def _customer(tx: ReadTransaction, customer_id: str) -> dict[str, Any]:
    customer = await peers.read_customer(tx, customer_id)
    known = await repository.customers(tx, [customer_id])
    return customer_object(customer, known.get(customer_id), tx.livemode)


async def foresee(
    call: Call, expand: Sequence[str], *, intent_id: str = "", customer: str = ""
) -> Seen:
    """Ask for the customer that an answer is to show, before anything is written."""
    if not any("customer" in path.split(".") for path in expand):
        return {}
    async with call.reading() as tx:
        if intent_id:
            intent = await repository.intent(tx, intent_id)
            customer = customer or (intent.customer_id if intent is not None else "")
        if not customer:
            return {}
        customer = (await peers.read_customer(tx, customer)).id
        return {customer: await _customer(tx, customer)}
