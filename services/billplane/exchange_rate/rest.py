"""REST of exchange_rate."""

from typing import Annotated

from fastapi import Response
from pydantic import WithJsonSchema

from billplane.chassis.fields import CalendarDate
from billplane.chassis.rest import Caller, Here, PageQuery, Reader, Writer, listing, router
from billplane.exchange_rate import schemas
from billplane.exchange_rate.domain import rate_text
from billplane.exchange_rate.service import currencies, feeds, rates, recording
from billplane.resources.common import CURRENCY_PATTERN

rest = router(tags=["exchange_rate"])
# Any text is looked up, so that it is told what is wrong with it.
Code = Annotated[str, WithJsonSchema({"type": "string", "pattern": CURRENCY_PATTERN})]


@rest.post("/v1/exchange_rate_feeds", status_code=201)
async def create_feed(body: schemas.FeedBody, tx: Writer, response: Response) -> schemas.Feed:
    """Create a feed."""
    found = await feeds.create_feed(tx, body.name, body.spec)
    response.headers["Location"] = f"/v1/exchange_rate_feeds/{found.row.id}"
    return _feed(found)


@rest.get("/v1/exchange_rate_feeds")
async def list_feeds(tx: Reader, page: PageQuery) -> schemas.FeedList:
    """List feeds."""
    found, cursor = await feeds.list_feeds(tx, page)
    return schemas.FeedList(**listing([_feed(item) for item in found], cursor))


@rest.post("/v1/exchange_rate_feeds/{feed}:refresh")
async def refresh_feed(feed: str, runtime: Here, caller: Caller) -> schemas.Refreshed:
    """Fetch a feed now."""
    found, refreshed = await feeds.refresh_feed(runtime, caller, feed)
    return schemas.Refreshed(
        feed=_feed(found), added=refreshed.added, held_back=refreshed.held_back
    )


@rest.get("/v1/exchange_rate_feeds/{feed}")
async def get_feed(feed: str, tx: Reader) -> schemas.Feed:
    """Return a feed by id or name."""
    return _feed(await feeds.get_feed(tx, feed))


@rest.patch("/v1/exchange_rate_feeds/{feed}")
async def change_feed(feed: str, body: schemas.FeedPatch, tx: Writer) -> schemas.Feed:
    """Merge a patch into a feed's spec."""
    return _feed(await feeds.change_feed(tx, feed, body.spec))


@rest.delete("/v1/exchange_rate_feeds/{feed}", status_code=204)
async def delete_feed(feed: str, tx: Writer) -> None:
    """Stop a feed; its rates stay."""
    await feeds.delete_feed(tx, feed)


@rest.get("/v1/exchange_rates")
async def list_rates(
    tx: Reader,
    page: PageQuery,
    feed: str | None = None,
    base: str | None = None,
    quote: str | None = None,
    as_of: CalendarDate | None = None,
    held_back: bool | None = None,
    by_hand: bool | None = None,
) -> schemas.RateList:
    """List stored rates, of feeds and by hand."""
    found, cursor = await rates.list_rates(
        tx,
        page,
        feed=feed,
        base=base,
        quote=quote,
        as_of=as_of,
        held_back=held_back,
        by_hand=by_hand,
    )
    return schemas.RateList(**listing([_stored(item) for item in found], cursor))


@rest.post("/v1/exchange_rates", status_code=201)
async def record_rate(body: schemas.RateBody, tx: Writer, response: Response) -> schemas.StoredRate:
    """Record a rate by hand, which wins over feeds."""
    found = await recording.record_rate(
        tx,
        base=body.base,
        quote=body.quote,
        rate=body.rate,
        as_of=body.as_of,
        until=body.until,
        reason=body.reason,
        propose=body.propose,
    )
    response.headers["Location"] = f"/v1/exchange_rates/{found.row.id}"
    return _stored(found)


