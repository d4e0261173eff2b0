"""Payments over REST: forms and JSON, states, refusals, races."""

import asyncio
import json
import random
import time

import pytest
from billplane.payment.providers.signatures import sign
from structlog.testing import capture_logs

from tests.payment.shop import run_janitor

PAY = {"amount": 1000, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}


async def test_a_form_and_json_mean_the_same(shop):
    form = await shop.paid(1000, metadata={"order": "7"})
    body = json.dumps({**PAY, "metadata": {"order": "7"}}).encode()
    headers = {"Content-Type": "application/json"}
    async with shop.platform.http.post(
        shop.platform.url("/v1/payment_intents"),
        data=body,
        headers={**shop.platform.headers(shop.tenant), **headers},
    ) as answer:
        told = await answer.json()
    assert answer.status == 200
    assert told.keys() == form.keys()
    assert (told["status"], told["metadata"]) == (form["status"], form["metadata"])


async def test_every_answer_has_the_headers_that_sdks_read(shop):
    good = await shop.send("GET", "/v1/payment_intents")
    assert good.headers["Request-Id"] == good.headers["X-Request-ID"]
    assert good.headers["Stripe-Version"] == "2026-01-01"
    bad = await shop.send("GET", "/v1/payment_intents/pi_nothing")
    assert bad.status == 404
    assert bad.headers["Stripe-Should-Retry"] == "false"
    assert bad.headers["Request-Id"]
    assert bad.error["type"] == "invalid_request_error"


async def test_unknown_fields_are_ignored_and_unknown_paths_refused_in_the_dialect(shop):
    made = await shop.make(
        "/v1/payment_intents", {"amount": 5, "currency": "eur", "future": {"a": [1, 2]}}
    )
    assert made["amount"] == 5
    lost = await shop.send("POST", "/v1/payment_intents/pi_x/increment_authorization", {})
    assert (lost.status, lost.error["code"]) == (404, "unrecognized_url")


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"currency": "eur"}, "parameter_missing", "amount"),
        ({"amount": 0, "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": "1.5", "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": -5, "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": 10**13, "currency": "eur"}, "amount_too_large", "amount"),
        ({"amount": 5, "currency": "xxz"}, "currency_unknown", "currency"),
        ({"amount": 5, "currency": "eur", "confirm": "maybe"}, "parameter_invalid_boolean",
         "confirm"),
        ({"amount": 5, "currency": "eur", "customer": "cus_nobody"}, "resource_missing",
         "customer"),
        ({**PAY, "payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"amount": 5, "currency": "eur", "metadata": {"k" * 41: "v"}}, "field_too_long", None),
    ],
)  # fmt: skip
async def test_bad_parameters_are_named(shop, form, code, param):
    answer = await shop.send("POST", "/v1/payment_intents", form)
    assert answer.status in (400, 404)
    assert answer.error["code"] == code, answer
    if param:
        assert answer.error["param"] == param
    assert (await shop.get("/v1/payment_intents"))["data"] == []


async def test_what_is_missing_to_confirm_is_said(shop):
    made = await shop.make("/v1/payment_intents", {"amount": 5, "currency": "eur"})
    answer = await shop.send("POST", f"/v1/payment_intents/{made['id']}/confirm", {})
    assert (answer.status, answer.error["code"]) == (400, "parameter_missing")
    kept = await shop.make(f"/payments/payment_intents/{made['id']}/confirm")
    assert kept["status"] == "succeeded"


async def test_another_mode_and_another_tenant_see_nothing(shop):
    paid = await shop.paid()
    live = shop.platform.headers(shop.tenant, livemode=True)
    other = shop.platform.headers("ten_pay_stranger")
    for headers in (live, other):
        for path in (f"/v1/payment_intents/{paid['id']}", f"/v1/charges/{paid['latest_charge']}"):
            assert (await shop.send("GET", path, headers=headers)).status == 404
        listed = await shop.send("GET", "/v1/payment_intents", headers=headers)
        assert paid["id"] not in [item["id"] for item in listed.body["data"]]


async def test_fifty_calls_with_one_key_pay_once(shop):
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(shop.send("POST", "/v1/payment_intents", PAY, headers=headers) for _ in range(50))
    )
    assert {answer.status for answer in answers} <= {200, 409}
    paid = {answer.body["id"] for answer in answers if answer.status == 200}
    assert len(paid) == 1
    assert len((await shop.get("/v1/payment_intents"))["data"]) == 1
    assert len((await shop.get("/v1/charges"))["data"]) == 1
    refused = [answer for answer in answers if answer.status == 409]
    assert {answer.headers["Stripe-Should-Retry"] for answer in refused} <= {"true"}


async def test_fifty_confirmations_at_once_charge_once(shop):
    made = await shop.make("/v1/payment_intents", {"amount": 5, "currency": "eur"})
    path = f"/v1/payment_intents/{made['id']}/confirm"
    form = {"payment_method": "pm_card_visa"}
    answers = await asyncio.gather(*(shop.send("POST", path, form) for _ in range(50)))
    assert sum(answer.status == 200 for answer in answers) == 1
    assert len((await shop.get("/v1/charges"))["data"]) == 1


