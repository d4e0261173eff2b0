"""The journal, judged by the programs that it is for."""

import shutil
import subprocess
from pathlib import Path

import pytest
from billplane.protos.invoice.v1 import events_pb2 as invoice
from billplane.protos.payment.v1 import events_pb2 as payment

from tests.cli.test_with_the_platform import billplane
from tests.ledger.test_consumers import OF_PAYMENT, PAID, Teller, issued

JUDGES = Path(__file__).parents[2] / ".venv-judges" / "bin"


def _program(name):
    return shutil.which(name) or shutil.which(str(JUDGES / name))


def needs(name):
    """Leave a test out where a program is not installed."""
    return pytest.mark.skipif(_program(name) is None, reason=f"{name} is not installed")


def judged(name, *arguments, text=None):
    """Run a program that must find nothing wrong; return what it says."""
    done = subprocess.run(
        [_program(name), *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
async def books(platform):
    """Keep books in four currencies with everything that happens to invoices."""
    teller = Teller(platform, "ten_journal_judged")
    for currency, number in (("EUR", 1), ("JPY", 2), ("KWD", 3)):
        ids = {"currency_code": currency, "invoice_id": f"inv_{number}"}
        for name in ("paid", "disputed", "void", "bad"):
            made = issued(**ids | {"invoice_id": f"inv_{number}_{name}"})
            await teller.tell(invoice.InvoiceFinalized(**made))
        await teller.tell(payment.PaymentSucceeded(**(PAID | ids), fee_minor=375))
        await teller.tell(
            payment.RefundSucceeded(**(OF_PAYMENT | ids | {"amount_minor": 1_900}), refund_id="re")
        )
        await teller.tell(payment.PaymentSucceeded(**(PAID | ids), fee_minor=375))
        dispute = {**OF_PAYMENT, **ids, "dispute_id": "dp_1"}
        await teller.tell(payment.DisputeOpened(**dispute, fee_minor=1_500))
        await teller.tell(payment.DisputeClosed(**dispute, outcome="lost"))
        void = issued(**ids | {"invoice_id": f"inv_{number}_void"})
        await teller.tell(invoice.InvoiceVoided(**void))
        await _credit(teller, currency, number)
        bad = issued(**ids | {"invoice_id": f"inv_{number}_bad"})
        await teller.tell(invoice.InvoiceUncollectible(**bad))
    exchange = {
        "postings": [
            {"account_id": "fx_clearing:EUR", "direction": "debit", "amount_minor": 100},
            {"account_id": "unapplied_payments:EUR", "direction": "credit", "amount_minor": 100},
            {
                "account_id": "cash:manual:USD",
                "direction": "debit",
                "amount_minor": 108,
                "currency_code": "USD",
            },
            {
                "account_id": "fx_clearing:USD",
                "direction": "credit",
                "amount_minor": 108,
                "currency_code": "USD",
            },
        ],
        "currency_code": "EUR",
        "rate_id": "rate_1",
        "description": 'a "quoted" \\ name; with | all',
        "external_id": "a,b",
    }
    await teller.books.send("POST", "/transactions", exchange, expect=201)
    odd = await teller.books.open('Cash "odd" 現金', allow_negative=True, external_id="Kasse: 1")
    await teller.books.move(odd, "cash:manual:EUR", 7, pending=True)
    made = await teller.books.move(odd, "cash:manual:EUR", 8)
    await teller.books.send("POST", f"/transactions/{made['id']}:reverse", expect=201)
    return teller


async def _credit(teller, currency, number):
    """Credit an unpaid invoice, then one that was paid: as credit, by hand and by a refund."""
    ids = {"currency_code": currency, "invoice_id": f"inv_{number}_credited"}
    await teller.tell(invoice.InvoiceFinalized(**issued(**ids)))
    half = {**ids, "total_minor": 5_950, "net_minor": 5_000, "tax_minor": 950}
    taxes = [invoice.TaxAmount(jurisdiction="DE", rate="0.19", amount_minor=950)]
    for place, values in enumerate(
        (
            {"applied_minor": 5_950},
            {"excess_minor": 5_950, "excess": "by_hand"},
            {"excess_minor": 5_950, "excess": "credit"},
            {"excess_minor": 5_950, "excess": "refund"},
        )
    ):
        note = {"credit_note_id": f"cn_{number}_{place}", "number": f"CN-{number}-{place}"}
        await teller.tell(invoice.CreditNoteIssued(**half, **note, **values, taxes=taxes))
    refund = {**OF_PAYMENT, **ids, "amount_minor": 5_950, "refund_id": f"re_{number}_note"}
    await teller.tell(payment.RefundSucceeded(**refund, credit_note_id=f"cn_{number}_3"))


async def _run(books, *arguments):
    key = books.platform.token(books.tenant)
    done = await billplane(books.platform.url(""), *arguments, BILLPLANE_API_KEY=key)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("hledger")
async def test_hledger_finds_the_journal_right_and_its_sum_zero(books, tmp_path):
    text = await _run(books, "ledger", "export")
    judged("hledger", "-f", "-", "check", "--strict", "ordereddates", text=text)
    total = judged("hledger", "-f", "-", "balance", "--format", "%(total)", text=text)
    assert total.strip().splitlines()[-1].strip() == "0"
    assert "liabilities:tax_payable:DE:EUR" in judged("hledger", "-f", "-", "accounts", text=text)


@needs("ledger")
async def test_ledger_finds_the_journal_right_and_its_sum_zero(books, tmp_path):
    file = tmp_path / "books.journal"
    await _run(books, "ledger", "export", "--file", str(file))
    said = judged("ledger", "-f", str(file), "--strict", "--pedantic", "balance")
    assert said.strip().splitlines()[-1].strip() == "0"


@needs("bean-check")
async def test_bean_check_finds_the_ledger_right(books, tmp_path):
    file = tmp_path / "books.beancount"
    await _run(books, "ledger", "export", "--format", "beancount", "--file", str(file))
    judged("bean-check", str(file))
    assert "Assets:Cash:Simulated:EUR" in file.read_text()


async def test_the_trial_balance_is_zero_in_every_currency(books):
    found = (await books.books.send("GET", "/trial_balance", expect=200))["data"]
    assert {one["currency"] for one in found} == {"EUR", "JPY", "KWD", "USD"}
    assert all(one["debit_minor"] == one["credit_minor"] > 0 for one in found)
    euro = {line["line"]: line for one in found[:1] for line in one["lines"]}
    assert euro["bad_debts"]["debit_minor"] == 11_900
    assert euro["dispute_losses"]["debit_minor"] == 11_900
    # Three invoices stand; the fourth was credited, and as much again of another one.
    assert euro["revenue"]["credit_minor"] == 30_000 - 10_000
    assert euro["tax_payable"]["credit_minor"] == 3 * 1_900 - 1_900
    shown = await _run(books, "ledger", "trial-balance")
    assert "0.000 KWD" in shown
    assert "dispute_losses" in shown
