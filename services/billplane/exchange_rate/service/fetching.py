"""Fetching: the first source of a feed that answers, read into quotations."""

import asyncio
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from billplane.chassis import logging
from billplane.chassis.applied import API
from billplane.chassis.errors import BillplaneError
from billplane.chassis.http_client import HttpClient
from billplane.chassis.runtime import Runtime
from billplane.exchange_rate.domain import Quotation
from billplane.exchange_rate.errors import SourceUnreadable
from billplane.exchange_rate.models import FeedRow
from billplane.exchange_rate.providers import csv_table, ecb, json_api
from billplane.exchange_rate.providers.base import rebase
from billplane.exchange_rate.service.sources import Given
from billplane.exchange_rate.settings import ExchangeRateSettings
from billplane.resources import ExchangeRateFeedSpec
from billplane.resources.exchange_rate_feed import Reference, Source

_FOLDER = "ExchangeRateFeed"
_log = logging.get("exchange_rate")


async def fetch(
    runtime: Runtime, row: FeedRow, spec: ExchangeRateFeedSpec, given: Given
) -> list[Quotation]:
    """Read the first source that answers: the feed's own, then its fallbacks.

    Raises: the first source's error when none answers.
    """
    first: BillplaneError | None = None
    for source in (spec.source, *spec.fallbacks):
        try:
            return await _read(runtime, row, spec, source, given)
        except BillplaneError as error:
            _log.warning("source_failed", feed=row.name, reason=error.reason, error=error.detail)
            first = first or error
    if first is None:
        raise SourceUnreadable("the feed has no source")
    raise first


async def _read(
    runtime: Runtime, row: FeedRow, spec: ExchangeRateFeedSpec, source: Source, given: Given
) -> list[Quotation]:
    client: HttpClient = runtime.state
    currencies = spec.currencies
    if source.static is not None:
        found = [
            Quotation(item.quote, item.rate, date.fromisoformat(str(item.as_of)))
            for item in source.static.rates
        ]
        return rebase(found, spec.base, spec.base, currencies)
    if source.ecb is not None:
        body = await _get(client, source.ecb.url or ecb.URLS[source.ecb.file])
        quotations = await asyncio.to_thread(ecb.parse, body)
        return rebase(quotations, ecb.BASE, spec.base, currencies)
    if source.json_api is not None:
        headers = {}
        if source.reference is not None:
            token = _given(source.reference, row, given).decode("ascii")
            headers["Authorization"] = f"Bearer {token}"
        body = await _get(client, source.json_api.url, headers)
        today = runtime.clock.now().astimezone(ZoneInfo(spec.zone)).date()
        return json_api.parse(body, source.json_api, spec.base, currencies, today)
    table = source.csv
    if table is None:
        raise SourceUnreadable("the feed has no source")
    if source.reference is not None:
        body = _given(source.reference, row, given)
    elif table.url is not None:
        body = await _get(client, table.url)
    else:
        body = await asyncio.to_thread(_local_file, runtime, row, str(table.file))
    return await asyncio.to_thread(csv_table.parse, body, table, spec.base, currencies)


def _given(reference: Reference, row: FeedRow, given: Given) -> bytes:
    """Return what the operator handed over.

    Raises: SourceUnreadable.
    """
    if reference in given:
        return given[reference]
    if row.origin == API:
        raise SourceUnreadable(f"only a resource in a cluster can name {reference}")
    raise SourceUnreadable(f"{reference} was not handed over; the operator does so in a cluster")


async def _get(client: HttpClient, url: str, headers: Mapping[str, str] | None = None) -> bytes:
    answer = await client.fetch(url, headers=headers)
    if answer.status != 200:
        raise SourceUnreadable(f"{url} answered {answer.status}")
    return answer.body


def _local_file(runtime: Runtime, row: FeedRow, name: str) -> bytes:
    """Read a file that lies beside the feed's manifest.

    Raises: SourceUnreadable when files are refused, or it is not there.
    """
    settings: ExchangeRateSettings = runtime.settings  # type: ignore[assignment]
    if not settings.resources_folder or row.namespace is None:
        raise SourceUnreadable("`file` is read in local mode only; use url or configMapRef")
    folder = Path(settings.resources_folder) / row.namespace / _FOLDER
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise SourceUnreadable(f"{name} does not lie beside the manifest")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceUnreadable(f"{name}: {error.strerror}") from None
