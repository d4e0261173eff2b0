"""gRPC of exchange_rate."""

import json
from datetime import date

from pydantic_core import PydanticCustomError

from billplane.chassis.applied import application_of, told
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.exchange_rate.domain import rate_text
from billplane.exchange_rate.service import currencies, feeds, rates, recording, sources
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2 as pb
from billplane.resources.decimal_string import parse_decimal_string

rpc = Rpc(pb.DESCRIPTOR.services_by_name["ExchangeRateService"])


@rpc.write
async def ApplyFeed(tx: Transaction, request: pb.ApplyFeedRequest) -> pb.ApplyFeedResponse:
    """Make the service run a feed's spec."""
    found = await feeds.apply_feed(tx, application_of(request))
    held = await sources.digests(tx, [found.row.id])
    return pb.ApplyFeedResponse(
        id=found.row.id,
        version=found.row.version,
        spec_hash=found.spec_hash,
        source_digest=held.get(found.row.id, ""),
    )


@rpc.write
async def RemoveFeed(tx: Transaction, request: pb.RemoveFeedRequest) -> pb.RemoveFeedResponse:
    """Stop a feed whose resource is gone."""
    await feeds.remove_feed(tx, request.uid, request.generation, request.epoch)
    return pb.RemoveFeedResponse()


@rpc.read
async def ListApplied(
    tx: ReadTransaction, request: pb.ListAppliedRequest
) -> pb.ListAppliedResponse:
    """List what the operator applied."""
    tx.require_internal()
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await feeds.list_feeds(tx, page, origin="resource")
    held = await sources.digests(tx, [item.row.id for item in found])
    return pb.ListAppliedResponse(
        applied=[
            pb.Applied(**told(item.row, item.spec_hash), source_digest=held.get(item.row.id, ""))
            for item in found
        ],
        next_page_token=cursor or "",
    )


@rpc.write
async def ProvideSource(
    tx: Transaction, request: pb.ProvideSourceRequest
) -> pb.ProvideSourceResponse:
    """Hold what a feed's sources name of their namespace."""
    await sources.provide_source(
        tx, request.uid, request.epoch, request.digest, list(request.values)
    )
    return pb.ProvideSourceResponse()


@rpc.write
async def CreateFeed(tx: Transaction, request: pb.CreateFeedRequest) -> pb.CreateFeedResponse:
    """Create a feed by the API."""
    try:
        spec = json.loads(request.spec_json)
    except (ValueError, RecursionError):
        raise Invalid([FieldError("spec_json", "BODY_MALFORMED", "not JSON")]) from None
    return pb.CreateFeedResponse(feed=_feed(await feeds.create_feed(tx, request.name, spec)))


@rpc.read
async def GetFeed(tx: ReadTransaction, request: pb.GetFeedRequest) -> pb.GetFeedResponse:
    """Return one feed."""
    return pb.GetFeedResponse(feed=_feed(await feeds.get_feed(tx, request.id)))


@rpc.steps
async def RefreshFeed(call: Call, request: pb.RefreshFeedRequest) -> pb.RefreshFeedResponse:
    """Fetch a feed now."""
    found, refreshed = await feeds.refresh_feed(call.runtime, call.principal, request.id)
    return pb.RefreshFeedResponse(
        feed=_feed(found), added=refreshed.added, held_back=refreshed.held_back
    )


@rpc.read
async def GetRate(tx: ReadTransaction, request: pb.GetRateRequest) -> pb.GetRateResponse:
    """Return the rate of a pair as of a date."""
    found = await rates.get_rate(
        tx,
        base=request.base,
        quote=request.quote,
        as_of=_day(request.as_of),
        feed=request.feed or None,
        at=from_timestamp(request, "at"),
    )
    return pb.GetRateResponse(rate=_rate(found))


@rpc.read
async def Convert(tx: ReadTransaction, request: pb.ConvertRequest) -> pb.ConvertResponse:
    """Convert an amount as of a date."""
    converted = await rates.convert(
        tx,
        amount_minor=request.amount_minor,
        from_currency=request.currency_code,
        to_currency=request.to or None,
        as_of=_day(request.as_of),
        rounding=request.rounding,
        feed=request.feed or None,
        at=from_timestamp(request, "at"),
    )
    return pb.ConvertResponse(
        amount_minor=converted.amount_minor,
        currency_code=converted.currency,
        exact_amount=f"{converted.exact_minor:f}",
        rate=_rate(converted.found),
    )


