"""Webhooks of processors: raw bytes, since the signature is theirs."""

from typing import Any

from fastapi import APIRouter, Request

from billplane.chassis.rest import BillplaneRoute, Here
from billplane.payment.service import processor_events

rest = APIRouter(route_class=BillplaneRoute, tags=["webhooks"])


@rest.post("/payments/webhooks/{processor}")
async def receive_event(processor: str, request: Request, runtime: Here) -> dict[str, Any]:
    """Take in what a processor tells; it is stored before it is answered."""
    received = await processor_events.receive(
        runtime,
        processor,
        await request.body(),
        request.headers.get("stripe-signature", ""),
    )
    return {"received": True, "id": received.event_id, "duplicate": received.duplicate}
