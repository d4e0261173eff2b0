"""Prices one by one: each charge of each version of a plan; and secrets of external sources."""

from collections.abc import Sequence

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.pricing import repository
from billplane.pricing.errors import PriceNotFound, PriceSecretNotFound
from billplane.pricing.models import ExternalPriceRow, PlanRow, PlanVersionRow, PriceRow
from billplane.pricing.service.external import PriceSources
from billplane.resources import BillingPlanSpec


def rows_of(row: PlanRow, version: PlanVersionRow, spec: BillingPlanSpec) -> list[PriceRow]:
    """Make the prices of a version, one per charge."""
    return [
        PriceRow(
            tenant_id=row.tenant_id,
            id=f"{version.id.replace('plv_', 'price_')}{position:03}",
            plan_id=row.id,
            plan_name=row.name,
            version=version.version,
            charge=charge.name,
            meter=charge.usage.meter if charge.usage is not None else "",
            model=_model_of(document),
            currency_code=spec.currency,
            spec=document,
            created_at=version.created_at,
        )
        for position, (charge, document) in enumerate(
            zip(spec.charges, spec.document()["charges"], strict=True), 1
        )
    ]


async def get_price(tx: ReadTransaction, price_id: str) -> PriceRow:
    """Return one price, of whatever version.

    Raises: PriceNotFound, ScopeMissing.
    """
    tx.authorize("plans:read")
    row = await repository.price(tx, price_id)
    if row is None:
        raise PriceNotFound(f"there is no price {price_id}", metadata={"price": price_id})
    return row


async def list_prices(
    tx: ReadTransaction, page: Page, *, plan_id: str | None, version: int | None, meter: str | None
) -> tuple[Sequence[PriceRow], str | None]:
    """Return a page of the prices of plans in use, each at its newest version."""
    tx.authorize("plans:read")
    return await repository.page_of_prices(tx, page, plan_id=plan_id, version=version, meter=meter)


async def list_external_prices(
    tx: ReadTransaction, page: Page, *, plan_id: str | None, charge: str | None
) -> tuple[Sequence[ExternalPriceRow], str | None]:
    """Return a page of what external sources were asked and answered."""
    tx.authorize("plans:read")
    return await repository.page_of_external_prices(tx, page, plan_id=plan_id, charge=charge)


async def put_secret(
    tx: Transaction, sources: PriceSources, name: str, key: str, value: str
) -> None:
    """Keep a bearer token that plans name by secretRef, sealed; nobody reads it back."""
    tx.authorize("plans:write")
    sealed = sources.sealer.seal(value.encode(), tx.tenant_id, name, key)
    await repository.put_price_secret(tx, name, key, sealed)


async def drop_secret(tx: Transaction, name: str, key: str) -> None:
    """Forget a bearer token.

    Raises: PriceSecretNotFound, ScopeMissing.
    """
    tx.authorize("plans:write")
    if not await repository.drop_price_secret(tx, name, key):
        raise PriceSecretNotFound(f"there is no secret {name}/{key}")


def sources_of(call: Call) -> PriceSources:
    """Return the process's way to external sources."""
    found: PriceSources = call.runtime.state.sources
    return found


def _model_of(charge: dict[str, dict[str, dict[str, object]]]) -> str:
    usage = charge.get("usage")
    return "recurring" if usage is None else next(iter(usage["model"]))
