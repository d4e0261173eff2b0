"""gRPC of subscription."""

from typing import Any

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page, parse_body
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.protos.subscription.v1 import subscription_pb2 as pb
from billplane.subscription.schemas import CustomerBody, CustomerPatch, InvoiceItemBody
from billplane.subscription.service import (
    answers,
    changes,
    customers,
    items,
    pauses,
    plan_diff,
    runs,
    subscriptions,
)
from billplane.subscription.service.answers import (
    customer_message,
    item_message,
    run_message,
    subscription_message,
)

rpc = Rpc(pb.DESCRIPTOR.services_by_name["SubscriptionService"])


@rpc.write
async def CreateCustomer(
    tx: Transaction, request: pb.CreateCustomerRequest
) -> pb.CreateCustomerResponse:
    """Create a customer."""
    values = parse_body(CustomerBody, _customer_values(request.customer)).model_dump()
    new = customers.NewCustomer(**{**values, "tax_ids": tuple(values["tax_ids"])})
    return pb.CreateCustomerResponse(
        customer=customer_message(await customers.create_customer(tx, new))
    )


@rpc.read
async def GetCustomer(
    tx: ReadTransaction, request: pb.GetCustomerRequest
) -> pb.GetCustomerResponse:
    """Return a customer by id or external_id."""
    row, now = await customers.get_customer(tx, request.id)
    return pb.GetCustomerResponse(customer=customer_message(row), now=to_timestamp(now))


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
    return pb.UpdateCustomerResponse(customer=customer_message(row))


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
        customers=[customer_message(row) for row in rows], next_page_token=cursor or ""
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
    return pb.CreateSubscriptionResponse(subscription=subscription_message(row))


@rpc.read
async def GetSubscription(
    tx: ReadTransaction, request: pb.GetSubscriptionRequest
) -> pb.GetSubscriptionResponse:
    """Return a subscription."""
    row = await subscriptions.get_subscription(tx, request.id)
    return pb.GetSubscriptionResponse(subscription=subscription_message(row))


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
        subscriptions=[subscription_message(row) for row in rows], next_page_token=cursor or ""
    )


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
    return pb.CreateBillingRunResponse(run=run_message(row))


@rpc.read
async def GetBillingRun(
    tx: ReadTransaction, request: pb.GetBillingRunRequest
) -> pb.GetBillingRunResponse:
    """Return a billing run."""
    return pb.GetBillingRunResponse(run=run_message(await runs.get_run(tx, request.id)))


@rpc.steps
async def ChangeSubscription(
    call: Call, request: pb.ChangeSubscriptionRequest
) -> pb.ChangeSubscriptionResponse:
    """Move a subscription to another plan, now or when its period ends."""
    row = await changes.change_plan(
        call,
        request.id,
        plan=request.plan,
        at=request.at or "now",
        proration=request.proration or "create",
    )
    return pb.ChangeSubscriptionResponse(subscription=subscription_message(row))


@rpc.steps
async def PreviewChange(call: Call, request: pb.PreviewChangeRequest) -> pb.PreviewChangeResponse:
    """Return what a change would credit and charge; nothing is stored."""
    found = await changes.preview_change(
        call,
        request.id,
        plan=request.plan,
        at=request.at or "now",
        proration=request.proration or "create",
    )
    return pb.PreviewChangeResponse(
        plan=pb.PendingPlan(
            plan_id=found.plan.id, plan_name=found.plan.name, plan_version=found.plan.version
        ),
        effective_at=to_timestamp(found.effective_at),
        currency_code=found.customer.currency_code,
        items=answers.new_items(found.items, found.row.customer_id, found.row.id),
        credit_minor=found.credit_minor,
        charge_minor=found.charge_minor,
        total_minor=found.credit_minor + found.charge_minor,
        billed=found.billed,
        period_starts_at=to_timestamp(found.period.starts_at),
        period_ends_at=to_timestamp(found.period.ends_at),
    )


@rpc.steps
async def CancelSubscription(
    call: Call, request: pb.CancelSubscriptionRequest
) -> pb.CancelSubscriptionResponse:
    """End a subscription now or when its period ends."""
    row = await pauses.cancel(
        call,
        request.id,
        at_period_end=request.at_period_end,
        proration=request.proration or "none",
    )
    return pb.CancelSubscriptionResponse(subscription=subscription_message(row))


