"""Stripe's own SDK, unmodified, pointed at the platform: what it takes for granted has to hold."""

import secrets
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
import stripe

from tests.judges.conftest import Judged
from tests.judges.payer import pay

DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": (
        "card_declined",
        "card_velocity_exceeded",
    ),
    "pm_card_chargeCustomerFail": ("card_declined", "generic_decline"),
    "pm_card_radarBlock": ("card_declined", "fraudulent"),
}
NUMBERS = {
    "4000000000000002": "pm_card_visa_chargeDeclined",
    "4000000000009995": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "4000000000009987": "pm_card_visa_chargeDeclinedLostCard",
    "4000000000009979": "pm_card_visa_chargeDeclinedStolenCard",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
    "4000000000000127": "pm_card_chargeDeclinedIncorrectCvc",
    "4000000000000119": "pm_card_chargeDeclinedProcessingError",
}


def test_an_intent_is_created_and_confirmed(client: stripe.StripeClient) -> None:
    made = client.v1.payment_intents.create(
        {
            "amount": 1099,
            "currency": "usd",
            "description": "Straße & 🥨",
            "metadata": {"order": "7", "key with space": "ü=&"},
        }
    )
    assert (made.object, made.status) == ("payment_intent", "requires_payment_method")
    assert made.metadata.to_dict() == {"order": "7", "key with space": "ü=&"}
    assert made.client_secret
    assert made.client_secret.startswith(f"{made.id}_secret_")
    done = client.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert (done.status, done.amount_received, done.livemode) == ("succeeded", 1099, False)
    assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"


def test_the_module_with_a_global_address_works_as_well(shop: Judged) -> None:
    before = (stripe.api_base, stripe.api_key)
    stripe.api_base, stripe.api_key = shop.url, shop.key
    try:
        made = stripe.PaymentIntent.create(amount=500, currency="eur")
        assert stripe.PaymentIntent.retrieve(made.id).amount == 500
        modified = stripe.PaymentIntent.modify(made.id, metadata={"a": "b"}, amount=600)
        assert (modified.amount, modified.metadata["a"]) == (600, "b")
        emptied = stripe.PaymentIntent.modify(made.id, metadata={"a": ""})
        assert emptied.metadata.to_dict() == {}
    finally:
        stripe.api_base, stripe.api_key = before


def test_a_part_of_an_authorization_is_captured(client: stripe.StripeClient) -> None:
    held = pay(client, 5000, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == (
        "requires_capture",
        5000,
        0,
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 5001})
    assert refused.value.code == "amount_too_large"
    done = client.v1.payment_intents.capture(
        held.id, {"amount_to_capture": 1200, "expand": ["latest_charge"]}
    )
    assert (done.status, done.amount_received, done.amount_capturable) == ("succeeded", 1200, 0)
    charge: Any = done.latest_charge
    assert (charge.object, charge.amount, charge.amount_captured) == ("charge", 5000, 1200)
    assert charge.payment_method_details.card.last4 == "4242"


def test_an_intent_is_canceled(client: stripe.StripeClient) -> None:
    held = pay(client, capture_method="manual")
    gone = client.v1.payment_intents.cancel(
        held.id, {"cancellation_reason": "requested_by_customer"}
    )
    assert (gone.status, gone.cancellation_reason) == ("canceled", "requested_by_customer")
    assert gone.canceled_at
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.confirm(gone.id, {"payment_method": "pm_card_visa"})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.http_status == 400
    assert refused.value.should_retry if hasattr(refused.value, "should_retry") else True


