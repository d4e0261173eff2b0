"""What the books make of facts of invoice and payment, told as their relays do."""

import asyncio
import json

import pytest
from billplane.protos.invoice.v1 import events_pb2 as invoice
from billplane.protos.payment.v1 import events_pb2 as payment
from redis.asyncio import Redis

from tests.fixtures.facts import tell
from tests.ledger.books import Books

STREAM = "billplane.ledger.v1"
ISSUED = {
    "invoice_id": "inv_1",
    "number": "TEST-2026-000001",
    "customer_id": "cus_1",
    "currency_code": "EUR",
    "total_minor": 11_900,
    "due_minor": 11_900,
    "net_minor": 10_000,
    "tax_minor": 1_900,
}
PAID = {
    "payment_intent_id": "pi_1",
    "charge_id": "ch_1",
    "customer_id": "cus_1",
    "invoice_id": "inv_1",
    "processor": "simulated",
    "currency_code": "EUR",
    "amount_minor": 11_900,
}
OF_PAYMENT = {name: value for name, value in PAID.items() if name != "charge_id"} | {
    "charge_id": "ch_1"
}


def issued(**fields):
    """Return what an invoice of 100.00 with 19.00 of German tax says."""
    return {
        **ISSUED,
        "taxes": [invoice.TaxAmount(jurisdiction="DE", rate="0.19", amount_minor=1_900)],
        **fields,
    }


class Teller:
    """Tells facts for one tenant, and reads what became of them."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.books = Books(platform, tenant)
        self.tenant = tenant

    async def tell(self, message, **options):
        """Tell a fact and return the transaction that it was posted by."""
        event_id = await tell(
            self.platform, message, message.invoice_id or "x", self.tenant, **options
        )
        for _ in range(100):
            found = await self.books.send("GET", f"/transactions/{event_id}")
            if "id" in found:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{message.DESCRIPTOR.name} was not posted")

    async def balances(self):
        """Return each account's balance by name, without those that are zero."""
        accounts = (await self.books.send("GET", "/accounts?limit=200"))["data"]
        return {
            account["external_id"]: account["balance_minor"]
            for account in accounts
            if account["balance_minor"]
        }


@pytest.fixture
def teller(platform, request):
    """Give a tenant of the test's own."""
    return Teller(platform, f"ten_{request.node.originalname}"[:60])


async def test_an_invoice_is_owed_as_revenue_and_tax_from_its_finalization_on(teller):
    made = await teller.tell(invoice.InvoiceFinalized(**issued()))
    assert await teller.balances() == {
        "receivables:EUR": 11_900,
        "revenue:EUR": 10_000,
        "tax_payable:DE:EUR": 1_900,
    }
    assert made["description"] == "invoice TEST-2026-000001 finalized"
    assert made["metadata"] == {
        "event_type": "invoice.finalized",
        "invoice_id": "inv_1",
        "customer_id": "cus_1",
    }


async def test_a_voided_invoice_leaves_nothing(teller):
    await teller.tell(invoice.InvoiceFinalized(**issued()))
    await teller.tell(invoice.InvoiceVoided(**issued(due_minor=0)))
    assert await teller.balances() == {}


@pytest.mark.parametrize(
    ("excess", "account", "left"),
    [
        ("credit", "unapplied_payments:EUR", 5_950),
        ("by_hand", "cash:manual:EUR", -5_950),
        ("refund", "unapplied_payments:EUR", 5_950),
    ],
)
async def test_a_credit_note_takes_revenue_and_tax_back(platform, excess, account, left):
    teller = Teller(platform, f"ten_credit_note_{excess}")
    await teller.tell(invoice.InvoiceFinalized(**issued()))
    note = {"credit_note_id": "cn_1", "number": "CN-1", "invoice_number": "1", "excess": excess}
    note = {**issued(), **note}
    for name in ("due_minor", "number"):
        del note[name]
    note["number"] = "CN-1"
    made = await teller.tell(
        invoice.CreditNoteIssued(**note, applied_minor=5_950, excess_minor=5_950)
    )
    assert made["description"] == "credit note CN-1 of invoice 1"
    assert await teller.balances() == {"receivables:EUR": 5_950, account: left}
    if excess == "refund":
        back = {**OF_PAYMENT, "amount_minor": 5_950, "refund_id": "re_1", "credit_note_id": "cn_1"}
        await teller.tell(payment.RefundSucceeded(**back))
        assert await teller.balances() == {
            "receivables:EUR": 5_950,
            "cash:simulated:EUR": -5_950,
        }


async def test_a_credit_stands_on_the_other_sides_and_a_residue_is_named(teller):
    credit = issued(total_minor=-1_191, net_minor=-1_000, invoice_id="inv_credit")
    credit["taxes"] = [invoice.TaxAmount(jurisdiction="US-NY", amount_minor=-190)]
    await teller.tell(invoice.InvoiceFinalized(**credit))
    assert await teller.balances() == {
        "receivables:EUR": -1_191,
        "revenue:EUR": -1_000,
        "tax_payable:US-NY:EUR": -190,
        "rounding:EUR": 1,
    }


async def test_a_payment_settles_the_invoice_less_the_processors_fee(teller):
    await teller.tell(invoice.InvoiceFinalized(**issued()))
    await teller.tell(payment.PaymentSucceeded(**PAID, fee_minor=375))
    await teller.tell(payment.PaymentSucceeded(**(PAID | {"invoice_id": "", "amount_minor": 500})))
    assert await teller.balances() == {
        "revenue:EUR": 10_000,
        "tax_payable:DE:EUR": 1_900,
        "cash:simulated:EUR": 11_525 + 500,
        "fees:EUR": 375,
        "unapplied_payments:EUR": 500,
    }