@rpc.steps
async def PauseSubscription(
    call: Call, request: pb.PauseSubscriptionRequest
) -> pb.PauseSubscriptionResponse:
    """Stop a subscription: nothing is billed until it is resumed."""
    row = await pauses.pause(call, request.id, proration=request.proration or "create")
    return pb.PauseSubscriptionResponse(subscription=subscription_message(row))


@rpc.steps
async def ResumeSubscription(
    call: Call, request: pb.ResumeSubscriptionRequest
) -> pb.ResumeSubscriptionResponse:
    """Let a paused subscription go on."""
    row = await pauses.resume(call, request.id)
    return pb.ResumeSubscriptionResponse(subscription=subscription_message(row))


@rpc.steps
async def PreviewPlanChange(
    call: Call, request: pb.PreviewPlanChangeRequest
) -> pb.PreviewPlanChangeResponse:
    """Rate billed usage by a spec that is not published: who would pay more, who less."""
    found = await plan_diff.preview_plan_change(
        call, plan=request.plan_id, spec_json=request.spec_json, periods=request.periods
    )
    customers = len(found.differences)
    return pb.PreviewPlanChangeResponse(
        plan_id=found.plan.id,
        plan_version=found.plan.version,
        spec_hash=found.spec_hash,
        currency_code=found.currency_code,
        customers=customers,
        up=found.up,
        down=found.down,
        same=customers - found.up - found.down,
        old_total_minor=found.old_total_minor,
        new_total_minor=found.new_total_minor,
        periods=found.periods,
        active_subscriptions=found.live,
        examples=[
            pb.CustomerDifference(
                customer_id=item.customer.id,
                external_id=item.customer.external_id or "",
                name=item.customer.name,
                old_minor=item.old_minor,
                new_minor=item.new_minor,
            )
            for item in found.differences[: plan_diff.EXAMPLES]
        ],
        partial=found.live > plan_diff.CUSTOMERS_MAX,
        old_total=found.shown(found.old_total_minor),
        new_total=found.shown(found.new_total_minor),
    )


@rpc.write
async def CreateInvoiceItem(
    tx: Transaction, request: pb.CreateInvoiceItemRequest
) -> pb.CreateInvoiceItemResponse:
    """Put an amount on the next invoice of a customer, or of one subscription."""
    values = {
        name: getattr(request, name)
        for name in (
            "customer_id",
            "subscription_id",
            "currency_code",
            "quantity",
            "tax_category",
        )
        if getattr(request, name)
    }
    body = parse_body(
        InvoiceItemBody,
        {
            **values,
            "description": request.description,
            "amount_minor": request.amount_minor,
            "metadata": dict(request.metadata),
        },
    )
    row = await items.create_item(
        tx,
        customer_id=body.customer_id or "",
        subscription_id=body.subscription_id or "",
        description=body.description,
        amount_minor=body.amount_minor,
        currency_code=body.currency_code or "",
        quantity=body.quantity,
        tax_category=body.tax_category,
        metadata=body.metadata,
    )
    return pb.CreateInvoiceItemResponse(item=item_message(row))


@rpc.read
async def ListInvoiceItems(
    tx: ReadTransaction, request: pb.ListInvoiceItemsRequest
) -> pb.ListInvoiceItemsResponse:
    """List items; those that wait have no invoice_id."""
    rows, cursor = await items.list_items(
        tx,
        Page.of(request.page_size, request.page_token),
        customer=request.customer_id,
        subscription_id=request.subscription_id,
        waiting=request.waiting,
    )
    return pb.ListInvoiceItemsResponse(
        items=[item_message(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.write
async def DeleteInvoiceItem(
    tx: Transaction, request: pb.DeleteInvoiceItemRequest
) -> pb.DeleteInvoiceItemResponse:
    """Take an item back that is on no invoice yet."""
    await items.delete_item(tx, request.id)
    return pb.DeleteInvoiceItemResponse(id=request.id)


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