async def test_refunds_at_once_never_exceed_what_was_captured(shop):
    paid = await shop.paid(1000)
    form = {"payment_intent": paid["id"], "amount": 300}
    answers = await asyncio.gather(*(shop.send("POST", "/v1/refunds", form) for _ in range(20)))
    assert sum(answer.status == 200 for answer in answers) == 3
    charge = await shop.get(f"/v1/charges/{paid['latest_charge']}")
    assert (charge["amount_refunded"], charge["refunded"]) == (900, False)


async def test_a_lost_answer_is_a_state_until_it_is_known(shop):
    intent = await shop.paid(card="pm_card_unknownOutcome")
    assert intent["status"] == "processing"
    path = f"/v1/payment_intents/{intent['id']}"
    again = await shop.send("POST", f"{path}/confirm", {"payment_method": "pm_card_visa"})
    assert again.status == 409
    assert (await shop.send("POST", f"{path}/cancel", {})).status == 409
    found = await shop.until(path, lambda found: found["status"] != "processing")
    assert found["status"] == "succeeded"
    assert len((await shop.get(f"/v1/charges?payment_intent={intent['id']}"))["data"]) == 1


async def test_a_lost_decline_becomes_known_too(shop):
    intent = await shop.paid(card="pm_card_unknownOutcomeDeclined")
    await run_janitor(shop.platform)
    found = await shop.until(
        f"/v1/payment_intents/{intent['id']}", lambda found: found["status"] != "processing"
    )
    assert found["status"] == "requires_payment_method"
    assert found["last_payment_error"]["decline_code"] == "generic_decline"


async def test_a_late_answer_is_waited_for(shop):
    intent = await shop.paid(card="pm_card_delayed")
    assert intent["status"] == "processing"
    found = await shop.until(
        f"/v1/payment_intents/{intent['id']}", lambda found: found["status"] != "processing"
    )
    assert found["status"] == "succeeded"


async def test_a_capture_that_fails_leaves_the_authorization(shop):
    held = await shop.paid(card="pm_card_captureFail", capture_method="manual")
    path = f"/v1/payment_intents/{held['id']}"
    refused = await shop.send("POST", f"{path}/capture", {})
    assert (refused.status, refused.error["type"]) == (402, "card_error")
    assert (await shop.get(path))["status"] == "requires_capture"
    assert (await shop.make(f"{path}/cancel"))["status"] == "canceled"


async def test_a_refund_may_end_later_and_may_fail(shop):
    paid = await shop.paid(card="pm_card_pendingRefund")
    refund = await shop.make("/v1/refunds", {"payment_intent": paid["id"]})
    assert refund["status"] == "pending"
    await shop.until(f"/v1/refunds/{refund['id']}", lambda found: found["status"] == "succeeded")
    assert len(await shop.facts("refund.succeeded", 1)) == 1
    bad = await shop.paid(card="pm_card_refundFail")
    refund = await shop.make("/v1/refunds", {"payment_intent": bad["id"]})
    found = await shop.until(
        f"/v1/refunds/{refund['id']}", lambda found: found["status"] == "failed"
    )
    assert found["failure_reason"] == "expired_or_canceled_card"
    charge = await shop.get(f"/v1/charges/{bad['latest_charge']}")
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)


async def test_every_attempt_is_kept_in_order(shop):
    made = await shop.make("/v1/payment_intents", {"amount": 5, "currency": "eur"})
    path = f"/v1/payment_intents/{made['id']}"
    for card in ("pm_card_visa_chargeDeclined", "pm_card_chargeDeclinedExpiredCard"):
        await shop.make(f"{path}/confirm", {"payment_method": card}, 402)
    await shop.make(f"{path}/confirm", {"payment_method": "pm_card_visa"})
    listed = (await shop.get(f"{path}/attempts"))["data"]
    assert [(item["status"], item["failure_code"], item["decline_code"]) for item in listed] == [
        ("declined", "card_declined", "generic_decline"),
        ("declined", "expired_card", "expired_card"),
        ("succeeded", None, None),
    ]
    charges = (await shop.get(f"/v1/charges?payment_intent={made['id']}"))["data"]
    assert [item["status"] for item in charges] == ["succeeded", "failed", "failed"]


async def test_a_method_belongs_to_its_customer(shop):
    headers = shop.platform.headers(shop.tenant)
    customer = await shop.platform.request(
        "POST", "/v1/customers", json={"name": "Ada"}, headers=headers, expect=201
    )
    method = await shop.make(
        "/v1/payment_methods/pm_card_visa/attach", {"customer": customer["id"]}
    )
    with_it = {**PAY, "payment_method": method["id"]}
    refused = await shop.send("POST", "/v1/payment_intents", with_it)
    assert refused.error["code"] == "payment_method_unexpected_state"
    paid = await shop.paid(card=method["id"], customer=customer["id"], off_session=True)
    assert paid["status"] == "succeeded"
    listed = await shop.get(f"/v1/payment_methods?customer={customer['id']}")
    assert [item["id"] for item in listed["data"]] == [method["id"]]
    gone = await shop.make(f"/v1/payment_methods/{method['id']}/detach")
    assert gone["customer"] is None
    again = await shop.send("POST", "/v1/payment_intents", with_it)
    assert again.status == 400


