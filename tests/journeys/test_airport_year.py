"""A cut of the airport's year, with all that befalls it; or the year, where the environment asks.

Two airlines in three months: a new tariff that is shown and approved first, a change of plan within
a month, an invoice that is voided, two that are credited. BILLPLANE_TEST_EVERY_INVOICE=1 bills the
sixteen airlines' twelve months instead, which takes minutes.
"""

import os
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.chassis.waiting import eventually
from tests.cli.test_with_the_platform import billplane
from tests.fixtures.airport_year import every_airline, make_year, month_of
from tests.invoice.archive import faults
from tests.invoice.judge import broken, needs_judges
from tests.ledger.test_journal import judged, needs

# One worker tells the whole story.
pytestmark = pytest.mark.xdist_group("airport_year")

TENANT = "ten_airport_year"
EVERY = os.environ.get("BILLPLANE_TEST_EVERY_INVOICE", "") not in ("", "0")
# Hawaiian is billed in dollars and changes its plan; US Airways in euros, with Dutch VAT.
AIRLINES = every_airline() if EVERY else ["HA", "US"]
MONTHS = (1, 12) if EVERY else (5, 7)
SWITCH = datetime(2013, 9 if EVERY else 7, 18, 4, tzinfo=UTC)
AMOUNTS = ("subtotal_minor", "discount_minor", "net_minor", "tax_minor", "total_minor")
VAT = Decimal("0.21")


@pytest.fixture(scope="module")
async def year(platform, airport_source, tmp_path_factory):
    """Bill the months one after another; return the airlines with what was shown on the way."""
    folder = tmp_path_factory.mktemp("airport-year")
    made = make_year(platform, TENANT, airport_source, folder, AIRLINES)
    await made.begins(MONTHS[0])
    for month in range(MONTHS[0], MONTHS[1] + 1):
        await made.flies(month)
        if month == 6:
            made.shown = await made.changes_tariff()
        if month == SWITCH.month:
            await made.changes_plan("HA", SWITCH)
        made.issued = await made.ends(month)
    return made


@pytest.fixture(scope="module")
async def invoices(year):
    """Return every invoice by airline and month, as it was issued."""
    return {
        (item["customer"]["external_id"], month_of(item)): item for item in await year.invoices()
    }


async def test_every_invoice_equals_the_independent_computation(invoices, airport_source):
    months = "-".join(map(str, MONTHS))
    wanted = airport_source.expected_year(AIRLINES, months, SWITCH.isoformat())
    assert len(wanted) == len(invoices) == len(AIRLINES) * (MONTHS[1] - MONTHS[0] + 1)
    differing = {}
    for made in wanted:
        invoice = invoices[made["customer"], int(made["month"][5:])]
        found = [invoice["currency_code"], *(invoice[name] for name in AMOUNTS)]
        want = [made["currency"], *(made[name] for name in AMOUNTS)]
        lines = [[line["amount_minor"] for line in each["lines"]] for each in (invoice, made)]
        if found != want or sorted(lines[0]) != sorted(lines[1]):
            differing[made["customer"], made["month"]] = (found, want, *lines)
    assert not differing


async def test_the_new_tariff_was_shown_before_it_was_approved(year):
    diff = year.shown
    # Who is lifted to the commitment by both tariffs pays the same.
    assert diff["customers"] == len(AIRLINES) > diff["up"] + diff["down"] > 0
    assert diff["oldTotal"] != diff["newTotal"]


@pytest.fixture(scope="module")
async def corrected(year, invoices):
    """Void one invoice, credit one of another's lines, and a third one whole."""
    month = MONTHS[0]
    void = invoices["HA", month]
    await year.call("POST", f"/v1/invoices/{void['id']}:void", {"note": "billed twice"})
    part, whole = invoices["US", month], invoices["US", month + 1]
    (line,) = [item for item in part["lines"] if item["charge"] == "landing"]
    body = {"invoice_id": part["id"], "reason": "closed runway", "excess": "by_hand"}
    body["lines"] = [{"line_id": line["id"], "amount_minor": 123_45}]
    some = await year.call("POST", "/v1/credit_notes", body, 201)
    rest = await year.call("POST", "/v1/credit_notes", {"invoice_id": whole["id"]}, 201)
    return void, some, rest


