"""Objects as their readers see them: Stripe's shapes.

Source: docs.stripe.com/api.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billplane.payment.models import (
    AttemptRow,
    ChargeRow,
    CustomerRow,
    DisputeRow,
    PaymentIntentRow,
    PaymentMethodRow,
    RefundRow,
)
from billplane.protos.subscription.v1 import subscription_pb2

_BILLING = {
    "address": {
        "city": None,
        "country": None,
        "line1": None,
        "line2": None,
        "postal_code": None,
        "state": None,
    },
    "email": None,
    "name": None,
    "phone": None,
}


def seconds(instant: datetime) -> int:
    """Return an instant as Stripe writes it."""
    return int(instant.timestamp())


def as_json(value: Mapping[str, Any]) -> str:
    """Return an object as it travels in a fact."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _billing(given: Mapping[str, Any]) -> dict[str, Any]:
    address = {**_BILLING["address"], **(given.get("address") or {})}  # type: ignore[dict-item]
    return {**_BILLING, **given, "address": address}


def intent_object(row: PaymentIntentRow) -> dict[str, Any]:
    """Return a payment intent."""
    details = row.details
    return {
        "id": row.id,
        "object": "payment_intent",
        "amount": row.amount_minor,
        "amount_capturable": row.amount_capturable_minor,
        "amount_details": {"tip": {}},
        "amount_received": row.amount_received_minor,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": details.get("automatic_payment_methods"),
        "canceled_at": seconds(row.canceled_at) if row.canceled_at else None,
        "cancellation_reason": row.cancellation_reason or None,
        "capture_method": row.capture_method,
        "client_secret": row.client_secret,
        "confirmation_method": "automatic",
        "created": seconds(row.created_at),
        "currency": row.currency_code.lower(),
        "customer": row.customer_id or None,
        "description": details.get("description"),
        "invoice": row.invoice_id or None,
        "last_payment_error": row.last_error,
        "latest_charge": row.latest_charge_id or None,
        "livemode": row.livemode,
        "metadata": row.tags,
        "next_action": row.next_action,
        "on_behalf_of": None,
        "payment_method": row.payment_method_id or None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": details.get("receipt_email"),
        "review": None,
        "setup_future_usage": details.get("setup_future_usage"),
        "shipping": details.get("shipping"),
        "source": None,
        "statement_descriptor": details.get("statement_descriptor"),
        "statement_descriptor_suffix": details.get("statement_descriptor_suffix"),
        "status": row.state,
        "transfer_data": None,
        "transfer_group": None,
    }


def method_object(row: PaymentMethodRow) -> dict[str, Any]:
    """Return a payment method."""
    return {
        "id": row.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(row.billing_details),
        "card": card_object(row.card),
        "created": seconds(row.created_at),
        "customer": row.customer_id or None,
        "livemode": row.livemode,
        "metadata": row.tags,
        "type": "card",
    }


