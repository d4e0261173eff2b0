"""gRPC of subscription."""

from typing import Any

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.protos.subscription.v1 import subscription_pb2 as pb
from billplane.subscription.models import BillingRunRow, CustomerRow, SubscriptionRow
from billplane.subscription.schemas import CustomerBody, CustomerPatch
from billplane.subscription.service import customers, runs, subscriptions

rpc = Rpc(pb.DESCRIPTOR.services_by_name["SubscriptionService"])


@rpc.write
async def CreateCustomer(
    tx: Transaction, request: pb.CreateCustomerRequest
) -> pb.CreateCustomerResponse:
    """Create a customer."""
    values = parse_body(CustomerBody, _customer_values(request.customer)).model_dump()
    new = customers.NewCustomer(**{**values, "tax_ids": tuple(values["tax_ids"])})
    return pb.CreateCustomerResponse(customer=_customer(await customers.create_customer(tx, new)))


@rpc.read
async def GetCustomer(
    tx: ReadTransaction, request: pb.GetCustomerRequest
) -> pb.GetCustomerResponse:
    """Return a customer by id or external_id."""
    row, now = await customers.get_customer(tx, request.id)
    return pb.GetCustomerResponse(customer=_customer(row), now=to_timestamp(now))


@rpc.write
async def UpdateCustomer(
    tx: Transaction, request: pb.UpdateCustomerRequest
) -> pb.UpdateCustomerResponse:
    """Change a customer."""
    given: dict[str, Any] = {
        name: getattr(request, name) for name in ("name", "email") if request.HasField(name)
    }
    if request.HasField("address"):
        given["address"] = _address_values(request.address)
    if request.replace_metadata:
        given["metadata"] = dict(request.metadata)
    changes = parse_body(CustomerPatch, given).model_dump(exclude_unset=True)
    row = await customers.change_customer(tx, request.id, changes)
    return pb.UpdateCustomerResponse(customer=_customer(row))


@rpc.write
async def DeleteCustomer(
    tx: Transaction, request: pb.DeleteCustomerRequest
) -> pb.DeleteCustomerResponse:
    """Delete a customer that never subscribed."""
    row, _ = await customers.get_customer(tx, request.id)
    await customers.delete_customer(tx, row.id)
    return pb.DeleteCustomerResponse(id=row.id)


