"""What must always be true of tax."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.tax.models import TaxCalculationRow


async def calculations_add_up(session: AsyncSession) -> list[Violation]:
    """Check that each total is net plus tax, and that lines and groups sum to it."""
    found = []
    for row in await session.scalars(select(TaxCalculationRow)):
        lines_net = sum(line["net_minor"] for line in row.lines)
        lines_tax = sum(line["tax_minor"] for line in row.lines)
        groups_tax = sum(group["tax_minor"] for group in row.groups)
        if (
            row.total_minor != row.net_minor + row.tax_minor
            or lines_net != row.net_minor
            or not lines_tax == groups_tax == row.tax_minor
        ):
            found.append(
                Violation(
                    "calculations_add_up",
                    row.tenant_id,
                    row.id,
                    f"net {row.net_minor}, tax {row.tax_minor}, total {row.total_minor};"
                    f" lines {lines_net} + {lines_tax}, groups {groups_tax}",
                )
            )
    return found
