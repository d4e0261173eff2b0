"""Where events are delivered: endpoints with their secrets."""

import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from billplane.chassis import ids, logging
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.http_client import Guard, UrlRefused
from billplane.chassis.stripe_dialect import StripePage
from billplane.notification import domain
from billplane.notification.errors import (
    EndpointLimit,
    EndpointNotFound,
    EndpointUrlRefused,
    EventTypeUnknown,
)
from billplane.notification.models import EndpointRow
from billplane.notification.repository import endpoints
from billplane.notification.service import events, messages
from billplane.notification.service.facts import ENDPOINT_DISABLED, EVENT_TYPES, Said
from billplane.notification.service.state import State

READ: Final = "webhook_endpoints:read"
WRITE: Final = "webhook_endpoints:write"
ROTATION_SECONDS_MAX: Final = 7 * 86_400
GONE, FAILING, BY_OWNER = "gone", "failing", "by its owner"
_ALNUM: Final = re.compile(r"[A-Za-z0-9]+\Z")

_log = logging.get("notification")


async def create_endpoint(
    tx: Transaction,
    *,
    url: str,
    enabled_events: Sequence[str],
    description: str,
    metadata: Mapping[str, str],
    api_version: str,
) -> tuple[EndpointRow, str]:
    """Make an endpoint; return it and its secret, which is shown only now.

    Raises: ScopeMissing, EndpointUrlRefused, EventTypeUnknown, EndpointLimit.
    """
    tx.authorize(WRITE)
    check_url(tx, url)
    check_events(enabled_events)
    if await endpoints.count_endpoints(tx) >= domain.ENDPOINTS_MAX:
        raise EndpointLimit(f"there are {domain.ENDPOINTS_MAX} webhook endpoints already")
    secret = make_secret()
    tx.answer_secret()
    row = EndpointRow(
        tenant_id=tx.tenant_id,
        id=ids.new("we"),
        livemode=tx.livemode,
        url=url,
        description=description,
        enabled_events=list(dict.fromkeys(enabled_events)),
        tags=dict(metadata),
        api_version=api_version or domain.API_VERSION,
        status=domain.ENABLED,
        disabled_reason="",
        secret=b"",
        created_at=tx.now,
    )
    row.secret = _state(tx).sealer.seal(secret.encode(), *place_of(row.tenant_id, row.id))
    tx.session.add(row)
    await tx.session.flush()
    return row, secret


async def get_endpoint(tx: ReadTransaction, endpoint_id: str) -> EndpointRow:
    """Return one endpoint.

    Raises: ScopeMissing, EndpointNotFound.
    """
    tx.authorize(READ)
    row = await endpoints.endpoint(tx, endpoint_id)
    if row is None:
        raise _missing(endpoint_id)
    return row


async def list_endpoints(
    tx: ReadTransaction, page: StripePage
) -> tuple[Sequence[EndpointRow], bool]:
    """Return a page of endpoints, newest first, and whether there are more.

    Raises: ScopeMissing, NotFound when the page goes on from an endpoint that is not there.
    """
    tx.authorize(READ)
    return await endpoints.list_endpoints(tx, page)


async def update_endpoint(
    tx: Transaction, endpoint_id: str, changes: Mapping[str, Any]
) -> EndpointRow:
    """Change what is given of url, enabled_events, description, metadata and disabled.

    Raises: ScopeMissing, EndpointNotFound, EndpointUrlRefused, EventTypeUnknown.
    """
    tx.authorize(WRITE)
    row = await _locked(tx, endpoint_id)
    if "url" in changes:
        check_url(tx, changes["url"])
        row.url, row.failing_since = changes["url"], None
    if "enabled_events" in changes:
        check_events(changes["enabled_events"])
        row.enabled_events = list(dict.fromkeys(changes["enabled_events"]))
    if "description" in changes:
        row.description = changes["description"]
    if "metadata" in changes:
        row.tags = dict(changes["metadata"])
    if changes.get("disabled") is True and row.status == domain.ENABLED:
        await _disable(tx, row, BY_OWNER)
    if changes.get("disabled") is False and row.status == domain.DISABLED:
        row.status, row.disabled_reason, row.failing_since = domain.ENABLED, "", None
    await tx.session.flush()
    return row


