"""What customers owe, by age."""

from datetime import date
from typing import Annotated

from fastapi import Query

from billplane.chassis.fields import CalendarDate
from billplane.chassis.rest import PageQuery, Reader, listing, router
from billplane.invoice.schemas import credit_notes as schemas
from billplane.invoice.service import receivables

rest = router(tags=["receivables"])


@rest.get("/v1/receivables")
async def list_receivables(
    tx: Reader,
    page: PageQuery,
    as_of: CalendarDate | None = None,
    customer_id: str = "",
    currency_code: Annotated[str, Query(pattern="^([A-Z]{3})?$")] = "",
) -> schemas.ReceivableList:
    """List what customers owed at the end of a day, by currency and how long it is past due."""
    day: date = as_of or tx.now.date()
    rows, totals, cursor = await receivables.list_receivables(
        tx, day, customer_id, currency_code, page
    )
    data = [schemas.Receivable.model_validate(row) for row in rows]
    return schemas.ReceivableList(
        as_of=day,
        totals=[schemas.Owed.model_validate(row) for row in totals],
        **listing(data, cursor),
    )
