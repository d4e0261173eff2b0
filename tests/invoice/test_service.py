"""What the database and the jobs of invoice keep true."""

import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from billplane.chassis.clock import FixedClock
from billplane.chassis.jobs import Worker
from billplane.chassis.rpc import to_timestamp
from billplane.invoice import jobs
from billplane.protos.invoice.v1 import invoice_pb2 as pb

from tests.invoice.billing import AUSTRIAN, Billing


@pytest.fixture
async def database(platform, billing):
    """Give a connection that may do what the service may, as the test's tenant."""
    connection = await asyncpg.connect(platform.stores.admin_url)
    await connection.execute("SET ROLE invoice_app")
    await connection.execute("SELECT set_config('billplane.tenant_id', $1, false)", billing.tenant)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoice.invoices SET total_minor = 1, net_minor = 1, tax_minor = 0 WHERE id = $1",
        "UPDATE invoice.invoices SET number = 'X-1' WHERE id = $1",
        "UPDATE invoice.invoices SET customer = '{}' WHERE id = $1",
        "UPDATE invoice.invoices SET due_on = due_on + 1 WHERE id = $1",
        "UPDATE invoice.invoices SET state = 'draft', number = '' WHERE id = $1",
        "UPDATE invoice.invoices SET tenant_id = tenant_id || 'x' WHERE id = $1",
        "DELETE FROM invoice.invoices WHERE id = $1",
        "UPDATE invoice.invoice_lines SET description = 'x' WHERE invoice_id = $1",
        "UPDATE invoice.invoice_lines SET invoice_id = 'inv_x' WHERE invoice_id = $1",
        "DELETE FROM invoice.invoice_lines WHERE invoice_id = $1",
        "UPDATE invoice.invoice_taxes SET tax_minor = 0 WHERE invoice_id = $1",
        "DELETE FROM invoice.invoice_discounts WHERE invoice_id = $1",
        "INSERT INTO invoice.invoice_discounts SELECT tenant_id, id, 9, 'X', 'X', 1, ''"
        " FROM invoice.invoices WHERE id = $1",
    ],
)
async def test_what_is_final_cannot_be_changed_even_in_the_database(billing, database, statement):
    await billing.coupon("TEN")
    final = await billing.finalize((await billing.create(1_000, coupon_codes=["TEN"])).id)
    with pytest.raises(asyncpg.PostgresError, match=r"frozen|deleted|row-level"):
        await database.execute(statement, final.id)
    assert await billing.get(final.id) == final


async def test_history_is_never_rewritten(billing, database):
    draft = await billing.create(1_000)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.execute(
            "UPDATE invoice.invoice_history SET cause = 'x' WHERE invoice_id = $1", draft.id
        )


async def test_lines_that_do_not_add_up_cannot_become_final(billing, database):
    draft = await billing.create(1_000)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="do not add up"):
        async with database.transaction():
            await database.execute(
                "UPDATE invoice.invoices SET state = 'finalized', number = 'X-1', net_minor = 1,"
                " tax_minor = 0, total_minor = 1 WHERE id = $1",
                draft.id,
            )
    assert (await billing.get(draft.id)).state == "draft"


