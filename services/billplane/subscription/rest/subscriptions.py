"""REST of subscription."""

from typing import Any

from fastapi import Response

from billplane.chassis.events.envelope import payload_of
from billplane.chassis.rest import Caller, Here, PageQuery, Reader, Steps, Writer, listing, router
from billplane.subscription import schemas
from billplane.subscription.models import BillingRunRow, CustomerRow, TestClockRow
from billplane.subscription.rest.answers import subscription_of
from billplane.subscription.service import billing, clocks, customers, runs, subscriptions

rest = router(tags=["subscription"])


@rest.post("/v1/customers", status_code=201)
async def create_customer(
    body: schemas.CustomerBody, tx: Writer, response: Response
) -> schemas.Customer:
    """Create a customer."""
    values = body.model_dump()
    new = customers.NewCustomer(**{**values, "tax_ids": tuple(values["tax_ids"])})
    row = await customers.create_customer(tx, new)
    response.headers["Location"] = f"/v1/customers/{row.id}"
    return _customer(row)


@rest.get("/v1/customers")
async def list_customers(
    tx: Reader, page: PageQuery, test_clock_id: str | None = None
) -> schemas.CustomerList:
    """List customers."""
    rows, cursor = await customers.list_customers(tx, page, test_clock_id)
    return schemas.CustomerList(**listing([_customer(row) for row in rows], cursor))


@rest.get("/v1/customers/{customer}")
async def get_customer(customer: str, tx: Reader) -> schemas.Customer:
    """Return a customer by id or external_id."""
    row, _ = await customers.get_customer(tx, customer)
    return _customer(row)


@rest.patch("/v1/customers/{customer}")
async def change_customer(
    customer: str, body: schemas.CustomerPatch, tx: Writer
) -> schemas.Customer:
    """Change a customer."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return _customer(await customers.change_customer(tx, customer, changes))


@rest.delete("/v1/customers/{customer}", status_code=204)
async def delete_customer(customer: str, tx: Writer) -> None:
    """Delete a customer that never subscribed."""
    await customers.delete_customer(tx, customer)


@rest.post("/v1/subscriptions", status_code=201)
async def create_subscription(
    body: schemas.SubscriptionBody, call: Steps, response: Response
) -> schemas.Subscription:
    """Subscribe a customer to a plan."""
    row = await subscriptions.create_subscription(
        call,
        customer_id=body.customer_id,
        plan=body.plan,
        starts_at=body.starts_at,
        coupon_codes=body.coupon_codes,
        metadata=body.metadata,
    )
    response.headers["Location"] = f"/v1/subscriptions/{row.id}"
    return subscription_of(row)


@rest.get("/v1/subscriptions")
async def list_subscriptions(
    tx: Reader, page: PageQuery, customer_id: str | None = None, state: str | None = None
) -> schemas.SubscriptionList:
    """List subscriptions."""
    rows, cursor = await subscriptions.list_subscriptions(tx, page, customer_id, state)
    return schemas.SubscriptionList(**listing([subscription_of(row) for row in rows], cursor))


@rest.get("/v1/subscriptions/{subscription_id}:preview")
async def preview_invoice(subscription_id: str, runtime: Here, caller: Caller) -> dict[str, Any]:
    """Return the invoice of the current period as it would be now; nothing is stored."""
    invoice = await billing.preview(runtime, caller, subscription_id, "preview")
    return payload_of(invoice)


@rest.get("/v1/subscriptions/{subscription_id}")
async def get_subscription(subscription_id: str, tx: Reader) -> schemas.Subscription:
    """Return a subscription."""
    return subscription_of(await subscriptions.get_subscription(tx, subscription_id))


@rest.post("/v1/billing_runs", status_code=202)
async def create_run(body: schemas.RunBody, tx: Writer, response: Response) -> schemas.BillingRun:
    """Bill what has ended; the work goes on after the answer."""
    row = await runs.create_run(tx, at=body.at, customers=body.customer_ids, finalize=body.finalize)
    response.headers["Location"] = f"/v1/billing_runs/{row.id}"
    tx.runtime.state.wake_soon()
    return _run(row)


@rest.get("/v1/billing_runs")
async def list_runs(tx: Reader, page: PageQuery) -> schemas.BillingRunList:
    """List billing runs."""
    rows, cursor = await runs.list_runs(tx, page)
    return schemas.BillingRunList(**listing([_run(row) for row in rows], cursor))


@rest.get("/v1/billing_runs/{run_id}")
async def get_run(run_id: str, tx: Reader) -> schemas.BillingRun:
    """Return a billing run."""
    return _run(await runs.get_run(tx, run_id))


@rest.post("/v1/test_clocks", status_code=201)
async def create_clock(
    body: schemas.ClockBody, tx: Writer, response: Response
) -> schemas.TestClock:
    """Create a test clock."""
    row = await clocks.create_clock(tx, body.name, body.now)
    response.headers["Location"] = f"/v1/test_clocks/{row.id}"
    return _clock(row)


@rest.get("/v1/test_clocks")
async def list_clocks(tx: Reader, page: PageQuery) -> schemas.TestClockList:
    """List test clocks."""
    rows, cursor = await clocks.list_clocks(tx, page)
    return schemas.TestClockList(**listing([_clock(row) for row in rows], cursor))


@rest.post("/v1/test_clocks/{clock_id}:advance")
async def advance_clock(clock_id: str, body: schemas.ClockAdvance, tx: Writer) -> schemas.TestClock:
    """Move a test clock forward."""
    return _clock(await clocks.advance_clock(tx, clock_id, body.to))


@rest.get("/v1/test_clocks/{clock_id}")
async def get_clock(clock_id: str, tx: Reader) -> schemas.TestClock:
    """Return a test clock."""
    return _clock(await clocks.get_clock(tx, clock_id))


def _customer(row: CustomerRow) -> schemas.Customer:
    return schemas.Customer(
        id=row.id,
        external_id=row.external_id,
        livemode=row.livemode,
        name=row.name,
        email=row.email,
        address=row.address,
        tax_ids=row.tax_ids,
        tax_type=row.tax_type,
        user_type=row.user_type,
        currency_code=row.currency_code,
        locale=row.locale,
        payment_terms_days=row.payment_terms_days,
        time_zone=row.time_zone,
        test_clock_id=row.test_clock_id,
        metadata=row.metadata_,
        created_at=row.created_at,
    )


def _run(row: BillingRunRow) -> schemas.BillingRun:
    return schemas.BillingRun(
        id=row.id,
        livemode=row.livemode,
        state=row.state,
        at=row.at,
        finalize=row.finalize,
        automatic=row.automatic,
        periods=row.periods,
        invoiced=row.invoiced,
        failed=len(row.errors),
        errors=[schemas.RunError(**item) for item in row.errors],
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _clock(row: TestClockRow) -> schemas.TestClock:
    return schemas.TestClock(id=row.id, name=row.name, now=row.now, created_at=row.created_at)
