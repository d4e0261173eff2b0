"""gRPC of pricing."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import rfc8785

from billplane.chassis.applied import application_of, told
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.pricing.domain import Item, Period, RatedLine, UsageLists, require_usual, shown
from billplane.pricing.errors import PeriodInvalid, UsageShapeMismatch
from billplane.pricing.service import plan_secrets, plans, quotes, rating
from billplane.pricing.service.external import PriceSources
from billplane.protos.pricing.v1 import pricing_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["PricingService"])


@rpc.write
async def ApplyPlan(tx: Transaction, request: pb.ApplyPlanRequest) -> pb.ApplyPlanResponse:
    """Make the service run a plan's spec."""
    found = await plans.apply_plan(tx, application_of(request))
    held = await plan_secrets.digests(tx, [found.row.id])
    return pb.ApplyPlanResponse(
        id=found.row.id,
        version=found.version.version,
        spec_hash=found.spec_hash,
        source_digest=held.get(found.row.id, ""),
    )


@rpc.write
async def ProvideSecrets(
    tx: Transaction, request: pb.ProvideSecretsRequest
) -> pb.ProvideSecretsResponse:
    """Hold what a plan names of its namespace."""
    sources: PriceSources = tx.runtime.state.sources
    await plan_secrets.provide_secrets(
        tx, sources, request.uid, request.epoch, request.digest, list(request.values)
    )
    return pb.ProvideSecretsResponse()


@rpc.steps
async def RemovePlan(call: Call, request: pb.RemovePlanRequest) -> pb.RemovePlanResponse:
    """Take a resource's plan out of sale."""
    unused = request.policy == pb.REMOVE_POLICY_DELETE
    await plans.remove_plan(call, request.uid, request.generation, request.epoch, unused=unused)
    return pb.RemovePlanResponse()


@rpc.read
async def ListApplied(
    tx: ReadTransaction, request: pb.ListAppliedRequest
) -> pb.ListAppliedResponse:
    """List what the operator applied."""
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await plans.list_applied(tx, page)
    held = await plan_secrets.digests(tx, [item.row.id for item in found])
    return pb.ListAppliedResponse(
        applied=[
            pb.Applied(**told(item.row, item.spec_hash), source_digest=held.get(item.row.id, ""))
            for item in found
        ],
        next_page_token=cursor or "",
    )


@rpc.write
async def CreatePlan(tx: Transaction, request: pb.CreatePlanRequest) -> pb.CreatePlanResponse:
    """Create a plan by the API."""
    try:
        spec = json.loads(request.spec_json)
    except (ValueError, RecursionError):
        raise Invalid([FieldError("spec_json", "BODY_MALFORMED", "not JSON")]) from None
    return pb.CreatePlanResponse(plan=_plan(await plans.create_plan(tx, request.name, spec)))


@rpc.write
async def PublishPlanVersion(
    tx: Transaction, request: pb.PublishPlanVersionRequest
) -> pb.PublishPlanVersionResponse:
    """Publish the next version of a plan that the API owns."""
    found = await plans.publish_version(tx, _named(request.id), request.spec_json)
    return pb.PublishPlanVersionResponse(plan=_plan(found))


@rpc.write
async def ArchivePlan(tx: Transaction, request: pb.ArchivePlanRequest) -> pb.ArchivePlanResponse:
    """Take a plan out of sale."""
    return pb.ArchivePlanResponse(plan=_plan(await plans.archive_plan(tx, _named(request.id))))


@rpc.read
async def GetPlan(tx: ReadTransaction, request: pb.GetPlanRequest) -> pb.GetPlanResponse:
    """Return one version of a plan."""
    if request.without_spec:
        named = await plans.name_plan(tx, request.id, request.version)
        return pb.GetPlanResponse(plan=pb.Plan(id=named.id, name=named.name, version=named.version))
    at = from_timestamp(request, "at")
    if at is not None and not request.version:
        view, later = await plans.plan_at(tx, request.id, at)
        return pb.GetPlanResponse(plan=_plan(view), upcoming=map(_upcoming, later))
    return pb.GetPlanResponse(plan=_plan(await plans.get_plan(tx, request.id, request.version)))


def _upcoming(view: plans.PlanView) -> pb.UpcomingVersion:
    rollout = plans.spec_of(view.version).rollout
    return pb.UpcomingVersion(
        version=view.version.version,
        effective_at=to_timestamp(rollout.effective_from),
        apply_to=rollout.apply_to.lower(),
        customer_ids=rollout.selector.customers if rollout.selector is not None else (),
    )


@rpc.read
async def ListPlans(tx: ReadTransaction, request: pb.ListPlansRequest) -> pb.ListPlansResponse:
    """List plans."""
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await plans.list_plans(tx, page)
    return pb.ListPlansResponse(plans=map(_plan, found), next_page_token=cursor or "")


@rpc.read
async def ListPlanVersions(
    tx: ReadTransaction, request: pb.ListPlanVersionsRequest
) -> pb.ListPlanVersionsResponse:
    """List the versions of one plan."""
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await plans.list_versions(tx, _named(request.id), page)
    return pb.ListPlanVersionsResponse(plans=map(_plan, found), next_page_token=cursor or "")


