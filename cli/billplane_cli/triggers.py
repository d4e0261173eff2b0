"""How each event is caused: the calls that really do what it tells of."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from billplane_cli.client import Client


@dataclass(frozen=True)
class Step:
    """One call; `{name.field}` stands for what an earlier step answered, `{mark}` for this run.

    A call whose refusal is the point of it may fail.
    """

    name: str
    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    may_fail: bool = False


_PLACE: Final = re.compile(r"\{(\w+(?:\.\w+)*)\}")

_CUSTOMER = Step("customer", "POST", "/v1/customers", {"name": "Trigger {mark}"})
_INVOICE = Step(
    "invoice",
    "POST",
    "/v1/invoices",
    {
        "customer_id": "{customer.id}",
        "currency_code": "EUR",
        "lines": [{"description": "Triggered", "quantity": "1", "unit_amount": "20.00"}],
    },
)
_FINALIZE = Step("final", "POST", "/v1/invoices/{invoice.id}:finalize")
_PLAN = Step(
    "plan",
    "POST",
    "/v1/plans",
    {
        "name": "trigger-{mark}",
        "spec": {
            "currency": "EUR",
            "interval": {"unit": "Month", "anchor": "Anniversary"},
            "charges": [{"name": "fee", "recurring": {"amount": "9.00", "billed": "InArrears"}}],
        },
    },
)
_SUBSCRIPTION = Step(
    "subscription",
    "POST",
    "/v1/subscriptions",
    {"customer_id": "{customer.id}", "plan": "{plan.name}"},
)


def _intent(**more: Any) -> Step:
    body = {"amount": 2000, "currency": "eur", "payment_method_types": ["card"], **more}
    return Step("intent", "POST", "/v1/payment_intents", body)


def _paid(card: str = "pm_card_visa") -> Step:
    return _intent(payment_method=card, confirm=True)


_REFUND = Step("refund", "POST", "/v1/refunds", {"payment_intent": "{intent.id}"})
_LEGS = [
    {"account_id": "trigger-till-{mark}", "direction": "debit", "amount_minor": 2000},
    {"account_id": "trigger-sales-{mark}", "direction": "credit", "amount_minor": 2000},
]


def _account(name: str, kind: str) -> Step:
    body = {
        "name": f"Triggered {name}",
        "external_id": f"trigger-{name}-{{mark}}",
        "type": kind,
        "currency": "EUR",
        "allow_negative": True,
    }
    return Step(name, "POST", "/v1/ledger/accounts", body)


TRIGGERS: Final[Mapping[str, Sequence[Step]]] = {
    "customer.created": [_CUSTOMER],
    "customer.updated": [
        _CUSTOMER,
        Step("changed", "PATCH", "/v1/customers/{customer.id}", {"name": "Triggered {mark}"}),
    ],
    "customer.deleted": [_CUSTOMER, Step("gone", "DELETE", "/v1/customers/{customer.id}")],
    "customer.subscription.created": [_CUSTOMER, _PLAN, _SUBSCRIPTION],
    "invoice.created": [_CUSTOMER, _INVOICE],
    "invoice.finalized": [_CUSTOMER, _INVOICE, _FINALIZE],
    "invoice.paid": [
        _CUSTOMER,
        _INVOICE,
        _FINALIZE,
        Step("paid", "POST", "/v1/invoices/{invoice.id}:mark_paid", {"note": "triggered"}),
    ],
    "invoice.voided": [
        _CUSTOMER,
        _INVOICE,
        _FINALIZE,
        Step("voided", "POST", "/v1/invoices/{invoice.id}:void"),
    ],
    "payment_intent.created": [_intent()],
    "payment_intent.succeeded": [_paid()],
    "payment_intent.payment_failed": [
        Step(
            "intent",
            "POST",
            "/v1/payment_intents",
            {**_paid("pm_card_visa_chargeDeclined").body},
            may_fail=True,
        )
    ],
    "payment_intent.requires_action": [_paid("pm_card_authenticationRequired")],
    "payment_intent.canceled": [
        _intent(),
        Step("canceled", "POST", "/v1/payment_intents/{intent.id}/cancel"),
    ],
    "charge.succeeded": [_paid()],
    "charge.refunded": [_paid(), _REFUND],
    "refund.created": [_paid(), _REFUND],
    "charge.dispute.created": [_paid("pm_card_createDispute")],
    "ledger.transaction.posted": [
        _account("till", "asset"),
        _account("sales", "income"),
        Step(
            "posted",
            "POST",
            "/v1/ledger/transactions",
            {"postings": _LEGS, "currency_code": "EUR", "description": "Triggered"},
        ),
    ],
}


def pull(client: Client, steps: Sequence[Step], mark: str) -> Iterator[str]:
    """Do the calls in turn; yield what was done in a line each.

    Raises: ApiError, UnreachableError.
    """
    known: dict[str, Any] = {"mark": mark}
    for step in steps:
        path = _filled(step.path, known)
        body = json.loads(_filled(json.dumps(step.body), known))
        answer = client.send_step(step.method, path, body, may_fail=step.may_fail)
        known[step.name] = answer
        made = answer.get("id", "") if isinstance(answer, dict) else ""
        yield f"{step.method} {path}" + (f" → {made}" if made else "")


def _filled(text: str, known: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        found: Any = known
        for part in match[1].split("."):
            found = found[part]
        return str(found)

    return _PLACE.sub(value, text)