# Card numbers -----------------------------------------------------------------------------------


def card_numbers(count):
    """Make numbers that cards of every brand could have, none of them a test card's."""
    source = random.Random(7)
    brands = (("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("3528", 16),
              ("36", 14), ("62", 16))  # fmt: skip
    for index in range(count):
        prefix, length = brands[index % len(brands)]
        digits = prefix + "".join(
            str(source.randrange(10)) for _ in range(length - len(prefix) - 1)
        )
        yield digits + _check_digit(digits)


def _check_digit(digits):
    total = 0
    for place, digit in enumerate(reversed(digits), 1):
        value = int(digit) * (place % 2 + 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


async def test_no_card_number_is_taken_anywhere(shop):
    intent = await shop.make("/v1/payment_intents", {"amount": 5, "currency": "eur"})
    base = {"amount": 5, "currency": "eur"}
    ways = (
        ("/v1/payment_methods", lambda number: {"type": "card", "card": {"number": number}}),
        ("/v1/payment_intents", lambda number: {**base, "description": f"card {number}"}),
        ("/v1/payment_intents", lambda number: {**base, "metadata": {"card": number}}),
        ("/v1/payment_intents", lambda number: {**base, "metadata": {number[:40]: "card"}}),
        (f"/v1/payment_intents/{intent['id']}", lambda number: {"shipping": {"name": number}}),
        ("/v1/payment_intents", lambda number: {**PAY, "payment_method_data": {
            "type": "card", "card": {"number": number}}}),
        ("/v1/refunds", lambda number: {"payment_intent": "pi_1", "metadata": {"a": number}}),
        ("/v1/payment_methods", lambda number: {
            "type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": number}}),
    )  # fmt: skip
    numbers = list(card_numbers(200))
    with capture_logs() as logs:
        for index, number in enumerate(numbers):
            path, form = ways[index % len(ways)]
            written = number if index % 3 else " ".join((number[:4], number[4:]))
            answer = await shop.send(
                "POST", path, form(written), headers={"Idempotency-Key": f"key-{index}"}
            )
            assert (answer.status, answer.error["code"]) == (400, "card_number_refused"), answer
            assert number not in json.dumps(answer.body)
    written_down = json.dumps(logs, default=str)
    assert not [number for number in numbers if number in written_down]
    kept = await shop.query("SELECT key FROM payment.idempotency WHERE tenant_id = $1")
    assert kept == []


# Webhooks ---------------------------------------------------------------------------------------


BANK, OLDER = "bank-secret", "older-secret"


async def _tell(shop, event, secret=BANK, header=None):
    body = json.dumps(event).encode()
    processor = shop.platform.platform.runtimes["payment"].state.processors["simulated"]
    processor._secret = f"{BANK},{OLDER}"
    now = shop.platform.platform.runtimes["payment"].clock.now()
    signature = sign(body, secret, now) if header is None else header
    async with shop.platform.http.post(
        shop.platform.url("/payments/webhooks/simulated"),
        data=body,
        headers={"Stripe-Signature": signature},
    ) as answer:
        return answer.status, await answer.json()


async def test_a_processors_webhook_is_stored_once_and_applied(shop):
    paid = await shop.paid()
    (row,) = await shop.query("SELECT reference FROM payment.charges WHERE tenant_id = $1")
    event = {
        "id": f"evt_{paid['id']}",
        "kind": "dispute_opened",
        "reference": row["reference"],
        "dispute_reference": f"dispute_{paid['id']}",
        "amount_minor": 1000,
        "fee_minor": 1500,
        "reason": "duplicate",
        "status": "needs_response",
    }
    first = await _tell(shop, event)
    assert first[0] == 200
    assert first[1]["duplicate"] is False
    status, told = await _tell(shop, event, secret=OLDER)
    assert (status, told["duplicate"]) == (200, True)
    await shop.until(f"/v1/charges/{paid['latest_charge']}", lambda found: found["disputed"])
    assert len((await shop.get("/v1/disputes"))["data"]) == 1
    refused = await shop.send("POST", "/v1/refunds", {"payment_intent": paid["id"]})
    assert refused.error["code"] == "charge_disputed"
    (fact,) = await shop.facts("dispute.opened", 1)
    assert (fact["amount_minor"], fact["fee_minor"]) == (1000, 1500)


async def test_a_webhook_that_is_not_the_processors_is_refused(shop):
    event = {"id": "evt_1", "kind": "refund_failed", "reference": "x"}
    now = int(time.time())
    for header in ("", "t=1", f"t={now},v1=00", "v1=00", f"t=x,v1={'0' * 64}"):
        status, told = await _tell(shop, event, header=header)
        assert (status, told["error"]["code"]) == (400, "processor_signature_invalid")
    assert (await _tell(shop, event, secret="wrong"))[0] == 400
    assert (await _tell(shop, event))[0] == 200  # nobody's: nothing is stored
