"""What invoice asks of discount, tax and subscription."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.rpc import from_timestamp, to_timestamp
from billplane.invoice import domain
from billplane.invoice.errors import CustomerUnknown
from billplane.protos.discount.v1 import discount_pb2, discount_pb2_grpc
from billplane.protos.payment.v1 import payment_pb2, payment_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc
from billplane.protos.tax.v1 import tax_pb2, tax_pb2_grpc

Answer = TypeVar("Answer")

_TAX_TYPES = {
    "consumer": tax_pb2.TAX_TYPE_CONSUMER,
    "business": tax_pb2.TAX_TYPE_BUSINESS,
}
_NOT_BEGUN = "COLLECTION_NOT_BEGUN"
_TRIES_MAX = 40
_TRY_SECONDS = 0.1


async def calculate_discounts(call: Call, draft: domain.Draft) -> domain.Discounts:
    """Ask what rules and the draft's codes would take off; nothing is redeemed."""
    if not draft.lines:
        return domain.Discounts()
    return _discounts(await _would_apply(call, draft))


async def apply_discounts(
    call: Call, draft: domain.Draft, *, reference: str, request_id: str
) -> domain.Discounts:
    """Redeem what rules and the draft's codes take off, once a request id."""
    if not draft.lines:
        return domain.Discounts()
    # Most tenants have no rule: then a document without codes has nothing to redeem.
    if not draft.coupon_codes and not (await _would_apply(call, draft)).rules_in_force:
        return domain.Discounts()
    stub = discount_pb2_grpc.DiscountServiceStub(call.runtime.channels.get("discount"))
    request = discount_pb2.ApplyDiscountsRequest(
        request_id=request_id,
        reference=reference,
        customer_id=draft.customer.customer_id,
        user_type=draft.customer.user_type,
        coupon_codes=draft.coupon_codes,
        lines=_discount_lines(draft),
        currency_code=draft.currency,
        at=to_timestamp(draft.at),
        subscription_id=draft.subscription_id,
        period_starts_at=to_timestamp(draft.period_starts_at),
        period_ends_at=to_timestamp(draft.period_ends_at),
    )
    return _discounts(await _when_free(lambda: call.ask(stub.ApplyDiscounts, request)))


async def _would_apply(call: Call, draft: domain.Draft) -> discount_pb2.CalculateDiscountsResponse:
    stub = discount_pb2_grpc.DiscountServiceStub(call.runtime.channels.get("discount"))
    request = discount_pb2.CalculateDiscountsRequest(
        customer_id=draft.customer.customer_id,
        user_type=draft.customer.user_type,
        coupon_codes=draft.coupon_codes,
        lines=_discount_lines(draft),
        currency_code=draft.currency,
        at=to_timestamp(draft.at),
        subscription_id=draft.subscription_id,
        period_starts_at=to_timestamp(draft.period_starts_at),
        period_ends_at=to_timestamp(draft.period_ends_at),
    )
    return await call.ask(stub.CalculateDiscounts, request)


async def reverse_discounts(call: Call, *, reference: str, request_id: str) -> None:
    """Give back what was redeemed for a document."""
    stub = discount_pb2_grpc.DiscountServiceStub(call.runtime.channels.get("discount"))
    request = discount_pb2.ReverseDiscountsRequest(request_id=request_id, reference=reference)
    await _when_free(lambda: call.ask(stub.ReverseDiscounts, request))


async def calculate_tax(
    call: Call,
    draft: domain.Draft,
    discounts: domain.Discounts,
    *,
    reference: str = "",
    request_id: str = "",
) -> domain.Taxation:
    """Ask for the tax on the discounted lines; recorded when a request id is given."""
    if not draft.lines:
        return domain.Taxation({})
    stub = tax_pb2_grpc.TaxServiceStub(call.runtime.channels.get("tax"))
    customer = draft.customer
    request = tax_pb2.CalculateTaxRequest(
        request_id=request_id,
        at=to_timestamp(draft.at),
        currency_code=draft.currency,
        customer=tax_pb2.TaxCustomer(
            customer_id=customer.customer_id,
            country=customer.address.country,
            region=customer.address.region,
            postal_code=customer.address.postal_code,
            tax_type=_TAX_TYPES[customer.tax_type],
            tax_ids=[tax_pb2.TaxId(type=item.type, value=item.value) for item in customer.tax_ids],
            city=customer.address.city,
        ),
        lines=[
            tax_pb2.TaxLine(
                line_id=line.id,
                amount_minor=line.amount_minor - discounts.of_line(line.id),
                inclusive=line.tax_inclusive,
                category=line.tax_category,
                tax_on=draft.tax_on(line).isoformat(),
                rule_id=line.tax_rule_id,
                plan_id=draft.plan_id,
                plan_name=draft.plan_name,
            )
            for line in draft.lines
        ],
        preview=not request_id,
        reference=reference,
    )
    answer = await _when_free(lambda: call.ask(stub.CalculateTax, request))
    return _taxation(answer.calculation)