@rpc.read
async def ListCustomers(
    tx: ReadTransaction, request: pb.ListCustomersRequest
) -> pb.ListCustomersResponse:
    """List customers."""
    if request.order not in ("", "asc", "desc"):
        raise Invalid([FieldError("order", "FIELD_INVALID", "must be asc or desc")])
    page = Page.of(request.page_size, request.page_token, request.order or "desc")
    rows, cursor = await customers.list_customers(tx, page, email=request.email)
    return pb.ListCustomersResponse(
        customers=[_customer(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.steps
async def CreateSubscription(
    call: Call, request: pb.CreateSubscriptionRequest
) -> pb.CreateSubscriptionResponse:
    """Subscribe a customer to a plan."""
    row = await subscriptions.create_subscription(
        call,
        customer_id=request.customer_id,
        plan=request.plan,
        starts_at=from_timestamp(request, "starts_at"),
        coupon_codes=list(request.coupon_codes),
        metadata=dict(request.metadata),
    )
    return pb.CreateSubscriptionResponse(subscription=_subscription(row))


@rpc.read
async def GetSubscription(
    tx: ReadTransaction, request: pb.GetSubscriptionRequest
) -> pb.GetSubscriptionResponse:
    """Return a subscription."""
    row = await subscriptions.get_subscription(tx, request.id)
    return pb.GetSubscriptionResponse(subscription=_subscription(row))


@rpc.read
async def ListSubscriptions(
    tx: ReadTransaction, request: pb.ListSubscriptionsRequest
) -> pb.ListSubscriptionsResponse:
    """List subscriptions."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await subscriptions.list_subscriptions(
        tx, page, request.customer_id or None, None
    )
    return pb.ListSubscriptionsResponse(
        subscriptions=[_subscription(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.write
async def CancelSubscription(
    tx: Transaction, request: pb.CancelSubscriptionRequest
) -> pb.CancelSubscriptionResponse:
    """End a subscription."""
    row = await subscriptions.cancel_subscription(
        tx, request.id, at_period_end=request.at_period_end
    )
    return pb.CancelSubscriptionResponse(subscription=_subscription(row))


@rpc.read
async def GetCurrentPeriod(
    tx: ReadTransaction, request: pb.GetCurrentPeriodRequest
) -> pb.GetCurrentPeriodResponse:
    """Tell which plan and period a customer is on."""
    found = await subscriptions.current_period(
        tx, request.customer_id, from_timestamp(request, "at")
    )
    if found is None:
        return pb.GetCurrentPeriodResponse(now=to_timestamp(tx.now))
    answer = pb.GetCurrentPeriodResponse(
        customer_id=found.customer.id,
        external_id=found.customer.external_id or "",
        now=to_timestamp(found.now),
        currency_code=found.customer.currency_code,
    )
    if found.subscription is not None and found.period is not None:
        period = found.period
        answer.subscription_id = found.subscription.id
        answer.plan_id = found.subscription.plan_id
        answer.plan_version = found.subscription.plan_version
        answer.starts_at.FromDatetime(period.starts_at)
        answer.ends_at.FromDatetime(period.ends_at)
        answer.nominal_starts_at.FromDatetime(period.nominal_starts_at)
        answer.nominal_ends_at.FromDatetime(period.nominal_ends_at)
    return answer


@rpc.read
async def CountSubscriptions(
    tx: ReadTransaction, request: pb.CountSubscriptionsRequest
) -> pb.CountSubscriptionsResponse:
    """Count live subscriptions of a plan."""
    live = await subscriptions.count_subscriptions(tx, request.plan_id)
    return pb.CountSubscriptionsResponse(live=live)


@rpc.write
async def CreateBillingRun(
    tx: Transaction, request: pb.CreateBillingRunRequest
) -> pb.CreateBillingRunResponse:
    """Bill what has ended."""
    row = await runs.create_run(
        tx,
        at=from_timestamp(request, "at"),
        customers=list(request.customer_ids),
        finalize=request.finalize,
    )
    tx.runtime.state.wake_soon()
    return pb.CreateBillingRunResponse(run=_run(row))


@rpc.read
async def GetBillingRun(
    tx: ReadTransaction, request: pb.GetBillingRunRequest
) -> pb.GetBillingRunResponse:
    """Return a billing run."""
    return pb.GetBillingRunResponse(run=_run(await runs.get_run(tx, request.id)))


def _customer_values(customer: pb.Customer) -> dict[str, object]:
    """Return the fields that were given, in REST's form, so that both doors check alike."""
    values: dict[str, object] = {"name": customer.name, "metadata": dict(customer.metadata)}
    for name in (
        "external_id",
        "email",
        "tax_type",
        "user_type",
        "currency_code",
        "locale",
        "time_zone",
        "test_clock_id",
        "payment_terms_days",
    ):
        given = getattr(customer, name)
        if given:
            values[name] = given
    values["address"] = _address_values(customer.address)
    values["tax_ids"] = [{"type": item.type, "value": item.value} for item in customer.tax_ids]
    return values


def _address_values(address: pb.Address) -> dict[str, object]:
    return {field.name: value for field, value in address.ListFields()}


def _customer(row: CustomerRow) -> pb.Customer:
    return pb.Customer(
        id=row.id,
        external_id=row.external_id or "",
        name=row.name,
        email=row.email,
        address=pb.Address(**row.address),
        tax_ids=[pb.TaxId(**item) for item in row.tax_ids],
        tax_type=row.tax_type,
        user_type=row.user_type,
        currency_code=row.currency_code,
        locale=row.locale,
        payment_terms_days=row.payment_terms_days,
        time_zone=row.time_zone,
        test_clock_id=row.test_clock_id or "",
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
    )


def _subscription(row: SubscriptionRow) -> pb.Subscription:
    trial = row.billing_starts_at if row.billing_starts_at > row.starts_at else None
    return pb.Subscription(
        id=row.id,
        customer_id=row.customer_id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        state=row.state,
        starts_at=to_timestamp(row.starts_at),
        trial_ends_at=to_timestamp(trial),
        current_period_starts_at=to_timestamp(row.period_starts_at),
        current_period_ends_at=to_timestamp(row.period_ends_at),
        cancel_at=to_timestamp(row.cancel_at),
        ended_at=to_timestamp(row.ended_at),
        coupon_codes=row.coupon_codes,
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
    )


def _run(row: BillingRunRow) -> pb.BillingRun:
    return pb.BillingRun(
        id=row.id,
        state=row.state,
        periods=row.periods,
        invoiced=row.invoiced,
        failed=len(row.errors),
        created_at=to_timestamp(row.created_at),
        finished_at=to_timestamp(row.finished_at),
    )