@rest.post("/v1/exchange_rates/{rate_id}:approve")
async def approve_rate(
    rate_id: str, tx: Writer, body: schemas.DecisionBody | None = None
) -> schemas.StoredRate:
    """Have a rate used that was held back; not by who proposed it."""
    return _stored(await recording.approve_rate(tx, rate_id, body.reason if body else ""))


@rest.post("/v1/exchange_rates/{rate_id}:withdraw")
async def withdraw_rate(
    rate_id: str, tx: Writer, body: schemas.DecisionBody | None = None
) -> schemas.StoredRate:
    """Have a rate by hand used no more, from today on."""
    return _stored(await recording.withdraw_rate(tx, rate_id, body.reason if body else ""))


@rest.get("/v1/exchange_rates/{rate_id}")
async def get_stored_rate(rate_id: str, tx: Reader) -> schemas.StoredRate:
    """Return a stored rate by its id."""
    return _stored(await recording.get_stored_rate(tx, rate_id))


@rest.get("/v1/exchange_rates/{base}/{quote}")
async def get_rate(
    base: Code, quote: Code, tx: Reader, as_of: CalendarDate | None = None, feed: str | None = None
) -> schemas.Rate:
    """Return the rate of a pair as of a date."""
    return _rate(await rates.get_rate(tx, base=base, quote=quote, as_of=as_of, feed=feed))


@rest.post("/v1/exchange_rates:convert")
async def convert(body: schemas.ConvertBody, tx: Reader) -> schemas.Converted:
    """Convert an amount as of a date."""
    converted = await rates.convert(
        tx,
        amount_minor=body.amount_minor,
        from_currency=body.currency_code,
        to_currency=body.to,
        as_of=body.as_of,
        rounding=body.rounding,
        feed=body.feed,
    )
    return schemas.Converted(
        amount_minor=converted.amount_minor,
        currency_code=converted.currency,
        exact_amount=f"{converted.exact_minor:f}",
        rate=_rate(converted.found),
    )


@rest.get("/v1/currencies")
async def list_currencies(tx: Reader) -> schemas.CurrencyList:
    """List the currencies of ISO 4217, and which of them the tenant uses."""
    found = await currencies.list_currencies(tx)
    return schemas.CurrencyList(data=[_currency(item) for item in found])


@rest.patch("/v1/currencies/{code}")
async def set_currency(code: Code, body: schemas.CurrencyBody, tx: Writer) -> schemas.CurrencyInfo:
    """Enable or disable a currency for the tenant, or make it the default."""
    found = await currencies.set_currency(tx, code, enabled=body.enabled, default=body.default)
    return _currency(found)


def _currency(found: currencies.Currency) -> schemas.CurrencyInfo:
    return schemas.CurrencyInfo.model_validate(found)


def _feed(found: feeds.FeedView) -> schemas.Feed:
    row = found.row
    return schemas.Feed(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=found.spec_hash,
        spec=row.spec,
        as_of=found.as_of,
        rate_count=found.rate_count,
        stale=found.stale,
        last_success_at=row.last_success_at,
        next_refresh_at=row.next_refresh_at,
        last_error=row.last_error,
        created_at=row.created_at,
    )


def _stored(found: recording.StoredRate) -> schemas.StoredRate:
    row = found.row
    return schemas.StoredRate.model_validate(
        {
            "id": row.id,
            "feed_id": row.feed_id,
            "base": row.base,
            "quote": row.quote,
            "rate": f"{row.rate.normalize():f}",
            "as_of": row.as_of,
            "until": row.until,
            "held_back": found.state == "held_back",
            "state": found.state,
            "reason": row.reason,
            "actor": row.actor,
            "approved_by": found.approved_by,
            "fetched_at": row.fetched_at,
        }
    )


def _rate(found: rates.FoundRate) -> schemas.Rate:
    rate = found.rate
    return schemas.Rate(
        base=rate.base,
        quote=rate.quote,
        rate=rate_text(rate),
        as_of=rate.as_of,
        rate_ids=list(rate.ids),
        stale=found.stale,
        feed=found.feed,
        source=found.source,
    )