def test_refunds_never_exceed_what_was_captured(client: stripe.StripeClient) -> None:
    paid = pay(client, 1000)
    part = client.v1.refunds.create(
        {"payment_intent": paid.id, "amount": 300, "reason": "requested_by_customer"}
    )
    assert (part.object, part.status, part.amount) == ("refund", "succeeded", 300)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": paid.id, "amount": 701})
    assert refused.value.param == "amount"
    rest = client.v1.refunds.create({"charge": str(paid.latest_charge)})
    assert rest.amount == 700
    with pytest.raises(stripe.InvalidRequestError) as over:
        client.v1.refunds.create({"payment_intent": paid.id})
    assert over.value.code == "charge_already_refunded"
    charge = client.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 1000)
    assert [item.id for item in client.v1.refunds.list({"payment_intent": paid.id}).data] == [
        rest.id,
        part.id,
    ]


def _follow(intent: Any, choice: str) -> str:
    """Do what the payer does in the browser; return where it is sent."""
    url = intent.next_action.redirect_to_url.url
    with urllib.request.urlopen(url, timeout=20) as page:
        assert b"3-D Secure" in page.read()

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(
            urllib.request.Request(f"{url}/{choice}", b"", method="POST"), timeout=20
        )
    except urllib.error.HTTPError as error:
        assert error.code == 303
        return str(error.headers["Location"])
    return ""


def test_a_payer_authenticates_by_3d_secure(client: stripe.StripeClient) -> None:
    asked = pay(
        client,
        payment_method="pm_card_threeDSecure2Required",
        return_url="https://shop.example/done?cart=7",
    )
    assert asked.status == "requires_action"
    assert asked.next_action
    assert asked.next_action.type == "redirect_to_url"
    back = _follow(asked, "complete")
    assert back.startswith("https://shop.example/done?cart=7&payment_intent=" + asked.id)
    assert client.v1.payment_intents.retrieve(asked.id).status == "succeeded"


def test_a_payer_who_fails_3d_secure_has_not_paid(client: stripe.StripeClient) -> None:
    asked = pay(client, payment_method="pm_card_authenticationRequired")
    _follow(asked, "fail")
    found = client.v1.payment_intents.retrieve(asked.id)
    assert found.status == "requires_payment_method"
    assert found.last_payment_error
    assert found.last_payment_error.code == "payment_intent_authentication_failure"


def test_a_payer_who_is_away_cannot_authenticate(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_authenticationRequired", off_session=True)
    assert declined.value.code == "card_declined"
    assert declined.value.json_body["error"]["decline_code"] == "authentication_required"


def test_a_card_that_could_ask_does_not(client: stripe.StripeClient) -> None:
    assert pay(client, payment_method="pm_card_threeDSecureOptional").status == "succeeded"


@pytest.mark.parametrize("card", DECLINES)
def test_each_test_card_is_declined_as_stripe_says(client: stripe.StripeClient, card: str) -> None:
    code, decline_code = DECLINES[card]
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method=card)
    error = declined.value
    told = error.json_body["error"]
    assert (error.http_status, error.code, told.get("decline_code")) == (402, code, decline_code)
    assert error.user_message
    assert error.request_id
    intent = client.v1.payment_intents.retrieve(told["payment_intent"]["id"])
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error
    assert intent.last_payment_error.code == code
    again = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert again.status == "succeeded"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_test_number_is_its_card(client: stripe.StripeClient, number: str) -> None:
    card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    made = client.v1.payment_methods.create({"type": "card", "card": card})
    assert made.card
    assert made.card.last4 == number[-4:]
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method=made.id)
    assert declined.value.code == DECLINES[NUMBERS[number]][0]


@pytest.mark.parametrize("token", ["tok_visa", "tok_mastercard", "tok_amex", "tok_visa_debit"])
def test_a_token_becomes_a_payment_method(client: stripe.StripeClient, token: str) -> None:
    made = client.v1.payment_methods.create({"type": "card", "card": {"token": token}})
    assert made.type == "card"
    assert made.card
    assert made.card.brand in ("visa", "mastercard", "amex")
    assert pay(client, payment_method=made.id).status == "succeeded"