@rpc.read
async def ListRates(tx: ReadTransaction, request: pb.ListRatesRequest) -> pb.ListRatesResponse:
    """List stored rates."""
    rows, cursor = await rates.list_rates(
        tx,
        Page.of(request.page_size, request.page_token),
        feed=request.feed or None,
        base=request.base or None,
        quote=request.quote or None,
        as_of=_day(request.as_of),
        held_back=True if request.held_back else None,
        by_hand=True if request.by_hand else None,
    )
    return pb.ListRatesResponse(
        rates=[
            pb.Rate(
                base=item.row.base,
                quote=item.row.quote,
                rate=f"{item.row.rate.normalize():f}",
                as_of=item.row.as_of.isoformat(),
                rate_ids=[item.row.id],
                feed=item.row.feed_id,
            )
            for item in rows
        ],
        next_page_token=cursor or "",
    )


@rpc.write
async def RecordRate(tx: Transaction, request: pb.RecordRateRequest) -> pb.RecordRateResponse:
    """Record a rate by hand."""
    try:
        rate = parse_decimal_string(request.rate)
    except PydanticCustomError as error:
        raise Invalid([FieldError("rate", error.type, error.message())]) from None
    found = await recording.record_rate(
        tx,
        base=request.base,
        quote=request.quote,
        rate=rate,
        as_of=_day(request.as_of),
        until=_day(request.until, "until"),
        reason=request.reason,
        propose=request.propose,
    )
    return pb.RecordRateResponse(rate=_stored(found))


@rpc.write
async def ApproveRate(tx: Transaction, request: pb.ApproveRateRequest) -> pb.ApproveRateResponse:
    """Have a rate used that was held back."""
    found = await recording.approve_rate(tx, request.id, request.reason)
    return pb.ApproveRateResponse(rate=_stored(found))


@rpc.write
async def WithdrawRate(tx: Transaction, request: pb.WithdrawRateRequest) -> pb.WithdrawRateResponse:
    """Have a rate by hand used no more."""
    found = await recording.withdraw_rate(tx, request.id, request.reason)
    return pb.WithdrawRateResponse(rate=_stored(found))


@rpc.read
async def ListCurrencies(
    tx: ReadTransaction, _request: pb.ListCurrenciesRequest
) -> pb.ListCurrenciesResponse:
    """List the currencies of ISO 4217, and which of them the tenant uses."""
    found = await currencies.list_currencies(tx)
    return pb.ListCurrenciesResponse(currencies=[_currency(item) for item in found])


@rpc.write
async def SetCurrency(tx: Transaction, request: pb.SetCurrencyRequest) -> pb.SetCurrencyResponse:
    """Enable or disable a currency for the tenant, or make it the default."""
    found = await currencies.set_currency(
        tx,
        request.code,
        enabled=request.enabled if request.HasField("enabled") else None,
        default=request.default if request.HasField("default") else None,
    )
    return pb.SetCurrencyResponse(currency=_currency(found))


def _currency(found: currencies.Currency) -> pb.Currency:
    return pb.Currency(
        code=found.code,
        name=found.name,
        minor_units=found.minor_units,
        enabled=found.enabled,
        default=found.default,
    )


def _stored(found: recording.StoredRate) -> pb.StoredRate:
    row = found.row
    return pb.StoredRate(
        id=row.id,
        feed_id=row.feed_id,
        base=row.base,
        quote=row.quote,
        rate=f"{row.rate.normalize():f}",
        as_of=row.as_of.isoformat(),
        until=row.until.isoformat() if row.until else "",
        state=found.state,
        reason=row.reason or "",
        actor=row.actor or "",
        approved_by=found.approved_by or "",
        recorded_at=to_timestamp(row.fetched_at),
    )


def _day(text: str, field: str = "as_of") -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid([FieldError(field, "FIELD_INVALID", "expected YYYY-MM-DD")]) from None


def _rate(found: rates.FoundRate) -> pb.Rate:
    return pb.Rate(
        base=found.rate.base,
        quote=found.rate.quote,
        rate=rate_text(found.rate),
        as_of=found.rate.as_of.isoformat(),
        rate_ids=found.rate.ids,
        stale=found.stale,
        feed=found.feed,
        source=found.source,
    )


def _feed(found: feeds.FeedView) -> pb.Feed:
    row = found.row
    return pb.Feed(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=found.spec_hash,
        spec_json=json.dumps(row.spec),
        as_of=found.as_of.isoformat() if found.as_of else "",
        rate_count=found.rate_count,
        stale=found.stale,
        last_success_at=to_timestamp(row.last_success_at),
        next_refresh_at=to_timestamp(row.next_refresh_at),
        last_error=row.last_error,
        created_at=to_timestamp(row.created_at),
    )