async def test_an_invoice_is_past_due_when_its_last_day_is_over_where_the_customer_is(
    make_stores, run_platform
):
    clock = FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    services = ("discount", "invoice", "tax")
    async with run_platform(await make_stores(), services, clock=clock) as platform:
        async with platform.channel() as channel:
            billing = Billing(platform, "ten_a", channel)
            due = {"due_on": "2026-03-10", "time_zone": "America/New_York"}
            open_, paid, simulated = [await billing.create(1_000, **due) for _ in range(3)]
            for draft in (open_, paid):
                await billing.finalize(draft.id)
            long_ago = to_timestamp(datetime(2013, 1, 31, tzinfo=UTC))
            await billing.finalize(simulated.id, at=long_ago)
            await platform.request("POST", f"/v1/invoices/{paid.id}:mark_paid", expect=200)
            worker = Worker(platform.platform.runtimes["invoice"])
            # Daylight saving begins on 8 March: midnight in New York is 04:00 UTC.
            clock.advance(datetime(2026, 3, 11, 3, 59, tzinfo=UTC) - clock.now())
            await jobs.find_past_due(worker)
            assert (await billing.get(open_.id)).state == "finalized"
            clock.advance(timedelta(minutes=1))
            await jobs.find_past_due(worker)
            states = [(await billing.get(item.id)).state for item in (open_, paid, simulated)]
            assert states == ["past_due", "paid", "finalized"]
            await platform.request("POST", f"/v1/invoices/{open_.id}:mark_paid", expect=200)


async def test_documents_of_any_lines_coupons_and_taxes_add_up(billing):
    """The totals are checked again by the invariants at the end of the run."""
    seeded = random.Random(20)
    for code, values in {
        "P": {"percent": "12.5", "duration": "forever"},
        "A": {"amount_minor": 777, "currency_code": "EUR", "duration": "forever"},
        "C": {"percent": "50", "cap_minor": 300, "currency_code": "EUR", "duration": "forever"},
    }.items():
        await billing.coupon(code, **values)
    for _ in range(25):
        request = billing.request(
            customer=pb.CustomerSnapshot(
                customer_id="cus_1", address=pb.Address(country=seeded.choice(["AT", "DE", "FR"]))
            ),
            coupon_codes=seeded.sample(["P", "A", "C"], seeded.randint(0, 3)),
        )
        for _ in range(seeded.randint(1, 6)):
            request.lines.add(
                description="x",
                amount_minor=seeded.randint(0, 5_000),
                tax_category=seeded.choice(["Standard", "Books", "Food"]),
                tax_inclusive=seeded.random() < 0.3,
            )
        made = (await billing.stub.CreateInvoice(request, metadata=billing.metadata())).invoice
        final = await billing.finalize(made.id)
        assert (final.total_minor, final.discount_minor) == (made.total_minor, made.discount_minor)
        assert final.total_minor == final.net_minor + final.tax_minor
        assert final.net_minor == sum(line.net_minor for line in final.lines)
        assert final.tax_minor == sum(tax.tax_minor for tax in final.taxes)
        assert final.discount_minor == sum(item.amount_minor for item in final.discounts)
        assert all(line.net_minor >= 0 for line in final.lines)


async def test_each_year_and_mode_has_its_own_series(billing):
    numbers = []
    for year in (2025, 2026, 2025):
        draft = await billing.create(1_000)
        at = to_timestamp(datetime(year, 6, 1, tzinfo=UTC))
        numbers.append((await billing.finalize(draft.id, at=at)).number)
    assert numbers == ["TEST-2025-000001", "TEST-2026-000001", "TEST-2025-000002"]
    live = billing.metadata(livemode=True)
    draft = (await billing.stub.CreateInvoice(billing.request(1_000), metadata=live)).invoice
    final = await billing.stub.FinalizeInvoice(
        pb.FinalizeInvoiceRequest(id=draft.id), metadata=live
    )
    assert final.invoice.number == f"{final.invoice.issued_on[:4]}-000001"


async def test_absent_payment_terms_are_the_tenants_and_none_are_none(billing):
    terms = {}
    for days in (None, 0, 7):
        customer = pb.CustomerSnapshot()
        customer.CopyFrom(AUSTRIAN)
        customer.ClearField("payment_terms_days")
        if days is not None:
            customer.payment_terms_days = days
        draft = await billing.create(1_000, customer=customer)
        at = to_timestamp(datetime(2026, 6, 1, tzinfo=UTC))
        terms[days] = (await billing.finalize(draft.id, at=at)).due_on
    assert terms == {None: "2026-06-15", 0: "2026-06-01", 7: "2026-06-08"}