def test_lists_are_walked_to_their_end(client: stripe.StripeClient) -> None:
    made = [
        client.v1.payment_intents.create({"amount": 100 + number, "currency": "usd"}).id
        for number in range(7)
    ]
    found = []
    for intent in client.v1.payment_intents.list({"limit": 2}).auto_paging_iter():
        found.append(intent.id)
        if intent.id == made[0]:
            break
    assert found[:7] == made[::-1]
    page = client.v1.payment_intents.list({"limit": 3, "ending_before": made[0]})
    assert [item.id for item in page.data] == made[1:4][::-1]
    assert (page.object, page.has_more, page.url) == ("list", True, "/v1/payment_intents")
    backwards = list(
        client.v1.payment_intents.list({"limit": 2, "ending_before": made[0]}).auto_paging_iter()
    )
    assert [item.id for item in backwards] == made[1:]


def test_objects_stand_where_their_ids_stood(client: stripe.StripeClient) -> None:
    paid = pay(client, expand=["latest_charge.payment_method", "payment_method"])
    charge: Any = paid.latest_charge
    assert charge.object == "charge"
    assert charge.payment_method.object == "payment_method"
    listed = client.v1.charges.list({"payment_intent": paid.id, "expand": ["data.payment_intent"]})
    intent: Any = listed.data[0].payment_intent
    assert intent.id == paid.id
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.payment_intents.retrieve(paid.id, {"expand": ["amount"]})


def test_the_same_key_is_the_same_payment(client: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": secrets.token_hex(8)}
    params: Any = {
        "amount": 700,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
    }
    first = client.v1.payment_intents.create(params, options)
    second = client.v1.payment_intents.create(params, options)
    assert first.id == second.id
    assert second.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError) as reused:
        client.v1.payment_intents.create({**params, "amount": 701}, options)
    assert reused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        client.v1.refunds.create({"payment_intent": first.id}, options)


def test_a_decline_is_replayed_as_well(client: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": secrets.token_hex(8)}
    told = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            client.v1.payment_intents.create(
                {
                    "amount": 700,
                    "currency": "usd",
                    "payment_method": "pm_card_visa_chargeDeclined",
                    "confirm": True,
                },
                options,
            )
        told.append(declined.value.json_body["error"]["payment_intent"]["id"])
    assert told[0] == told[1]


def test_fifty_calls_at_once_with_one_key_pay_once(client: stripe.StripeClient) -> None:
    key = secrets.token_hex(8)
    order = secrets.token_hex(8)
    found: list[str] = []
    failed: list[Exception] = []

    def call() -> None:
        try:
            made = pay_with(key)
            found.append(made.id)
        except stripe.StripeError as error:
            failed.append(error)

    def pay_with(key: str) -> Any:
        return client.v1.payment_intents.create(
            {
                "amount": 100,
                "currency": "usd",
                "payment_method": "pm_card_visa",
                "confirm": True,
                "metadata": {"order": order},
            },
            {"idempotency_key": key, "max_network_retries": 5},
        )

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert all(error.http_status == 409 for error in failed)
    made = [
        item
        for item in client.v1.payment_intents.list({"limit": 100}).data
        if item.metadata.to_dict().get("order") == order
    ]
    assert [item.status for item in made] == ["succeeded"]
    charges = client.v1.charges.list({"payment_intent": made[0].id}).data
    assert len(charges) == 1


def test_what_is_not_there_is_told_as_stripe_tells_it(
    client: stripe.StripeClient, shop: Judged
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as empty:
        client.v1.payment_intents.create({"amount": 100})  # type: ignore[typeddict-item]
    assert (empty.value.code, empty.value.param) == ("parameter_missing", "currency")
    with pytest.raises(stripe.AuthenticationError) as stranger:
        nobody = stripe.StripeClient("sk_test_nobody", base_addresses={"api": shop.url})
        nobody.v1.payment_intents.list()
    assert stranger.value.http_status == 401
