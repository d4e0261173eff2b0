"""The service against a plain model: random steps, the same states, amounts and refusals."""

import asyncio
from dataclasses import dataclass

import pytest
from billplane.chassis.invariants import check
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.fixtures.platform import running
from tests.payment.shop import Shop

VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
ASKING = "pm_card_threeDSecureRequired"
ASKING_DECLINED = "pm_card_threeDSecureRequiredChargeDeclined"
FAILING_CAPTURE = "pm_card_captureFail"
CARDS = st.sampled_from([VISA, ASKING, DECLINED, ASKING_DECLINED, FAILING_CAPTURE])
AMOUNTS = st.integers(1, 500)
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


@dataclass
class Intent:
    """What an intent is to be, in plain Python."""

    id: str
    amount: int
    manual: bool
    state: str = "requires_payment_method"
    card: str = ""
    capturable: int = 0
    received: int = 0
    refunded: int = 0

    def confirm(self, card):
        """Try a card; return whether it is declined."""
        self.card = card
        if card == DECLINED:
            self.state, self.card = "requires_payment_method", ""
            return True
        if card in (ASKING, ASKING_DECLINED):
            self.state = "requires_action"
            return False
        self.pay()
        return False

    def pay(self):
        """Let the bank say yes."""
        self.state = "requires_capture" if self.manual else "succeeded"
        self.capturable = self.amount if self.manual else 0
        self.received = 0 if self.manual else self.amount

    def seen(self):
        """What its readers see."""
        return (self.state, self.amount, self.capturable, self.received)


class Machine(RuleBasedStateMachine):
    """Drives both."""

    shop: Shop
    loop: asyncio.AbstractEventLoop
    runtime = None
    count = 0

    def __init__(self):
        super().__init__()
        Machine.count += 1
        self.tenant = Shop(self.shop.platform, f"ten_model_{Machine.count}")
        self.intents = []

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def post(self, path, form=None):
        answer = self.run(self.tenant.send("POST", path, form or {}))
        assert answer.status in (200, 400, 402), answer
        return answer

    def chosen(self, which):
        return self.intents[which % len(self.intents)] if self.intents else None

    @rule(amount=AMOUNTS, manual=st.booleans())
    def create(self, amount, manual):
        form = {"amount": amount, "currency": "eur"}
        form["capture_method"] = "manual" if manual else "automatic"
        made = self.post("/v1/payment_intents", form).body
        self.intents.append(Intent(made["id"], amount, manual))

    @rule(which=st.integers(0, 3), card=CARDS)
    def confirm(self, which, card):
        intent = self.chosen(which)
        if intent is None:
            return
        path = f"/v1/payment_intents/{intent.id}/confirm"
        answer = self.post(path, {"payment_method": card})
        if intent.state not in OPEN:
            assert answer.error["code"] == "payment_intent_unexpected_state"
            return
        declined = intent.confirm(card)
        assert answer.status == (402 if declined else 200)

    @rule(which=st.integers(0, 3), passed=st.booleans())
    def authenticate(self, which, passed):
        intent = self.chosen(which)
        if intent is None or intent.state != "requires_action":
            return
        found = self.run(self.tenant.get(f"/v1/payment_intents/{intent.id}"))
        token = found["next_action"]["redirect_to_url"]["url"].rsplit("/", 1)[1]
        step = "complete" if passed else "fail"
        self.post(f"/payments/authentications/{token}/{step}")
        if passed and intent.card == ASKING:
            intent.pay()
        else:
            intent.state = "requires_payment_method"

    @rule(which=st.integers(0, 3), amount=st.integers(0, 550))
    def capture(self, which, amount):
        intent = self.chosen(which)
        if intent is None:
            return
        form = {"amount_to_capture": amount} if amount else {}
        answer = self.post(f"/v1/payment_intents/{intent.id}/capture", form)
        if intent.state != "requires_capture":
            assert answer.error["code"] == "payment_intent_unexpected_state"
        elif amount > intent.capturable:
            assert answer.error["code"] == "amount_too_large"
        elif intent.card == FAILING_CAPTURE:
            assert answer.status == 402
        else:
            assert answer.status == 200
            intent.state, intent.received = "succeeded", amount or intent.capturable
            intent.capturable = 0

    @rule(which=st.integers(0, 3))
    def cancel(self, which):
        intent = self.chosen(which)
        if intent is None:
            return
        answer = self.post(f"/v1/payment_intents/{intent.id}/cancel")
        if intent.state in ("succeeded", "canceled"):
            assert answer.error["code"] == "payment_intent_unexpected_state"
        else:
            assert answer.status == 200
            intent.state, intent.capturable = "canceled", 0

    @rule(which=st.integers(0, 3), amount=st.integers(0, 550))
    def refund(self, which, amount):
        intent = self.chosen(which)
        if intent is None:
            return
        form = {"payment_intent": intent.id} | ({"amount": amount} if amount else {})
        answer = self.post("/v1/refunds", form)
        left = intent.received - intent.refunded
        if intent.state != "succeeded":
            assert answer.error["code"] == "charge_not_refundable"
        elif left == 0:
            assert answer.error["code"] == "charge_already_refunded"
        elif amount > left:
            assert answer.error["code"] == "amount_too_large"
        else:
            assert answer.body["amount"] == (amount or left)
            intent.refunded += amount or left

    @rule(which=st.integers(0, 3), amount=AMOUNTS)
    def change(self, which, amount):
        intent = self.chosen(which)
        if intent is None:
            return
        answer = self.post(f"/v1/payment_intents/{intent.id}", {"amount": amount})
        if intent.state not in OPEN:
            assert answer.error["code"] == "payment_intent_unexpected_state"
        else:
            assert answer.status == 200
            intent.amount = amount
            if intent.state == "requires_action":
                intent.state = "requires_confirmation"

    @invariant()
    def what_is_read_is_what_the_model_says(self):
        listed = self.run(self.tenant.get("/v1/payment_intents?limit=100"))["data"]
        found = {
            item["id"]: (
                item["status"],
                item["amount"],
                item["amount_capturable"],
                item["amount_received"],
            )
            for item in listed
        }
        assert found == {intent.id: intent.seen() for intent in self.intents}

    def teardown(self):
        assert self.run(check(self.runtime)) == []


@pytest.fixture
async def alone(make_stores):
    """Run payment alone, for the machine to drive."""
    async with running(await make_stores(), ("payment",)) as platform:
        yield platform


async def test_random_steps_lead_where_a_plain_model_leads(alone):
    Machine.shop, Machine.loop = Shop(alone, ""), asyncio.get_running_loop()
    Machine.runtime = alone.platform.runtimes["payment"]
    machine = Machine.TestCase
    machine.settings = settings(
        max_examples=6,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(machine().runTest)