def card_object(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be known of a card."""
    brand = str(card.get("brand", ""))
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
            **card.get("checks", {}),
        },
        "country": card.get("country"),
        "display_brand": brand,
        "exp_month": card.get("exp_month"),
        "exp_year": card.get("exp_year"),
        "fingerprint": card.get("fingerprint"),
        "funding": card.get("funding"),
        "generated_from": None,
        "last4": card.get("last4"),
        "networks": {"available": [brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def charge_object(row: ChargeRow) -> dict[str, Any]:
    """Return a charge."""
    refunded = row.amount_minor if row.canceled else row.amount_refunded_minor
    failed = row.status == "failed"
    return {
        "id": row.id,
        "object": "charge",
        "amount": row.amount_minor,
        "amount_captured": row.amount_captured_minor,
        "amount_refunded": refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": _billing(row.billing_details),
        "calculated_statement_descriptor": row.details.get("statement_descriptor"),
        "captured": row.captured,
        "created": seconds(row.created_at),
        "currency": row.currency_code.lower(),
        "customer": row.customer_id or None,
        "description": row.details.get("description"),
        "disputed": row.disputed,
        "failure_balance_transaction": None,
        "failure_code": row.failure_code or None,
        "failure_message": row.failure_message or None,
        "fraud_details": {},
        "invoice": row.details.get("invoice"),
        "livemode": row.livemode,
        "metadata": row.tags,
        "on_behalf_of": None,
        "outcome": {
            "network_decline_code": None,
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": row.decline_code or row.failure_code or None,
            "risk_level": "normal",
            "seller_message": row.failure_message if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": not failed,
        "payment_intent": row.payment_intent_id,
        "payment_method": row.payment_method_id,
        "payment_method_details": {"card": card_object(row.card), "type": "card"},
        "receipt_email": row.details.get("receipt_email"),
        "receipt_number": None,
        "receipt_url": None,
        "refunded": (row.captured and refunded == row.amount_captured_minor) or row.canceled,
        "review": None,
        "shipping": row.details.get("shipping"),
        "source": None,
        "source_transfer": None,
        "statement_descriptor": row.details.get("statement_descriptor"),
        "statement_descriptor_suffix": None,
        "status": row.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def refund_object(row: RefundRow) -> dict[str, Any]:
    """Return a refund."""
    failed = {"failure_reason": row.failure_reason} if row.failure_reason else {}
    return {
        "id": row.id,
        "object": "refund",
        "amount": row.amount_minor,
        "balance_transaction": None,
        "charge": row.charge_id,
        "created": seconds(row.created_at),
        "currency": row.currency_code.lower(),
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "metadata": row.tags,
        "payment_intent": row.payment_intent_id,
        "reason": row.reason or None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": row.status,
        "transfer_reversal": None,
        **failed,
    }


def dispute_object(row: DisputeRow) -> dict[str, Any]:
    """Return a dispute."""
    return {
        "id": row.id,
        "object": "dispute",
        "amount": row.amount_minor,
        "balance_transactions": [],
        "charge": row.charge_id,
        "created": seconds(row.created_at),
        "currency": row.currency_code.lower(),
        "evidence": row.evidence,
        "evidence_details": {
            "due_by": seconds(row.due_at),
            "has_evidence": bool(row.evidence),
            "past_due": False,
            "submission_count": row.submissions,
        },
        "is_charge_refundable": row.status.startswith("warning"),
        "livemode": row.livemode,
        "metadata": row.tags,
        "payment_intent": row.payment_intent_id,
        "reason": row.reason,
        "status": row.status,
    }


def customer_object(
    customer: subscription_pb2.Customer, known: CustomerRow | None, livemode: bool
) -> dict[str, Any]:
    """Return a customer of subscription's with what payment knows of it."""
    words = known.details if known is not None else {}
    address = customer.address
    given = {
        "city": address.city or None,
        "country": address.country or None,
        "line1": address.line1 or None,
        "line2": address.line2 or None,
        "postal_code": address.postal_code or None,
        "state": address.region or None,
    }
    return {
        "id": customer.id,
        "object": "customer",
        "address": given if any(given.values()) else None,
        "balance": 0,
        "created": customer.created_at.seconds,
        "currency": customer.currency_code.lower() or None,
        "default_source": None,
        "delinquent": False,
        "description": words.get("description"),
        "discount": None,
        "email": customer.email or None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": (known.default_payment_method_id if known else "") or None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": livemode,
        "metadata": dict(customer.metadata),
        "name": customer.name or None,
        "phone": words.get("phone"),
        "preferred_locales": [customer.locale] if customer.locale else [],
        "shipping": words.get("shipping"),
        "tax_exempt": "none",
        "test_clock": customer.test_clock_id or None,
    }


def attempt_object(row: AttemptRow) -> dict[str, Any]:
    """Return an attempt, in the manner of the others; Stripe has none."""
    return {
        "id": row.id,
        "object": "payment_attempt",
        "amount": row.amount_minor,
        "currency": row.currency_code.lower(),
        "decline_code": row.decline_code or None,
        "failure_code": row.failure_code or None,
        "failure_message": row.failure_message or None,
        "finished": seconds(row.finished_at) if row.finished_at else None,
        "kind": row.kind,
        "livemode": row.livemode,
        "number": row.number,
        "payment_intent": row.payment_intent_id,
        "payment_method": row.payment_method_id or None,
        "processor": row.processor,
        "reference": row.reference or None,
        "started": seconds(row.started_at),
        "status": row.state,
    }
