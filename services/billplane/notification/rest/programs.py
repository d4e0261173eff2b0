"""Events, webhook endpoints and deliveries."""

import json
from typing import Annotated, Any, Final

from fastapi import Query, Request

from billplane.chassis.rest import PageQuery, Reader, Writer, listing, router
from billplane.chassis.stripe_dialect import StripePageQuery, listed, stripe_router
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.chassis.stripe_dialect.forms import parse_form
from billplane.notification import domain, schemas
from billplane.notification.models import DeliveryRow, EndpointRow
from billplane.notification.service import deliveries, endpoints, events

stripe = stripe_router(tags=["events"])
rest = router(tags=["webhook deliveries"])

_TYPES_MAX: Final = 100


@stripe.get("/v1/events")
async def list_events(
    request: Request,
    tx: Reader,
    page: StripePageQuery,
    event_type: Annotated[str, Query(alias="type", max_length=100)] = "",
) -> dict[str, Any]:
    """List events, newest first; `type` may end in `.*`, `types[]` names several."""
    given = parse_form(request.scope.get("query_string", b"")).get("types", [])
    types = [str(name) for name in given][:_TYPES_MAX] if isinstance(given, list) else [str(given)]
    if event_type:
        types.append(event_type)
    rows, more = await events.list_events(tx, types, page)
    pending = await events.still_pending(tx, rows)
    data = [{**json.loads(row.body), "pending_webhooks": pending.get(row.id, 0)} for row in rows]
    return listed("/v1/events", data, more)


@stripe.get("/v1/events/{event_id}")
async def get_event(event_id: str, tx: Reader) -> dict[str, Any]:
    """Return one event."""
    row = await events.get_event(tx, event_id)
    pending = await events.still_pending(tx, [row])
    return {**json.loads(row.body), "pending_webhooks": pending.get(row.id, 0)}


@stripe.post("/v1/events/{event_id}/retry")
async def retry_event(event_id: str, body: schemas.RetryBody, tx: Writer) -> dict[str, Any]:
    """Deliver an event to an endpoint, whether or not it was before."""
    await deliveries.deliver_again(tx, event_id, body.webhook_endpoint)
    row = await events.get_event(tx, event_id)
    found: dict[str, Any] = json.loads(row.body)
    return found


@stripe.post("/v1/webhook_endpoints")
async def create_endpoint(body: schemas.EndpointBody, tx: Writer) -> dict[str, Any]:
    """Make a webhook endpoint; its secret is shown in this answer only."""
    row, secret = await endpoints.create_endpoint(
        tx,
        url=body.url,
        enabled_events=body.enabled_events,
        description=body.description or "",
        metadata=body.metadata or {},
        api_version=body.api_version or "",
    )
    return {**_endpoint(row), "secret": secret}


@stripe.get("/v1/webhook_endpoints")
async def list_endpoints(tx: Reader, page: StripePageQuery) -> dict[str, Any]:
    """List webhook endpoints, newest first."""
    rows, more = await endpoints.list_endpoints(tx, page)
    return listed("/v1/webhook_endpoints", [_endpoint(row) for row in rows], more)


@stripe.get("/v1/webhook_endpoints/{webhook_endpoint_id}")
async def get_endpoint(webhook_endpoint_id: str, tx: Reader) -> dict[str, Any]:
    """Return one webhook endpoint."""
    return _endpoint(await endpoints.get_endpoint(tx, webhook_endpoint_id))


@stripe.post("/v1/webhook_endpoints/{webhook_endpoint_id}")
async def update_endpoint(
    webhook_endpoint_id: str, body: schemas.EndpointChanges, tx: Writer
) -> dict[str, Any]:
    """Change a webhook endpoint; `disabled` switches it off and on."""
    given = body.model_dump(include=body.model_fields_set)
    changes = {name: value for name, value in given.items() if value is not None}
    if "description" in given:
        changes["description"] = given["description"] or ""
    if "metadata" in given:
        row = await endpoints.get_endpoint(tx, webhook_endpoint_id)
        changes["metadata"] = merged(row.tags, given["metadata"])
    return _endpoint(await endpoints.update_endpoint(tx, webhook_endpoint_id, changes))


@stripe.delete("/v1/webhook_endpoints/{webhook_endpoint_id}")
async def delete_endpoint(webhook_endpoint_id: str, tx: Writer) -> dict[str, Any]:
    """Remove a webhook endpoint."""
    await endpoints.delete_endpoint(tx, webhook_endpoint_id)
    return {"id": webhook_endpoint_id, "object": "webhook_endpoint", "deleted": True}


@stripe.post("/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret")
async def rotate_secret(
    webhook_endpoint_id: str, body: schemas.RotationBody, tx: Writer
) -> dict[str, Any]:
    """Make a new secret; the one before signs too until it expires, a day by default."""
    seconds = int(domain.ROTATION.total_seconds()) if body.expires_in is None else body.expires_in
    row, secret = await endpoints.rotate_secret(tx, webhook_endpoint_id, seconds)
    return {**_endpoint(row), "secret": secret}


def _endpoint(row: EndpointRow) -> dict[str, Any]:
    expires = row.previous_expires_at
    return {
        "id": row.id,
        "object": "webhook_endpoint",
        "api_version": row.api_version,
        "application": None,
        "created": int(row.created_at.timestamp()),
        "description": row.description or None,
        "disabled_reason": row.disabled_reason or None,
        "enabled_events": row.enabled_events,
        "failing_since": int(row.failing_since.timestamp()) if row.failing_since else None,
        "livemode": row.livemode,
        "metadata": row.tags,
        "previous_secret_expires_at": int(expires.timestamp()) if expires else None,
        "status": row.status,
        "url": row.url,
    }


@rest.get("/v1/webhook_deliveries")
async def list_deliveries(
    tx: Reader,
    page: PageQuery,
    endpoint_id: str = "",
    event_id: str = "",
    state: schemas.DeliveryState | None = None,
) -> schemas.DeliveryList:
    """List deliveries of events to webhook endpoints."""
    rows, cursor = await deliveries.list_deliveries(tx, endpoint_id, event_id, state or "", page)
    return schemas.DeliveryList(**listing([_delivery(row) for row in rows], cursor))


@rest.post("/v1/webhook_deliveries/{delivery_id}:replay")
async def replay_delivery(delivery_id: str, tx: Writer) -> schemas.Delivery:
    """Make a finished delivery again."""
    return _delivery(await deliveries.replay_delivery(tx, delivery_id))


@rest.get("/v1/webhook_deliveries/{delivery_id}")
async def get_delivery(delivery_id: str, tx: Reader) -> schemas.DeliveryDetail:
    """Return a delivery with each of its attempts."""
    row, log = await deliveries.get_delivery(tx, delivery_id)
    attempts = [schemas.Attempt.model_validate(item) for item in log]
    return schemas.DeliveryDetail(**_delivery(row).model_dump(), log=attempts)


def _delivery(row: DeliveryRow) -> schemas.Delivery:
    return schemas.Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        state=row.state,
        attempts=row.attempts,
        next_attempt_at=row.due_at if row.state == domain.PENDING else None,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