async def get_customer(call: Call, customer_id: str) -> tuple[domain.Customer, str, datetime]:
    """Return a customer by id or external id, its time zone and its present.

    Raises: CustomerUnknown; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.GetCustomerRequest(id=customer_id)
    try:
        answer = await call.ask(stub.GetCustomer, request)
    except PeerError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        raise CustomerUnknown(f"there is no customer {customer_id}", field="/customer_id") from None
    found = answer.customer
    address = found.address
    customer = domain.Customer(
        customer_id=found.id,
        name=found.name,
        email=found.email,
        address=domain.Address(
            address.line1,
            address.line2,
            address.city,
            address.region,
            address.postal_code,
            address.country,
        ),
        tax_ids=tuple(domain.TaxId(item.type, item.value) for item in found.tax_ids),
        tax_type=found.tax_type or "consumer",
        user_type=found.user_type,
        locale=found.locale,
        payment_terms_days=found.payment_terms_days,
        external_id=found.external_id,
        test_clock_id=found.test_clock_id,
    )
    now = from_timestamp(answer, "now") or call.runtime.clock.now()
    return customer, found.time_zone or "Etc/UTC", now


async def _when_free(
    ask: Callable[[], Awaitable[Answer]], until: str = "IDEMPOTENCY_KEY_IN_USE"
) -> Answer:
    """Ask again while the same request is being answered for somebody else."""
    for _ in range(_TRIES_MAX):
        try:
            return await ask()
        except PeerError as error:
            if error.reason != until:
                raise
        await asyncio.sleep(_TRY_SECONDS)
    return await ask()


def _discount_lines(draft: domain.Draft) -> list[discount_pb2.DiscountLine]:
    """Return what discounts may lower: not credits for what was paid after discounts."""
    return [
        discount_pb2.DiscountLine(
            line_id=line.id,
            amount_minor=line.amount_minor,
            charge=line.charge,
            plan_id=draft.plan_id,
            plan_name=draft.plan_name,
            meter=line.unit if line.kind == "usage" else "",
        )
        for line in draft.lines
        if line.kind != "proration"
    ]


def _discounts(
    answer: discount_pb2.CalculateDiscountsResponse | discount_pb2.ApplyDiscountsResponse,
) -> domain.Discounts:
    return domain.Discounts(
        applied=tuple(
            domain.Discount(
                code=item.code,
                description=item.description,
                amount_minor=item.amount_minor,
                shares={share.line_id: share.amount_minor for share in item.shares},
                application_id=item.id,
            )
            for item in answer.applications
        ),
        refused=tuple((item.code, item.reason) for item in answer.refused),
    )


def _taxation(calculation: tax_pb2.TaxCalculation) -> domain.Taxation:
    return domain.Taxation(
        lines={
            line.line_id: domain.TaxedLine(line.net_minor, line.tax_minor, tuple(line.group_keys))
            for line in calculation.lines
        },
        groups=tuple(
            domain.TaxGroup(
                key=group.key,
                label=group.label,
                jurisdiction=group.jurisdiction,
                category=group.category,
                rate=group.rate,
                treatment=tax_pb2.Treatment.Name(group.treatment).removeprefix("TREATMENT_"),
                base_minor=group.base_minor,
                tax_minor=group.tax_minor,
            )
            for group in calculation.groups
        ),
        notes=tuple(calculation.notes),
        calculation_id=calculation.id,
    )


async def refundable(call: Call, invoice_id: str) -> int:
    """Return how much of an invoice's payment can go back the way it came.

    Raises: the peer's errors.
    """
    stub = payment_pb2_grpc.PaymentServiceStub(call.runtime.channels.get("payment"))
    request = payment_pb2.GetCollectionRequest(invoice_id=invoice_id)
    try:
        return int((await call.ask(stub.GetCollection, request)).refundable_minor)
    except PeerError as error:
        if error.reason != _NOT_BEGUN:
            raise
        return 0


async def refund(tx: Transaction, invoice_id: str, amount_minor: int, credit_note_id: str) -> None:
    """Give back what a credit note leaves over, once a note.

    Raises: the peer's errors.
    """
    stub = payment_pb2_grpc.PaymentServiceStub(tx.channel("payment"))
    request = payment_pb2.RefundPaymentRequest(
        request_id=f"{credit_note_id}:refund",
        invoice_id=invoice_id,
        amount_minor=amount_minor,
        reason="requested_by_customer",
        credit_note_id=credit_note_id,
    )
    await tx.ask(stub.RefundPayment, request)


async def collect(call: Call, invoice_id: str) -> payment_pb2.CollectInvoiceResponse:
    """Collect an issued invoice now.

    Raises: the peer's errors.
    """
    stub = payment_pb2_grpc.PaymentServiceStub(call.runtime.channels.get("payment"))
    request = payment_pb2.CollectInvoiceRequest(
        request_id=f"{call.request_id or ids.new('req')}:collect", invoice_id=invoice_id
    )
    # What was finalized a moment ago is on its way to payment.
    return await _when_free(lambda: call.ask(stub.CollectInvoice, request), _NOT_BEGUN)
