"""Every SQL statement of tax."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.tax.domain import Rule
from billplane.tax.models import TaxCalculationRow, TaxRuleRow, TaxSettingsRow


async def own_rules(tx: ReadTransaction, country: str) -> list[Rule]:
    """Return the tenant's rules of one country."""
    rows = await tx.session.scalars(select(TaxRuleRow).where(TaxRuleRow.country == country))
    return [rule_of(row) for row in rows]


async def page_of_rules(
    tx: ReadTransaction, country: str | None, page: Page
) -> tuple[list[Rule], str | None]:
    """Return a page of the tenant's rules."""
    query = select(TaxRuleRow)
    if country:
        query = query.where(TaxRuleRow.country == country)
    rows, cursor = await fetch_page(tx, query, TaxRuleRow.id, page)
    return [rule_of(row) for row in rows], cursor


async def rule(tx: ReadTransaction, rule_id: str) -> TaxRuleRow | None:
    """Return one rule of the tenant."""
    return await tx.session.get(TaxRuleRow, (tx.tenant_id, rule_id))


async def newest_version(tx: Transaction, series: str) -> TaxRuleRow | None:
    """Return the newest version of a rule, locked until the transaction ends."""
    query = (
        select(TaxRuleRow)
        .where(TaxRuleRow.series == series)
        .order_by(TaxRuleRow.version.desc())
        .limit(1)
        .with_for_update()
    )
    return (await tx.session.scalars(query)).one_or_none()


async def seller_country(tx: ReadTransaction) -> str:
    """Return where the tenant is established, '' when it has not said."""
    row = await tx.session.get(TaxSettingsRow, tx.tenant_id)
    return row.country if row else ""


async def set_seller_country(tx: Transaction, country: str) -> None:
    """Store where the tenant is established."""
    statement = insert(TaxSettingsRow).values(
        tenant_id=tx.tenant_id, country=country, updated_at=tx.now
    )
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id"], set_={"country": country, "updated_at": tx.now}
        )
    )


async def calculation(tx: ReadTransaction, calculation_id: str) -> TaxCalculationRow | None:
    """Return one calculation of the tenant and mode."""
    row = await tx.session.get(TaxCalculationRow, (tx.tenant_id, calculation_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def page_of_calculations(
    tx: ReadTransaction, reference: str | None, customer_id: str | None, page: Page
) -> tuple[Sequence[TaxCalculationRow], str | None]:
    """Return a page of calculations."""
    query = select(TaxCalculationRow).where(TaxCalculationRow.livemode == tx.livemode)
    if reference:
        query = query.where(TaxCalculationRow.reference == reference)
    if customer_id:
        query = query.where(TaxCalculationRow.customer_id == customer_id)
    return await fetch_page(tx, query, TaxCalculationRow.id, page)


def rule_of(row: TaxRuleRow) -> Rule:
    """Return a row as a rule."""
    return Rule(
        id=row.id,
        country=row.country,
        category=row.category,
        treatment=row.treatment,
        rate=row.rate,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        region=row.region,
        postal_prefix=row.postal_prefix,
        customer_id=row.customer_id,
        tax_type=row.tax_type,
        stacked=row.stacked,
        label=row.label,
        county=row.county,
        city=row.city,
        level=row.level,
        plan=row.plan,
        version=row.version,
        series=row.series,
    )
