"""Money that comes in for invoices, as the facts of payment tell it."""

from datetime import UTC, datetime

import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.invoice.v1 import invoice_pb2 as pb
from billplane.protos.payment.v1 import events_pb2 as payment
from billplane.protos.subscription.v1 import events_pb2 as subscription

from tests.chassis.waiting import eventually
from tests.fixtures.facts import tell
from tests.invoice.billing import AUSTRIAN


@pytest.fixture
async def invoice(billing):
    """Give a final invoice over 120.00 EUR with tax."""
    return await billing.finalize((await billing.create(10_000)).id)


def paid(invoice, amount_minor, intent="pi_1"):
    return payment.PaymentSucceeded(
        payment_intent_id=intent,
        charge_id="ch_1",
        invoice_id=invoice.id,
        processor="simulated",
        currency_code="EUR",
        amount_minor=amount_minor,
    )


async def becomes(billing, invoice, state, paid_minor):
    async def so():
        found = await billing.get(invoice.id)
        return found if (found.state, found.paid_minor) == (state, paid_minor) else None

    return await eventually(so)


async def notes(billing, invoice, count):
    """Return the notes of the history, oldest first, once it has so many rows."""

    async def enough():
        path = f"/v1/invoices/{invoice.id}/history?order=asc"
        headers = billing.platform.headers(billing.tenant)
        rows = (await billing.platform.request("GET", path, headers=headers, expect=200))["data"]
        return [row["note"] for row in rows] if len(rows) >= count else None

    return await eventually(enough)


async def test_a_payment_told_three_times_pays_once(billing, invoice):
    assert invoice.total_minor == 12_000
    await tell(billing.platform, paid(invoice, 5_000), "pi_1", billing.tenant, times=3)
    await becomes(billing, invoice, "finalized", 5_000)
    await tell(billing.platform, paid(invoice, 7_000, "pi_2"), "pi_2", billing.tenant, times=3)
    found = await becomes(billing, invoice, "paid", 12_000)
    assert found.due_minor == 0
    assert len(await notes(billing, invoice, 5)) == 5


async def test_credit_and_a_payment_together_pay_an_invoice(billing, invoice):
    credit = payment.CreditApplied(
        invoice_id=invoice.id, operation_id="op_1", currency_code="EUR", amount_minor=2_000
    )
    await tell(billing.platform, credit, invoice.id, billing.tenant)
    await tell(billing.platform, paid(invoice, 10_000), "pi_1", billing.tenant)
    await becomes(billing, invoice, "paid", 12_000)


async def test_more_than_is_due_is_told_and_pays_no_more_than_all(billing, invoice):
    await tell(billing.platform, paid(invoice, 12_500), "pi_1", billing.tenant)
    await becomes(billing, invoice, "paid", 12_000)
    told = await notes(billing, invoice, 4)
    assert told[-1] == "paid by ch_1; 500 EUR minor units too many"


async def test_a_payment_of_a_voided_invoice_is_noted_and_leaves_it_voided(billing, invoice):
    await billing.void(invoice.id)
    await tell(billing.platform, paid(invoice, 12_000), "pi_1", billing.tenant)
    told = await notes(billing, invoice, 5)
    assert "12000 EUR minor units too many" in told[-1]
    assert (await billing.get(invoice.id)).state == "voided"


async def test_what_happens_to_the_money_stands_in_the_history(billing, invoice):
    facts = [
        (
            payment.PaymentFailed(
                payment_intent_id="pi_1", invoice_id=invoice.id, decline_code="insufficient_funds"
            ),
            "pi_1 failed: insufficient_funds",
        ),
        (
            payment.RefundSucceeded(
                refund_id="re_1", invoice_id=invoice.id, amount_minor=100, currency_code="EUR"
            ),
            "100 EUR given back, re_1",
        ),
        (
            payment.DisputeOpened(dispute_id="dp_1", invoice_id=invoice.id, reason="fraudulent"),
            "disputed: fraudulent, dp_1",
        ),
        (
            payment.DisputeClosed(dispute_id="dp_1", invoice_id=invoice.id, outcome="lost"),
            "dispute lost, dp_1",
        ),
    ]
    for place, (fact, note) in enumerate(facts):
        await tell(billing.platform, fact, "pi_1", billing.tenant)
        assert (await notes(billing, invoice, 4 + place))[-1] == note
    assert (await billing.get(invoice.id)).state == "finalized"


@pytest.mark.parametrize(
    ("final_action", "state"),
    [
        ("mark_uncollectible", "uncollectible"),
        ("cancel_subscription", "uncollectible"),
        ("leave_past_due", "finalized"),
    ],
)
async def test_what_cannot_be_collected_is_written_off(billing, invoice, final_action, state):
    fact = payment.CollectionExhausted(invoice_id=invoice.id, final_action=final_action)
    await tell(billing.platform, fact, invoice.id, billing.tenant, times=2)
    await tell(billing.platform, paid(invoice, 1), "pi_1", billing.tenant)
    await becomes(billing, invoice, state, 1)


async def test_money_for_what_was_written_off_still_pays_it(billing, invoice):
    fact = payment.CollectionExhausted(invoice_id=invoice.id, final_action="mark_uncollectible")
    await tell(billing.platform, fact, invoice.id, billing.tenant)
    await becomes(billing, invoice, "uncollectible", 0)
    await tell(billing.platform, paid(invoice, 12_000), "pi_1", billing.tenant)
    await becomes(billing, invoice, "paid", 12_000)


async def test_an_invoice_falls_due_by_its_customers_test_clock(billing):
    customer = pb.CustomerSnapshot()
    customer.CopyFrom(AUSTRIAN)
    customer.test_clock_id = "clk_1"
    at = datetime(2013, 2, 1, tzinfo=UTC)
    draft = await billing.create(10_000, customer=customer, at=to_timestamp(at))
    final = await billing.finalize(draft.id, at=to_timestamp(at))
    assert final.due_on == "2013-03-03"

    async def clock_says(day, clock="clk_1"):
        now = to_timestamp(datetime(2013, 3, day, tzinfo=UTC))
        fact = subscription.TestClockAdvanced(test_clock_id=clock, now=now)
        await tell(billing.platform, fact, clock, billing.tenant)

    await clock_says(30, "clk_2")
    await clock_says(3)
    await tell(billing.platform, paid(final, 1), "pi_1", billing.tenant)
    await becomes(billing, final, "finalized", 1)
    await clock_says(4)
    await becomes(billing, final, "past_due", 1)