async def test_what_is_credited_equals_the_independent_computation(corrected, year, invoices):
    void, some, rest = corrected
    tax = int((Decimal(123_45) * VAT).quantize(Decimal(1), ROUND_HALF_UP))
    assert (some["net_minor"], some["tax_minor"]) == (123_45, tax)
    whole = invoices["US", MONTHS[0] + 1]
    for name in ("net_minor", "tax_minor", "total_minor"):
        assert rest[name] == whole[name]
    states = {item["id"]: item["state"] for item in await year.invoices()}
    assert states[void["id"]] == "voided"
    assert states[whole["id"]] == "paid"


async def test_the_books_equal_the_invoices(corrected, year):
    notes = await year.credit_notes()
    wanted = {}

    def add(name, amount):
        wanted[name] = wanted.get(name, 0) + amount

    for sign, documents in ((1, await year.invoices()), (-1, notes)):
        for item in documents:
            if item.get("state") == "voided":
                continue
            currency = item["currency_code"]
            add(f"revenue:{currency}", sign * item["net_minor"])
            add(f"receivables:{currency}", sign * item["total_minor"])
            for tax in item["taxes"]:
                if tax["tax_minor"]:
                    add(f"tax_payable:{tax['jurisdiction']}:{currency}", sign * tax["tax_minor"])

    async def books():
        page = await year.call("GET", "/v1/ledger/accounts?limit=200")
        found = {account["external_id"]: account["balance_minor"] for account in page["data"]}
        return {name: found.get(name, 0) for name in wanted} == wanted

    assert len(wanted) >= 5
    await eventually(books, 60)
    trial = (await year.call("GET", "/v1/ledger/trial_balance"))["data"]
    assert {row["currency"] for row in trial} == {"EUR", "USD"}
    assert all(row["debit_minor"] == row["credit_minor"] > 0 for row in trial)


@pytest.fixture(scope="module")
async def export(year, corrected):
    """Give a function that exports the books once everything is posted."""

    async def posted():
        page = await year.call("GET", "/v1/ledger/transactions?limit=200")
        told = {item["metadata"].get("credit_note_id") for item in page["data"]}
        return {note["id"] for note in await year.credit_notes()} <= told

    await eventually(posted, 60)

    async def run(*arguments):
        key = year.platform.token(TENANT)
        command = ("ledger", "export", *arguments)
        done = await billplane(year.platform.url(""), *command, BILLPLANE_API_KEY=key)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@needs("hledger")
async def test_hledger_finds_the_books_right_and_their_sum_zero(export):
    text = await export()
    judged("hledger", "-f", "-", "check", "--strict", "ordereddates", text=text)
    total = judged("hledger", "-f", "-", "balance", "--format", "%(total)", text=text)
    assert total.strip().splitlines()[-1].strip() == "0"


@needs("ledger")
async def test_ledger_finds_the_books_right_and_their_sum_zero(export, tmp_path):
    file = tmp_path / "books.journal"
    await export("--file", str(file))
    said = judged("ledger", "-f", str(file), "--strict", "--pedantic", "balance")
    assert said.strip().splitlines()[-1].strip() == "0"


@needs("bean-check")
async def test_bean_check_finds_the_books_right(export, tmp_path):
    file = tmp_path / "books.beancount"
    await export("--format", "beancount", "--file", str(file))
    judged("bean-check", str(file))


async def faults_of(year, kind, item):
    """List what the rules of e-invoices and of archives find wrong with a document."""
    path = f"/v1/{kind}/{item['id']}"
    found = []
    for syntax in ("cii", "ubl"):
        found += broken(await year.file(f"{path}/xml?format={syntax}"))
    pdf = await year.file(f"{path}/pdf")
    if item.get("state") == "voided":
        return found + (["a voided one is still an e-invoice"] if b"factur-x.xml" in pdf else [])
    return found + faults(pdf, await year.file(f"{path}/xml"))


@needs_judges
async def test_every_invoice_keeps_the_rules_of_e_invoices_and_archives(invoices, year):
    found = {
        item["number"]: await faults_of(year, "invoices", item) for item in await year.invoices()
    }
    assert {name: faulty for name, faulty in found.items() if faulty} == {}
    assert len(found) == len(AIRLINES) * (MONTHS[1] - MONTHS[0] + 1)


@needs_judges
async def test_every_credit_note_keeps_them_too(corrected, year):
    notes = await year.credit_notes()
    found = {item["number"]: await faults_of(year, "credit_notes", item) for item in notes}
    assert {name: faulty for name, faulty in found.items() if faulty} == {}
    assert len(found) == 2
