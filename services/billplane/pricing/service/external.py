"""Asking external price sources: once a while, with the last good answer to fall back on."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import rfc8785
from yarl import URL

from billplane.chassis import ids, logging
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError
from billplane.chassis.http_client import HttpClient
from billplane.chassis.sealing import SealBroken, Sealer
from billplane.pricing import domain, repository
from billplane.pricing.cache import cache_price, cached_price
from billplane.pricing.domain import FetchedPrice, Prices, Question, UsageColumns
from billplane.pricing.errors import PriceAnswerInvalid, PriceUnavailable, TooManyPrices
from billplane.pricing.models import ExternalPriceRow, PlanSecretRow
from billplane.protos.pricing.v1.pricing_pb2 import SecretValues
from billplane.resources import BillingPlanSpec
from billplane.resources.common import parse_duration

QUESTIONS_MAX: Final = 200
ANSWER_BYTES_MAX: Final = 64 * 1024
_AT_ONCE: Final = 8
_log = logging.get("pricing")


class PriceSources:
    """The way to external sources: the client behind its guard, and the sealer of secrets."""

    def __init__(self, client: HttpClient, sealer: Sealer) -> None:
        self.client = client
        self.sealer = sealer


async def fetch_prices(
    call: Call,
    sources: PriceSources,
    spec: BillingPlanSpec,
    usage: Mapping[str, UsageColumns],
    *,
    plan: str,
    customer: str,
    at: datetime,
) -> Prices:
    """Return what external sources say the usage costs; plans without any ask nobody.

    An answer serves for the model's cacheTTL. A source that fails is replaced by its last good
    answer, marked stale, where the model says so and the answer is not older than maxAge.

    Raises: PriceUnavailable, TooManyPrices.
    """
    asked = list(domain.questions(spec, usage, customer=customer, at=at))
    if not asked:
        return {}
    if len(asked) > QUESTIONS_MAX:
        raise TooManyPrices(
            f"the usage falls into {len(asked)} groups; external sources are asked about at most"
            f" {QUESTIONS_MAX}"
        )
    fetching = _Fetching(call, sources, plan, spec, customer)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def fetch(question: Question) -> FetchedPrice:
        async with limit:
            return await fetching.price(question)

    found = await asyncio.gather(*(fetch(question) for question in asked))
    prices: dict[str, dict[tuple[str, ...], FetchedPrice]] = defaultdict(dict)
    for question, price in zip(asked, found, strict=True):
        prices[question.charge][question.group] = price
    return prices


def place_of(held: PlanSecretRow) -> tuple[str, ...]:
    """Name the one place where a sealed row opens."""
    return "plan_secrets", held.tenant_id, held.plan_id


class _Fetching:
    """The questions of one call."""

    def __init__(
        self,
        call: Call,
        sources: PriceSources,
        plan: str,
        spec: BillingPlanSpec,
        customer: str,
    ) -> None:
        self._call = call
        self._sources = sources
        self._plan = plan
        self._spec = spec
        self._customer = customer

    async def price(self, question: Question) -> FetchedPrice:
        """Return a price from the cache, from the source, or the last good one."""
        key = self._key("price", {"fields": question.fields, "standing": question.standing})
        held = await self._cached(key)
        if held is not None:
            return held
        try:
            return await self._fresh(question, key)
        except (BillplaneError, TimeoutError) as error:
            reason = str(error) or f"no answer within {question.model.timeout}"
            _log.warning("price_source_failed", charge=question.charge, error=reason)
            return await self._last_good(question, reason)

    async def _fresh(self, question: Question, key: str) -> FetchedPrice:
        model = question.model
        headers = await self._headers(question)
        url, body = model.url, None
        if model.method == "GET":
            url = str(URL(url).update_query({k: _plain(v) for k, v in question.fields.items()}))
        else:
            body = dict(question.fields)
        async with asyncio.timeout(parse_duration(model.timeout).total_seconds()):
            fetched = await self._sources.client.fetch(
                url,
                method=model.method,
                headers=headers,
                json=body,
                answer_bytes_kept=ANSWER_BYTES_MAX,
            )
        if not 200 <= fetched.status < 300:
            raise PriceAnswerInvalid(f"the price source answered {fetched.status}")
        answer = domain.read_answer(fetched.body, model, self._spec.currency)
        price = FetchedPrice(
            id=ids.new("xpr"),
            amount=None if answer.amount is None else Decimal(answer.amount),
            unit_amount=None if answer.unit_amount is None else Decimal(answer.unit_amount),
            asked={"url": model.url, "method": model.method, "fields": dict(question.fields)},
            answered={"status": fetched.status, "body": json.loads(fetched.body, parse_float=str)},
            fetched_at=self._call.runtime.clock.now().astimezone(UTC),
        )
        await self._store(question, price)
        await self._cache(key, price, parse_duration(model.cache_ttl))
        return price

    async def _headers(self, question: Question) -> dict[str, str]:
        reference = question.model.secret_ref
        if reference is None:
            return {}
        async with self._call.reading() as tx:
            held = await repository.plan_secret(tx, self._plan)
            row = await repository.price_secret(tx, reference.name, reference.key)
        if held is not None and (token := self._provided(held, reference.name, reference.key)):
            return {"Authorization": f"Bearer {token}"}
        if row is None:
            raise PriceUnavailable(
                f"there is no secret {reference.name}/{reference.key}: put it with"
                " PUT /v1/price_secrets, or make the Secret beside the BillingPlan"
            )
        place = (row.tenant_id, row.name, row.key)
        token = self._sources.sealer.open(row.sealed, *place).decode()
        return {"Authorization": f"Bearer {token}"}

    def _provided(self, held: PlanSecretRow, name: str, key: str) -> str:
        """Return the token that the operator handed over; empty where it is none of its Secrets."""
        try:
            content = self._sources.sealer.open(held.sealed, *place_of(held))
        except SealBroken:
            return ""  # sealed with a key before; the operator hands it over anew
        values = SecretValues.FromString(content).values
        found = (item.content for item in values if (item.name, item.key) == (name, key))
        return next(found, b"").decode()

    async def _store(self, question: Question, price: FetchedPrice) -> None:
        async with self._call.writing() as tx:
            tx.session.add(
                ExternalPriceRow(
                    tenant_id=tx.tenant_id,
                    id=price.id,
                    livemode=tx.livemode,
                    plan_id=self._plan,
                    charge=question.charge,
                    customer_id=self._customer,
                    standing_hash=self._key("standing", question.standing),
                    asked=price.asked,
                    answered=price.answered,
                    amount=_text(price.amount),
                    unit_amount=_text(price.unit_amount),
                    currency_code=self._spec.currency,
                    fetched_at=price.fetched_at,
                )
            )

    async def _last_good(self, question: Question, reason: str) -> FetchedPrice:
        model = question.model
        refused = PriceUnavailable(
            f"the price of charge {question.charge} cannot be had: {reason}",
            metadata={"charge": question.charge},
            retry_after_seconds=30,
        )
        if model.on_failure != "LastGood" or model.max_age is None:
            raise refused
        since = self._call.runtime.clock.now() - parse_duration(model.max_age)
        async with self._call.reading() as tx:
            row = await repository.last_good_price(
                tx, self._key("standing", question.standing), since
            )
        if row is None:
            raise refused
        return FetchedPrice(
            id=row.id,
            amount=_decimal(row.amount),
            unit_amount=_decimal(row.unit_amount),
            asked=row.asked,
            answered=row.answered,
            fetched_at=row.fetched_at,
            stale=True,
        )

    async def _cached(self, key: str) -> FetchedPrice | None:
        held = await cached_price(self._call.runtime, key)
        if held is None:
            return None
        values: dict[str, Any] = json.loads(held)
        return FetchedPrice(
            **values
            | {
                "amount": _decimal(values["amount"]),
                "unit_amount": _decimal(values["unit_amount"]),
                "fetched_at": datetime.fromisoformat(values["fetched_at"]),
            }
        )

    async def _cache(self, key: str, price: FetchedPrice, life: timedelta) -> None:
        held = json.dumps(
            {
                "id": price.id,
                "amount": _text(price.amount),
                "unit_amount": _text(price.unit_amount),
                "asked": price.asked,
                "answered": price.answered,
                "fetched_at": price.fetched_at.isoformat(),
            }
        )
        await cache_price(self._call.runtime, key, held, life)

    def _key(self, kind: str, of: Any) -> str:
        caller = self._call.principal
        place = [caller.tenant_id, caller.livemode, self._plan, self._spec.currency, of]
        return f"{kind}:{hashlib.sha256(rfc8785.dumps(place)).hexdigest()}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def asks_others(spec: BillingPlanSpec) -> bool:
    """Tell whether a plan has prices of external sources."""
    return any(
        charge.usage is not None and charge.usage.model.external is not None
        for charge in spec.charges
    )


def external_charges(spec: BillingPlanSpec) -> Sequence[str]:
    """Name the charges whose prices external sources say."""
    return [
        charge.name
        for charge in spec.charges
        if charge.usage is not None and charge.usage.model.external is not None
    ]