async def test_refunds_take_from_cash_what_they_give_back(teller):
    await teller.tell(payment.PaymentSucceeded(**PAID))
    await teller.tell(
        payment.RefundSucceeded(**(OF_PAYMENT | {"amount_minor": 1_900}), refund_id="re_1")
    )
    await teller.tell(
        payment.RefundSucceeded(
            **(OF_PAYMENT | {"amount_minor": 100, "invoice_id": ""}), refund_id="re_2"
        )
    )
    assert await teller.balances() == {
        "receivables:EUR": -11_900,
        "cash:simulated:EUR": 9_900,
        "refunds:EUR": 1_900,
        "unapplied_payments:EUR": -100,
    }


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("won", {"cash:simulated:EUR": 11_900 - 1_500, "fees:EUR": 1_500}),
        (
            "lost",
            {"cash:simulated:EUR": -1_500, "fees:EUR": 1_500, "dispute_losses:EUR": 11_900},
        ),
    ],
)
async def test_a_dispute_holds_the_money_until_it_is_decided(platform, outcome, expected):
    teller = Teller(platform, f"ten_dispute_{outcome}")
    await teller.tell(payment.PaymentSucceeded(**PAID))
    await teller.tell(payment.DisputeOpened(**OF_PAYMENT, dispute_id="dp_1", fee_minor=1_500))
    held = await teller.balances()
    assert (held["disputes:EUR"], held["cash:simulated:EUR"]) == (11_900, -1_500)
    await teller.tell(payment.DisputeClosed(**OF_PAYMENT, dispute_id="dp_1", outcome=outcome))
    assert await teller.balances() == {"receivables:EUR": -11_900, **expected}


async def test_what_is_given_up_is_a_bad_debt_until_it_is_paid_after_all(teller):
    await teller.tell(invoice.InvoiceFinalized(**issued()))
    await teller.tell(invoice.InvoiceUncollectible(**issued()))
    given_up = await teller.balances()
    assert given_up["bad_debts:EUR"] == 11_900
    assert "receivables:EUR" not in given_up
    await teller.tell(invoice.InvoicePaid(**issued(manual_minor=11_900)))
    paid = {"revenue:EUR": 10_000, "tax_payable:DE:EUR": 1_900, "cash:manual:EUR": 11_900}
    assert await teller.balances() == paid
    # The same told again by another fact takes nothing back twice.
    await teller.tell(invoice.InvoiceVoided(**issued()))
    assert await teller.balances() == {"cash:manual:EUR": 11_900, "receivables:EUR": -11_900}


async def test_a_fact_that_comes_five_times_is_posted_once_also_if_a_call_was_faster(teller):
    event_id = "evt_told_and_called"
    names = ("cash:simulated:EUR", "receivables:EUR")
    body = {
        "postings": [
            {"account_id": name, "direction": side, "amount_minor": 11_900}
            for name, side in zip(names, ("debit", "credit"), strict=True)
        ],
        "currency_code": "EUR",
        "external_id": event_id,
    }
    called = await teller.books.send("POST", "/transactions", body, expect=201)
    told = await teller.tell(payment.PaymentSucceeded(**PAID), event_id=event_id, times=5)
    assert told["id"] == called["id"]
    await teller.tell(payment.PaymentSucceeded(**(PAID | {"amount_minor": 1})), times=5)
    assert await teller.balances() == {names[0]: 11_901, names[1]: -11_901}


async def test_what_moved_no_money_is_not_posted(teller):
    await tell(teller.platform, invoice.InvoicePaid(**issued()), "inv_1", teller.tenant)
    zero = issued(total_minor=0, net_minor=0, taxes=[])
    await tell(teller.platform, invoice.InvoiceFinalized(**zero), "inv_1", teller.tenant)
    await teller.tell(payment.PaymentSucceeded(**PAID))
    made = (await teller.books.send("GET", "/transactions"))["data"]
    assert len(made) == 1


async def sent(teller, count):
    """Return what left as TransactionsPosted of the teller's tenant, once there are so many."""
    async with Redis.from_url(teller.platform.stores.redis_url) as redis:
        for _ in range(100):
            found = [json.loads(fields[b"envelope"]) for _, fields in await redis.xrange(STREAM)]
            mine = [item for item in found if item["metadata"]["tenant_id"] == teller.tenant]
            if len(mine) >= count:
                return mine
            await asyncio.sleep(0.05)
    raise AssertionError(f"{len(mine)} of {count} were told")


async def test_each_batch_that_posted_something_is_told_with_what_it_posted(teller):
    books = teller.books
    source, target = await books.pair()
    held = await books.move(source, target, 30, pending=True)
    await books.send("POST", f"/transactions/{held['id']}:commit", {"amount_minor": 12})
    await books.send("POST", f"/transactions/{held['id']}:release")
    sold = await books.move(source, target, 5, description="sold", external_id="sale")
    rows = await sent(teller, 2)
    told = [item["payload"]["transactions"] for item in rows]
    versions = [item["metadata"]["aggregate_version"] for item in rows]
    assert versions == list(range(1, len(rows) + 1))
    flat = [transaction for transactions in told for transaction in transactions]
    assert [(item["kind"], item["total_minor"]) for item in flat] == [("commit", 12), ("record", 5)]
    assert flat[1]["transaction_id"] == sold["id"]
    assert (flat[1]["external_id"], flat[1]["description"]) == ("sale", "sold")
    assert flat[1]["recorded_at"] == sold["recorded_at"]