async def rotate_secret(
    tx: Transaction, endpoint_id: str, overlap_seconds: int
) -> tuple[EndpointRow, str]:
    """Give an endpoint a new secret, shown only now; the old one signs too for a while.

    Raises: ScopeMissing, EndpointNotFound, Invalid.
    """
    tx.authorize(WRITE)
    if not 0 <= overlap_seconds <= ROTATION_SECONDS_MAX:
        detail = f"the old secret may stay at most {ROTATION_SECONDS_MAX} seconds"
        raise Invalid([FieldError("/expires_in", "OUT_OF_RANGE", detail)])
    row = await _locked(tx, endpoint_id)
    secret = make_secret()
    tx.answer_secret()
    row.previous_secret = row.secret if overlap_seconds else None
    row.previous_expires_at = (
        tx.now + timedelta(seconds=overlap_seconds) if overlap_seconds else None
    )
    row.secret = _state(tx).sealer.seal(secret.encode(), *place_of(row.tenant_id, row.id))
    await tx.session.flush()
    return row, secret


async def delete_endpoint(tx: Transaction, endpoint_id: str) -> None:
    """Remove an endpoint; what is under way to it is given up.

    Raises: ScopeMissing, EndpointNotFound.
    """
    tx.authorize(WRITE)
    row = await _locked(tx, endpoint_id)
    await endpoints.cancel_deliveries(tx, row.id, "the endpoint was deleted")
    await tx.session.delete(row)
    await tx.session.flush()


async def disable_endpoint(tx: Transaction, endpoint_id: str, reason: str) -> None:
    """Disable an endpoint that is gone, or has not answered well for days; say so."""
    tx.require_internal()
    row = await endpoints.locked_endpoint(tx, endpoint_id)
    if row is None or row.status == domain.DISABLED:
        return
    await _disable(tx, row, reason)
    _log.warning("webhook_endpoint_disabled", endpoint_id=row.id, reason=reason)
    told = {
        "id": row.id,
        "object": "webhook_endpoint",
        "url": row.url,
        "status": domain.DISABLED,
        "disabled_reason": reason,
        "failing_since": row.failing_since.isoformat() if row.failing_since else None,
    }
    await events.tell(tx, [Said(ENDPOINT_DISABLED, told)], object_id=row.id, happened_at=tx.now)
    await messages.notice(
        tx,
        "webhook_endpoint_disabled",
        {"url": row.url, "reason": reason},
        f"{row.id} disabled {tx.now.isoformat()}",
    )


def check_url(tx: ReadTransaction, url: str) -> None:
    """Refuse what is no address that an event may be delivered to.

    A name is looked up when something is delivered, and each time: only that look-up counts.
    Raises: EndpointUrlRefused.
    """
    settings = tx.runtime.settings
    try:
        parts = Guard(settings.outgoing_allow_list).check_url(url)
    except UrlRefused as refused:
        raise EndpointUrlRefused(refused.detail, field="/url") from None
    if tx.livemode and parts.scheme != "https":
        raise EndpointUrlRefused("in live mode the address must begin with https", field="/url")


def check_events(types: Sequence[str]) -> None:
    """Refuse types that no event has, and patterns that none falls under.

    Raises: EventTypeUnknown, Invalid.
    """
    if not types:
        raise Invalid([FieldError("/enabled_events", "FIELD_REQUIRED", "name at least one type")])
    for place, name in enumerate(types):
        if not any(name in domain.patterns(known) for known in EVENT_TYPES):
            raise EventTypeUnknown(
                f"no event has the type {name[:80]!r}", field=f"/enabled_events/{place}"
            )


def make_secret() -> str:
    """Make a secret of letters and digits alone, so that it survives every shell and file."""
    while True:
        secret = domain.secret_of(randomness.token_bytes(domain.SECRET_BYTES))
        if _ALNUM.match(secret.removeprefix("whsec_")):
            return secret


def place_of(tenant_id: str, endpoint_id: str) -> tuple[str, str, str]:
    """Name the place that a secret is sealed for."""
    return "webhook_endpoints", tenant_id, endpoint_id


async def _disable(tx: Transaction, row: EndpointRow, reason: str) -> None:
    row.status, row.disabled_reason = domain.DISABLED, reason
    await tx.session.flush()
    await endpoints.cancel_deliveries(tx, row.id, f"the endpoint was disabled: {reason}")


async def _locked(tx: Transaction, endpoint_id: str) -> EndpointRow:
    row = await endpoints.locked_endpoint(tx, endpoint_id)
    if row is None:
        raise _missing(endpoint_id)
    return row


def _missing(endpoint_id: str) -> EndpointNotFound:
    return EndpointNotFound(f"No such webhook endpoint: '{endpoint_id}'", field="id")


def _state(tx: ReadTransaction) -> State:
    found: State = tx.runtime.state
    return found
