"""REST of pricing."""

from datetime import UTC
from typing import Annotated

from fastapi import Query, Response

from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.pricing import schemas
from billplane.pricing.domain import Item, RatedLine, shown
from billplane.pricing.models import PriceRow
from billplane.pricing.service import plans, prices, quotes
from billplane.pricing.service.external import PriceSources

rest = router(tags=["pricing"])

Version = Annotated[int, Query(ge=0, le=2**31 - 1, description="0 = the newest")]


@rest.post("/v1/plans", status_code=201)
async def create_plan(body: schemas.PlanBody, tx: Writer, response: Response) -> schemas.Plan:
    """Create a plan."""
    found = await plans.create_plan(tx, body.name, body.spec)
    response.headers["Location"] = f"/v1/plans/{found.row.id}"
    return _plan(found)


@rest.get("/v1/plans")
async def list_plans(tx: Reader, page: PageQuery) -> schemas.PlanList:
    """List the plans in use, each at its newest version."""
    found, cursor = await plans.list_plans(tx, page)
    return schemas.PlanList(**listing([_plan(item) for item in found], cursor))


@rest.post("/v1/plans/{plan}:archive")
async def archive_plan(plan: str, tx: Writer) -> schemas.Plan:
    """Take a plan out of sale; who has it is billed by it on."""
    return _plan(await plans.archive_plan(tx, plan))


@rest.get("/v1/plans/{plan}/versions")
async def list_versions(plan: str, tx: Reader, page: PageQuery) -> schemas.PlanList:
    """List a plan's versions."""
    found, cursor = await plans.list_versions(tx, plan, page)
    return schemas.PlanList(**listing([_plan(item) for item in found], cursor))


@rest.get("/v1/plans/{plan}")
async def get_plan(plan: str, tx: Reader, version: Version = 0) -> schemas.Plan:
    """Return one version of a plan by id or name, the newest by default."""
    return _plan(await plans.get_plan(tx, plan, version))


@rest.patch("/v1/plans/{plan}")
async def change_plan(plan: str, body: schemas.PlanPatch, tx: Writer) -> schemas.Plan:
    """Merge a patch into a plan's spec; a change is the next version."""
    return _plan(await plans.change_plan(tx, plan, body.spec))


@rest.delete("/v1/plans/{plan}", status_code=204)
async def delete_plan(plan: str, call: Steps) -> None:
    """Archive a plan that nobody has."""
    await plans.delete_plan(call, plan)


@rest.post("/v1/quotes")
async def create_quote(body: schemas.QuoteBody, call: Steps) -> schemas.Quote:
    """Tell what one period would cost: fees, usage, commitment and maximum."""
    at = body.at
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    quote = await quotes.quote_period(
        call,
        plan=body.plan,
        version=body.version,
        items=[Item(item.meter, item.quantity, item.dimensions) for item in body.items],
        at=at,
        currency_code=body.currency_code or "",
        customer=body.customer_id,
    )
    plan = quote.plan
    return schemas.Quote(
        plan=schemas.QuotePlan(id=plan.row.id, name=plan.row.name, version=plan.version.version),
        currency_code=quote.currency,
        starts_at=quote.period.starts_at,
        ends_at=quote.period.ends_at,
        lines=[_line(line) for line in quote.lines],
        total_minor=quote.total_minor,
        exact_amount=shown(quote.exact_amount),
        rate=_rate(quote),
    )


@rest.post("/v1/prices:calculate")
async def calculate_price(body: schemas.PriceQuestion, call: Steps) -> schemas.PriceAnswer:
    """Price some quantity of one meter, without the plan's fees and bounds."""
    item = Item(body.meter, body.quantity, body.dimensions)
    quote = await quotes.calculate_price(
        call,
        plan=body.plan,
        version=body.version,
        item=item if body.meter or (body.price and body.quantity) else None,
        at=body.at,
        currency_code=body.currency_code or "",
        customer=body.customer_id,
        price=body.price,
    )
    plan = quote.plan
    return schemas.PriceAnswer(
        plan=schemas.QuotePlan(id=plan.row.id, name=plan.row.name, version=plan.version.version),
        currency_code=quote.currency,
        lines=[_line(line) for line in quote.lines],
        total_minor=quote.total_minor,
        exact_amount=shown(quote.exact_amount),
        price_version=plan.version.version,
        rate=_rate(quote),
    )


