"""The log of deliveries, and starting them again."""

from collections.abc import Sequence

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.notification import domain
from billplane.notification.errors import (
    DeliveryNotFound,
    DeliveryPending,
    EndpointDisabled,
    EndpointNotFound,
    EventNotFound,
)
from billplane.notification.models import AttemptRow, DeliveryRow
from billplane.notification.repository import deliveries, endpoints, events
from billplane.notification.service.endpoints import READ, WRITE
from billplane.notification.service.events import topic_of
from billplane.notification.service.state import State


async def list_deliveries(
    tx: ReadTransaction, endpoint_id: str, event_id: str, state: str, page: Page
) -> tuple[Sequence[DeliveryRow], str | None]:
    """Return a page of deliveries.

    Shape: newest first, as many as the page says, and the cursor of the next.
    Raises: ScopeMissing, CursorInvalid.
    """
    tx.authorize(READ)
    return await deliveries.page_of_deliveries(tx, endpoint_id, event_id, state, page)


async def get_delivery(
    tx: ReadTransaction, delivery_id: str
) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
    """Return a delivery and its attempts, the first one first.

    Raises: ScopeMissing, DeliveryNotFound.
    """
    tx.authorize(READ)
    row = await deliveries.delivery(tx, delivery_id)
    if row is None:
        raise DeliveryNotFound(f"there is no delivery {delivery_id}")
    return row, await deliveries.attempts_of(tx, delivery_id)


async def replay_delivery(tx: Transaction, delivery_id: str) -> DeliveryRow:
    """Make a finished delivery again, the same event with the same id.

    Raises: ScopeMissing, DeliveryNotFound, DeliveryPending, EndpointNotFound, EndpointDisabled,
    EventNotFound.
    """
    tx.authorize(WRITE)
    row = await deliveries.delivery(tx, delivery_id)
    if row is None:
        raise DeliveryNotFound(f"there is no delivery {delivery_id}")
    return await deliver_again(tx, row.event_id, row.endpoint_id)


async def deliver_again(tx: Transaction, event_id: str, endpoint_id: str) -> DeliveryRow:
    """Deliver an event to an endpoint, whether or not it was before.

    Raises: ScopeMissing, EndpointNotFound, EndpointDisabled, EventNotFound, DeliveryPending.
    """
    tx.authorize(WRITE)
    endpoint = await endpoints.locked_endpoint(tx, endpoint_id)
    if endpoint is None:
        raise EndpointNotFound(f"No such webhook endpoint: '{endpoint_id}'", field="/endpoint")
    if endpoint.status == domain.DISABLED:
        raise EndpointDisabled("enable the webhook endpoint first", field="/endpoint")
    event = await events.event(tx, event_id)
    if event is None:
        raise EventNotFound(f"No such event: '{event_id}'", field="id")
    row = await deliveries.delivery_of(tx, endpoint_id, event_id)
    if row is None:
        row = await deliveries.add_delivery(tx, endpoint_id, event_id, event.sequence, event.type)
    elif row.state == domain.PENDING:
        raise DeliveryPending("the delivery is under way; it ends by itself")
    else:
        await deliveries.start_again(tx, row)
    state: State = tx.runtime.state
    topic = topic_of(tx.tenant_id, tx.livemode)
    tx.after_end(lambda: state.told(topic))
    return row
