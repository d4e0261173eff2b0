"""Stripe's own SDK, unmodified: customers with their methods, and disputes."""

import secrets
import threading
from typing import Any

import pytest
import stripe

from tests.judges.payer import pay


@pytest.fixture
def disputed(client: stripe.StripeClient) -> Any:
    """Give a payment that its payer's bank disputes."""
    paid = pay(client, payment_method="pm_card_createDispute")
    found: list[Any] = []
    for _ in range(100):
        found = client.v1.disputes.list({"payment_intent": paid.id}).data
        if found:
            break
        threading.Event().wait(0.1)
    return found[0]


def test_a_dispute_is_answered_and_won(client: stripe.StripeClient, disputed: Any) -> None:
    assert (disputed.status, disputed.reason) == ("needs_response", "fraudulent")
    assert client.v1.charges.retrieve(str(disputed.charge)).disputed
    waiting = client.v1.disputes.update(
        disputed.id, {"evidence": {"product_description": "a book"}, "submit": False}
    )
    assert waiting.status == "needs_response"
    won = client.v1.disputes.update(
        disputed.id, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )
    assert won.status == "won"
    assert won.evidence.product_description == "a book"


def test_a_dispute_is_accepted(client: stripe.StripeClient, disputed: Any) -> None:
    assert client.v1.disputes.close(disputed.id).status == "lost"


def test_a_customer_is_kept_and_pays_by_its_own_method(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create(
        {
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "phone": "+44 20 7946 0000",
            "description": "the first",
            "address": {"line1": "12 St James's Square", "city": "London", "country": "GB"},
            "metadata": {"crm": "17"},
        }
    )
    assert (made.object, made.name, made.phone) == ("customer", "Ada Lovelace", "+44 20 7946 0000")
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": made.id})
    assert method.customer == made.id
    changed = client.v1.customers.update(
        made.id,
        {
            "metadata": {"crm": "", "tier": "gold"},
            "invoice_settings": {"default_payment_method": method.id},
        },
    )
    assert changed.metadata
    assert changed.metadata.to_dict() == {"tier": "gold"}
    assert changed.invoice_settings
    assert changed.invoice_settings.default_payment_method == method.id
    assert changed.description == "the first"
    paid = pay(
        client, customer=made.id, payment_method=method.id, off_session=True, expand=["customer"]
    )
    assert (paid.status, paid.customer.name) == ("succeeded", "Ada Lovelace")
    listed = client.v1.customers.payment_methods.list(made.id)
    assert [item.id for item in listed.data] == [method.id]
    assert client.v1.customers.list({"email": "ada@example.com", "limit": 1}).data[0].id == made.id


def test_customers_are_walked_and_deleted(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": f"c{number}"}).id for number in range(4)]
    found = []
    for customer in client.v1.customers.list({"limit": 2}).auto_paging_iter():
        found.append(customer.id)
        if customer.id == made[0]:
            break
    assert found[:4] == made[::-1]
    gone = client.v1.customers.delete(made[0])
    assert (gone.id, gone.deleted) == (made[0], True)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.customers.retrieve(made[0])
    assert missing.value.code == "resource_missing"
    options: Any = {"idempotency_key": secrets.token_hex(8)}
    once = client.v1.customers.create({"name": "once"}, options)
    assert client.v1.customers.create({"name": "once"}, options).id == once.id
