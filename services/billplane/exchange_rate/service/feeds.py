"""Feeds: applied, made, refreshed."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from billplane.chassis import applied
from billplane.chassis.applied import Application
from billplane.chassis.auth import Principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.exchange_rate import domain, repository
from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import FeedNotFound
from billplane.exchange_rate.models import FeedRow
from billplane.exchange_rate.service import fetching, sources
from billplane.protos.exchange_rate.v1.events_pb2 import RatesStale, RatesUpdated
from billplane.resources import ExchangeRateFeedSpec, parse_duration

KIND = "ExchangeRateFeed"
RETRY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class FeedView:
    """A feed with its freshness."""

    row: FeedRow
    spec_hash: str
    as_of: date | None
    rate_count: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a fetch brought."""

    added: int
    held_back: list[str]


def fresh_columns(now: datetime) -> dict[str, Any]:
    """Return the service's own columns of a new feed: due at once."""
    return {
        "last_success_at": None,
        "next_refresh_at": now,
        "last_error": "",
        "stale_told": False,
    }


async def apply_feed(tx: Transaction, application: Application) -> FeedView:
    """Make the service run a feed's spec; a changed one is fetched anew.

    Raises: InternalOnly, Invalid, StaleGeneration, NameTaken.
    Idempotent by: uid and spec hash.
    """
    row, _, changed = await applied.apply(
        tx, KIND, FeedRow, application, "fxf", lambda: fresh_columns(tx.now)
    )
    if changed:
        row.next_refresh_at = tx.now
        if not spec_of(row).references:
            await repository.drop_source(tx, row.id)
    return await view(tx, row)


async def remove_feed(tx: Transaction, uid: str, generation: int, epoch: int) -> None:
    """Stop a feed; its rates stay, since documents name them, and what its sources named goes.

    Raises: InternalOnly, StaleGeneration.
    """
    row = await applied.remove(tx, FeedRow, uid, generation, epoch)
    if row is not None:
        await repository.drop_source(tx, row.id)


async def create_feed(tx: Transaction, name: str, spec: Any) -> FeedView:
    """Create a feed by the API.

    Raises: Invalid, NameTaken, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    row, _ = await applied.create(tx, KIND, FeedRow, name, spec, "fxf", **fresh_columns(tx.now))
    return await view(tx, row)


async def change_feed(tx: Transaction, feed: str, merge: Any) -> FeedView:
    """Merge a patch into a feed that the API made.

    Raises: FeedNotFound, ManagedByResource, Invalid, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    row = await get_row(tx, feed)
    if applied.change(KIND, row, merge)[1]:
        row.next_refresh_at = tx.now
    return await view(tx, row)


async def delete_feed(tx: Transaction, feed: str) -> None:
    """Stop a feed that the API made; its rates stay.

    Raises: FeedNotFound, ManagedByResource, ScopeMissing.
    """
    tx.authorize("exchange_rates:write")
    row = await get_row(tx, feed)
    applied.refuse_managed(KIND, row)
    row.removed_at = tx.now


