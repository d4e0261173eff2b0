"""What Secrets and ConfigMaps hold that a feed's sources name: handed over, sealed, opened."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from billplane.chassis import applied, logging
from billplane.chassis.applied import StaleGeneration
from billplane.chassis.auth import internal_seed
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.runtime import Runtime
from billplane.chassis.sealing import SealBroken, Sealer
from billplane.exchange_rate import repository
from billplane.exchange_rate.errors import FeedNotFound, SourceRefused
from billplane.exchange_rate.models import FeedRow, FeedSourceRow
from billplane.protos.exchange_rate.v1.exchange_rate_pb2 import SourceValue, SourceValues
from billplane.resources import ExchangeRateFeedSpec
from billplane.resources.exchange_rate_feed import Reference

# A ConfigMap can hold no more. Source: Kubernetes, "ConfigMaps".
TABLE_BYTES_MAX: Final = 1024 * 1024
TOKEN_BYTES_MAX: Final = 16 * 1024
# Source: RFC 6750 2.1 names fewer characters; some services use others that a header can carry.
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")

Given = Mapping[Reference, bytes]

_log = logging.get("exchange_rate")


async def provide_source(
    tx: Transaction, uid: str, epoch: int, digest: str, values: Iterable[SourceValue]
) -> None:
    """Hold what a feed's sources name, instead of what was held before, and fetch it soon.

    Raises: InternalOnly, FeedNotFound, StaleGeneration, SourceRefused.
    Idempotent by: digest.
    """
    tx.require_internal()
    feed = await applied.by_uid(tx, FeedRow, uid)
    if feed is None or feed.removed_at is not None:
        raise FeedNotFound(f"there is no feed of the resource {uid}")
    if epoch < feed.epoch:
        raise StaleGeneration(f"epoch {feed.epoch} is newer", metadata={"epoch": feed.epoch})
    wanted = set(ExchangeRateFeedSpec.parse(feed.spec).references)
    kept = [item for item in map(_checked, values) if _reference(item) in wanted]
    held = await repository.source(tx, feed.id)
    if held is None or held.digest != digest:
        feed.next_refresh_at = tx.now
    if not kept or not digest:
        await repository.drop_source(tx, feed.id)
        return
    if held is None:
        held = FeedSourceRow(tenant_id=tx.tenant_id, feed_id=feed.id)
        tx.session.add(held)
    content = SourceValues(values=kept).SerializeToString(deterministic=True)
    held.sealed = _sealer(tx.runtime).seal(content, *_place(feed))
    held.digest, held.provided_at = digest, tx.now


def opened(runtime: Runtime, feed: FeedRow, held: FeedSourceRow | None) -> Given:
    """Return what is held for a feed; nothing where it was sealed with another key.

    The digest was made with that key too, so the operator sees it differ and provides it anew.
    """
    if held is None:
        return {}
    try:
        content = _sealer(runtime).open(held.sealed, *_place(feed))
    except SealBroken as broken:
        _log.warning("source_not_opened", feed=feed.name, error=broken.detail)
        return {}
    return {_reference(item): item.content for item in SourceValues.FromString(content).values}


async def digests(tx: ReadTransaction, feed_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the digest, as it was provided, of what is held for each feed; for the operator.

    Raises: InternalOnly.
    """
    tx.require_internal()
    return await repository.source_digests(tx, feed_ids)


def _checked(value: SourceValue) -> SourceValue:
    """Return a value that can be used; a token without the line's end that editors leave.

    Raises: SourceRefused, which tells nothing of the value.
    """
    content, where = value.content, str(_reference(value))
    if value.kind == "ConfigMap":
        if len(content) > TABLE_BYTES_MAX:
            raise SourceRefused(f"{where} is longer than {TABLE_BYTES_MAX} bytes")
        return value
    content = content.strip()
    if len(content) > TOKEN_BYTES_MAX:
        raise SourceRefused(f"{where} is longer than {TOKEN_BYTES_MAX} bytes")
    if value.kind != "Secret" or not _TOKEN.fullmatch(content):
        raise SourceRefused(f"{where} is no token: one word of visible ASCII is expected")
    return SourceValue(kind=value.kind, name=value.name, key=value.key, content=content)


def _reference(value: SourceValue) -> Reference:
    return Reference("Secret" if value.kind == "Secret" else "ConfigMap", value.name, value.key)


def _sealer(runtime: Runtime) -> Sealer:
    return Sealer("exchange_rate.feed_sources", internal_seed(runtime.settings))


def _place(feed: FeedRow) -> tuple[str, ...]:
    return ("exchange_rate.feed_sources", feed.tenant_id, feed.id)