@rpc.steps
async def RatePeriod(call: Call, request: pb.RatePeriodRequest) -> pb.RatePeriodResponse:
    """Turn the usage and fees of one period into priced lines."""
    period = _period(request, "starts_at", "ends_at")
    if period is None:
        raise PeriodInvalid("a period begins and ends", field="starts_at")
    rated = await rating.rate_period(
        call,
        rating.PeriodToRate(
            plan=request.plan_id,
            version=request.version,
            period=period,
            nominal=_period(request, "nominal_starts_at", "nominal_ends_at"),
            advance=_period(request, "advance_starts_at", "advance_ends_at"),
            advance_only=request.advance_only,
            target_currency=request.target_currency,
            rate=request.rate,
            rate_id=request.rate_id,
            row_count=sum(len(usage.rows) for usage in request.usage),
            spec_json=request.spec_json,
            read_usage=lambda: _usage(request.usage),
            customer=request.customer_id,
            at=_instant(request, "at"),
        ),
    )
    return pb.RatePeriodResponse(
        lines=map(_line, rated.lines),
        currency_code=rated.currency,
        subtotal_minor=sum(line.amount_minor for line in rated.lines),
    )


@rpc.steps
async def CalculatePrice(
    call: Call, request: pb.CalculatePriceRequest
) -> pb.CalculatePriceResponse:
    """Price some quantity of one meter on a plan."""
    item = Item(request.meter, request.quantity, dict(request.dimensions))
    quote = await quotes.calculate_price(
        call,
        plan=request.plan_id,
        version=request.version,
        item=item if request.meter or (request.price_id and request.quantity) else None,
        at=from_timestamp(request, "at"),
        currency_code=request.currency_code,
        customer=request.customer_id,
        price=request.price_id,
    )
    return pb.CalculatePriceResponse(
        lines=map(_line, quote.lines),
        currency_code=quote.currency,
        total_minor=quote.total_minor,
        exact_amount=shown(quote.exact_amount),
        version=quote.plan.version.version,
        rate_id=quote.rate.rate_id if quote.rate else "",
        plan_id=quote.plan.row.id,
    )


def _named(plan: str) -> str:
    if not plan:
        raise Invalid([FieldError("id", "REQUIRED", "the id or name of a plan is required")])
    return plan


def _instant(message: pb.RatePeriodRequest, field: str) -> datetime | None:
    found: datetime | None = from_timestamp(message, field)
    if found is not None:
        require_usual(found, field)
    return found


def _period(message: pb.RatePeriodRequest, starts_at: str, ends_at: str) -> Period | None:
    first, last = _instant(message, starts_at), _instant(message, ends_at)
    if first is None and last is None:
        return None
    if first is None or last is None:
        missing = starts_at if first is None else ends_at
        raise PeriodInvalid(f"{missing} is required beside the other", field=missing)
    try:
        return Period(first, last)
    except PeriodInvalid as error:
        error.field = ends_at
        raise


def _usage(usage: Sequence[pb.ChargeUsage]) -> Mapping[str, UsageLists]:
    """Read the usage by charge; several parts of one charge are joined.

    Raises: UsageShapeMismatch.
    """
    rows: dict[str, list[pb.UsageRow]] = defaultdict(list)
    for part in usage:
        rows[part.charge].extend(part.rows)
    return {charge: _lists(charge, found) for charge, found in rows.items()}


def _lists(charge: str, rows: Sequence[pb.UsageRow]) -> UsageLists:
    try:
        return UsageLists(
            starts_at=[row.starts_at.seconds for row in rows],
            seconds=[row.seconds for row in rows],
            quantity=[row.quantity for row in rows],
            event_count=[row.event_count for row in rows],
            dimensions=list(zip(*(row.dimensions for row in rows), strict=True)),
            properties=list(zip(*(row.properties for row in rows), strict=True)),
        )
    except ValueError:
        raise UsageShapeMismatch(
            f"the usage rows of charge {charge} must all have the same dimensions",
            field="usage",
            metadata={"charge": charge},
        ) from None


def _line(line: RatedLine) -> pb.RatedLine:
    return pb.RatedLine(
        charge=line.charge,
        kind=line.kind,
        description=line.description,
        quantity=shown(line.quantity),
        unit=line.unit,
        unit_amount="" if line.unit_amount is None else shown(line.unit_amount),
        exact_amount=shown(line.exact_amount),
        amount_minor=line.amount_minor,
        tax_category=line.tax_category or "",
        detail_json=json.dumps(line.detail, ensure_ascii=False, separators=(",", ":")),
        starts_at=to_timestamp(line.starts_at),
        ends_at=to_timestamp(line.ends_at),
    )


def _plan(found: plans.PlanView) -> pb.Plan:
    return pb.Plan(
        id=found.row.id,
        name=found.row.name,
        origin=found.row.origin,
        version=found.version.version,
        spec_hash=found.spec_hash,
        spec_json=rfc8785.dumps(found.version.spec).decode(),
        state=found.state,
        created_at=to_timestamp(found.version.created_at),
    )