async def get_feed(tx: ReadTransaction, feed: str) -> FeedView:
    """Return a feed by id or name.

    Raises: FeedNotFound, ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    return await view(tx, await get_row(tx, feed))


async def list_feeds(
    tx: ReadTransaction, page: Page, origin: str | None = None
) -> tuple[list[FeedView], str | None]:
    """Return a page of feeds."""
    tx.authorize("exchange_rates:read")
    rows, cursor = await applied.page_of(tx, FeedRow, page, origin)
    return [await view(tx, row) for row in rows], cursor


async def get_row(tx: ReadTransaction, feed: str) -> FeedRow:
    """Return a feed's row by id or name.

    Raises: FeedNotFound.
    """
    row = await applied.by_id_or_name(tx, FeedRow, feed)
    if row is None or row.removed_at is not None:
        raise FeedNotFound(f"there is no feed {feed}")
    return row


def spec_of(row: FeedRow) -> ExchangeRateFeedSpec:
    """Return the spec that a row makes the service run."""
    return ExchangeRateFeedSpec.parse(row.spec)


async def view(tx: ReadTransaction, row: FeedRow) -> FeedView:
    """Return a feed with its freshness."""
    as_of, count = await repository.summary(tx, row.id)
    spec = spec_of(row)
    today = tx.now.astimezone(ZoneInfo(spec.zone)).date()
    return FeedView(row, applied.hash_of(KIND, row), as_of, count, is_stale(spec, as_of, today))


def is_stale(spec: ExchangeRateFeedSpec, as_of: date | None, asked: date) -> bool:
    """Tell whether a date is older than the feed allows; static rates never are."""
    if spec.source.static is not None:
        return False
    return as_of is None or asked - as_of > parse_duration(spec.stale_after)


async def refresh_feed(
    runtime: Runtime, principal: Principal, feed: str
) -> tuple[FeedView, Refreshed]:
    """Fetch a feed now and store what is new.

    Raises: FeedNotFound, SourceUnreadable, UrlRefused, FetchFailed, ScopeMissing.
    Idempotent by: quote, date and rate.
    """
    principal.require("exchange_rates:write")
    async with runtime.database.read(runtime, principal) as reading:
        row = await get_row(reading, feed)
        spec = spec_of(row)
        known = await repository.known(reading, row.id)
        held = await repository.source(reading, row.id) if spec.references else None
    try:
        given = sources.opened(runtime, row, held)
        quotations = await fetching.fetch(runtime, row, spec, given)
    except BillplaneError as error:
        async with runtime.database.write(runtime, principal) as tx:
            failed = await get_row(tx, feed)
            failed.last_error = f"{error.reason}: {error.detail}"[:1000]
            failed.next_refresh_at = tx.now + RETRY
        raise
    new = [
        item for item in quotations if (item.quote, item.as_of, item.rate.normalize()) not in known
    ]
    async with runtime.database.write(runtime, principal) as tx:
        row = await get_row(tx, feed)
        refreshed = await _store(tx, row, spec, new)
        row.last_success_at, row.last_error = tx.now, ""
        row.next_refresh_at = next_refresh(spec, tx.now)
        if refreshed.added:
            row.stale_told = False
        found = await view(tx, row)
        if refreshed.added:
            await tx.publish(
                RatesUpdated(
                    feed_id=row.id,
                    as_of=found.as_of.isoformat() if found.as_of else "",
                    rate_count=refreshed.added,
                ),
                aggregate_id=row.id,
            )
        return found, refreshed


async def _store(
    tx: Transaction, row: FeedRow, spec: ExchangeRateFeedSpec, new: list[Quotation]
) -> Refreshed:
    if not new:
        return Refreshed(0, [])
    first = min(item.as_of for item in new)
    before = await repository.legs(tx, row.id, spec.currencies, first)
    last = {leg.quote: leg.rate for leg in before}
    passed, held = domain.split_deviating(new, last, spec.max_deviation)
    added = await repository.store(tx, row, spec.base, passed, held_back=False)
    await repository.store(tx, row, spec.base, held, held_back=True)
    return Refreshed(added, [f"{item.quote} {item.as_of} {item.rate}" for item in held])


async def tell_when_stale(tx: Transaction, feed: str) -> None:
    """Publish RatesStale once when a feed has become stale."""
    row = await get_row(tx, feed)
    found = await view(tx, row)
    if found.stale and not row.stale_told:
        row.stale_told = True
        as_of = found.as_of.isoformat() if found.as_of else ""
        await tx.publish(RatesStale(feed_id=row.id, as_of=as_of), aggregate_id=row.id)


def next_refresh(spec: ExchangeRateFeedSpec, now: datetime) -> datetime | None:
    """Return when a feed is due again; None for one without a schedule."""
    if spec.schedule is None:
        return None
    local = now.astimezone(ZoneInfo(spec.zone))
    return next(CronSim(spec.schedule, local)).astimezone(now.tzinfo)
