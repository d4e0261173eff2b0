"""The life of invoices, played at random on a real database against a model of it."""

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.invoice.client import Client

OPEN = ("finalized", "past_due")
STEPS = 12
EXAMPLES = 6


class Model:
    """What an invoice must be by now."""

    def __init__(self, made):
        self.id = made["id"]
        self.state = "draft"
        self.number = None
        self.total = made["total_minor"]
        self.paid = self.credited = self.returned = 0

    @property
    def due(self):
        return 0 if self.state == "voided" else self.total - self.paid - self.credited


class Life(RuleBasedStateMachine):
    """Invoices of one tenant, under everything that can be asked of them."""

    platform = None
    loop = None
    runs = 0

    def __init__(self):
        super().__init__()
        Life.runs += 1
        self.client = Client(self.platform, f"ten_lifecycle_{Life.runs}")
        self.invoices = []
        self.notes = 0
        self.finals = 0

    def play(self, coroutine):
        """Run a request on the platform's loop, and wait for it here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def post(self, path, expect=200, **body):
        return self.play(self.client.send("POST", path, expect, json=body))

    def shown(self, model):
        return self.play(self.client.send("GET", f"/v1/invoices/{model.id}"))

    @initialize()
    def a_customer(self):
        self.customer = self.play(self.client.customer())

    @precondition(lambda self: len(self.invoices) < 3)
    @rule(amount=st.sampled_from(["100.00", "0.01", "33.33", "0"]))
    def draft(self, amount):
        lines = [
            {"description": "Work", "unit_amount": amount},
            {"description": "More", "unit_amount": "9.99"},
        ]
        made = self.play(self.client.create(customer_id=self.customer, lines=lines))
        self.invoices.append(Model(made))

    def pick(self, data):
        return data.draw(st.sampled_from(self.invoices))

    @precondition(lambda self: self.invoices)
    @rule(data=st.data(), amount=st.sampled_from(["1.00", "250.50"]))
    def change(self, data, amount):
        model = self.pick(data)
        expect = 200 if model.state == "draft" else 409
        body = {"lines": [{"description": "Other", "unit_amount": amount}]}
        answer = self.play(self.client.send("PATCH", f"/v1/invoices/{model.id}", expect, json=body))
        if expect == 200:
            model.total = answer["total_minor"]

    @precondition(lambda self: self.invoices)
    @rule(data=st.data())
    def finalize(self, data):
        model = self.pick(data)
        answer = self.post(
            f"/v1/invoices/{model.id}:finalize", 409 if model.state == "voided" else 200
        )
        if model.state == "draft":
            self.finals += 1
            model.state = "finalized" if model.total else "paid"
            model.number = answer["number"]
            assert model.number.endswith(f"-{self.finals:06d}")

    @precondition(lambda self: self.invoices)
    @rule(data=st.data())
    def mark_paid(self, data):
        model = self.pick(data)
        expect = 200 if model.state in (*OPEN, "paid") else 409
        self.post(f"/v1/invoices/{model.id}:mark_paid", expect)
        if expect == 200:
            model.paid += model.due
            model.state = "paid"

    @precondition(lambda self: self.invoices)
    @rule(data=st.data())
    def void(self, data):
        model = self.pick(data)
        fresh = model.state in OPEN and not model.paid and not model.credited
        expect = 200 if fresh or model.state == "voided" else 409
        self.post(f"/v1/invoices/{model.id}:void", expect)
        if expect == 200:
            model.state = "voided"

    @precondition(lambda self: self.invoices)
    @rule(data=st.data(), share=st.integers(0, 4))
    def credit(self, data, share):
        model = self.pick(data)
        left = model.total - model.credited - model.returned
        body = {"invoice_id": model.id}
        amount = left
        if share:
            amount = max(1, left * share // 3)
            body["amount_minor"] = amount
        if model.state not in (*OPEN, "paid") or left <= 0:
            self.post("/v1/credit_notes", 409, **body)
            return
        if amount > left:
            self.post("/v1/credit_notes", 422, **body)
            return
        self.notes += 1
        note = self.post("/v1/credit_notes", 201, **body)
        applied = min(amount, model.due)
        assert (note["total_minor"], note["applied_minor"]) == (amount, applied)
        assert note["number"].endswith(f"-{self.notes:06d}")
        model.credited += applied
        model.returned += amount - applied
        if not model.due:
            model.state = "paid"

    @precondition(lambda self: self.invoices)
    @rule(data=st.data())
    def delete(self, data):
        model = self.pick(data)
        expect = 204 if model.state == "draft" else 409
        self.play(self.client.send("DELETE", f"/v1/invoices/{model.id}", expect))
        if expect == 204:
            self.invoices.remove(model)

    @invariant()
    def every_invoice_is_what_it_must_be(self):
        for model in self.invoices:
            shown = self.shown(model)
            assert (shown["state"], shown["number"]) == (model.state, model.number)
            assert shown["total_minor"] == model.total
            assert shown["paid_minor"] == model.paid
            assert shown["credited_minor"] == model.credited
            assert shown["returned_minor"] == model.returned
            assert shown["due_minor"] == model.due >= 0
            assert shown["total_minor"] == shown["net_minor"] + shown["tax_minor"]


async def test_an_invoice_lives_as_its_model_does(platform):
    Life.platform, Life.loop = platform, asyncio.get_running_loop()
    machine = Life.TestCase
    machine.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(machine().runTest)