@rest.get("/v1/prices")
async def list_prices(
    tx: Reader,
    page: PageQuery,
    plan: str | None = None,
    version: Version = 0,
    meter: str | None = None,
) -> schemas.PriceList:
    """List prices: of the plans in use at their newest versions, or of one plan's version."""
    plan_id = (await plans.get_plan(tx, plan, version)).row.id if plan else None
    rows, cursor = await prices.list_prices(
        tx, page, plan_id=plan_id, version=version or None, meter=meter
    )
    return schemas.PriceList(**listing([_price(row) for row in rows], cursor))


@rest.get("/v1/prices/{price_id}")
async def get_price(price_id: str, tx: Reader) -> schemas.Price:
    """Return one price, of whatever version."""
    return _price(await prices.get_price(tx, price_id))


@rest.get("/v1/external_prices")
async def list_external_prices(
    tx: Reader, page: PageQuery, plan: str | None = None, charge: str | None = None
) -> schemas.ExternalPriceList:
    """List what external sources were asked and answered."""
    plan_id = (await plans.get_plan(tx, plan)).row.id if plan else None
    rows, cursor = await prices.list_external_prices(tx, page, plan_id=plan_id, charge=charge)
    data = [schemas.ExternalPrice.model_validate(row) for row in rows]
    return schemas.ExternalPriceList(**listing(data, cursor))


@rest.put("/v1/price_secrets", status_code=204)
async def put_secret(body: schemas.SecretBody, tx: Writer) -> None:
    """Keep a bearer token for external price sources; nobody reads it back."""
    sources: PriceSources = tx.runtime.state.sources
    await prices.put_secret(tx, sources, body.name, body.key, body.value)


@rest.delete("/v1/price_secrets/{name}/{key}", status_code=204)
async def drop_secret(name: str, key: str, tx: Writer) -> None:
    """Forget a bearer token."""
    await prices.drop_secret(tx, name, key)


def _rate(quote: quotes.Quote) -> schemas.QuoteRate | None:
    if quote.rate is None:
        return None
    return schemas.QuoteRate(
        rate=f"{quote.rate.rate:f}",
        rate_id=quote.rate.rate_id,
        as_of=quote.rate.as_of,
        stale=quote.rate.stale,
    )


def _price(row: PriceRow) -> schemas.Price:
    return schemas.Price(
        id=row.id,
        plan_id=row.plan_id,
        plan_name=row.plan_name,
        version=row.version,
        charge=row.charge,
        meter=row.meter or None,
        model=row.model,
        currency_code=row.currency_code,
        spec=row.spec,
        created_at=row.created_at,
    )


def _plan(found: plans.PlanView) -> schemas.Plan:
    return schemas.Plan(
        id=found.row.id,
        name=found.row.name,
        origin=found.row.origin,
        state=found.state,
        version=found.version.version,
        spec_hash=found.spec_hash,
        spec=found.version.spec,
        created_at=found.version.created_at,
    )


def _line(line: RatedLine) -> schemas.QuoteLine:
    return schemas.QuoteLine(
        charge=line.charge,
        kind=line.kind,
        description=line.description,
        quantity=shown(line.quantity),
        unit=line.unit,
        unit_amount=None if line.unit_amount is None else shown(line.unit_amount),
        exact_amount=shown(line.exact_amount),
        amount_minor=line.amount_minor,
        tax_category=line.tax_category,
        detail=line.detail,
        starts_at=line.starts_at,
        ends_at=line.ends_at,
    )
