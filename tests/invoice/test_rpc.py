"""gRPC of invoice: what a billing run does."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.invoice.v1 import invoice_pb2 as pb

from tests.invoice.billing import AUSTRIAN


async def test_a_draft_has_discounts_and_tax_computed(billing):
    await billing.coupon("TEN")
    made = await billing.create(10_000, 5_005, coupon_codes=["ten"])
    assert (made.state, made.number) == ("draft", "")
    assert (made.subtotal_minor, made.discount_minor) == (15_005, 1_501)
    assert (made.net_minor, made.tax_minor, made.total_minor) == (13_504, 2_701, 16_205)
    assert [(line.discount_minor, line.net_minor) for line in made.lines] == [
        (1_000, 9_000),
        (501, 4_504),
    ]
    assert [(tax.label, tax.base_minor, tax.tax_minor) for tax in made.taxes] == [
        ("VAT 20 %", 13_504, 2_701)
    ]
    assert await billing.redemptions("TEN") == 0


async def test_a_final_invoice_is_numbered_dated_and_its_discounts_redeemed(billing):
    await billing.coupon("TEN")
    draft = await billing.create(10_000, coupon_codes=["TEN"], time_zone="Europe/Vienna")
    at = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    final = await billing.finalize(draft.id, at=to_timestamp(at))
    assert (final.state, final.number) == ("finalized", "TEST-2026-000001")
    assert (final.issued_on, final.due_on) == ("2026-02-01", "2026-03-03")
    assert (final.total_minor, final.due_minor, final.paid_minor) == (10_800, 10_800, 0)
    assert final.discounts[0].application_id.startswith("dsa_")
    assert await billing.redemptions("TEN") == 1
    assert await billing.get(final.number) == final


async def test_finalizing_again_returns_the_same_invoice(billing):
    draft = await billing.create(1_000)
    first = await billing.finalize(draft.id, request_id="f1")
    assert await billing.finalize(draft.id, request_id="f1") == first
    assert await billing.finalize(draft.id) == first


async def test_a_subscription_and_period_get_one_invoice(billing):
    made = await asyncio.gather(
        *(billing.create(1_000, subscription="sub_1", request_id=f"run{n}") for n in range(10))
    )
    assert len({invoice.id for invoice in made}) == 1
    assert (await billing.create(9_999, subscription="sub_1")).id == made[0].id


async def test_parallel_finalizing_of_one_draft_gives_one_number(billing):
    await billing.coupon("ONE", duration="forever")
    draft = await billing.create(1_000, coupon_codes=["ONE"])
    made = await asyncio.gather(*(billing.finalize(draft.id) for _ in range(20)))
    assert {invoice.number for invoice in made} == {made[0].number}
    assert made[0].number.endswith("-000001")
    assert await billing.redemptions("ONE") == 1


async def test_twenty_drafts_finalized_at_once_are_numbered_without_a_gap(billing):
    drafts = await asyncio.gather(*(billing.create(1_000 + n) for n in range(20)))
    at = to_timestamp(datetime(2026, 5, 1, tzinfo=UTC))
    made = await asyncio.gather(*(billing.finalize(draft.id, at=at) for draft in drafts))
    assert sorted(item.number for item in made) == [f"TEST-2026-{n:06d}" for n in range(1, 21)]
    assert {item.number: item.id for item in made} == {
        item.number: item.id for item in [await billing.get(item.id) for item in made]
    }


async def test_an_invoice_over_nothing_is_paid_at_once(billing):
    await billing.coupon("FREE", percent="100")
    for draft in (
        await billing.create(),
        await billing.create(0),
        await billing.create(1_000, coupon_codes=["FREE"]),
    ):
        final = await billing.finalize(draft.id)
        assert (final.state, final.total_minor, final.due_minor) == ("paid", 0, 0)
        assert final.HasField("paid_at")


async def test_a_coupon_gone_meanwhile_makes_a_draft_again(billing):
    await billing.coupon("LAST", redemptions_max=1)
    await billing.coupon("OTHER")
    mine = await billing.create(10_000, coupon_codes=["LAST", "OTHER"])
    customer = pb.CustomerSnapshot(customer_id="cus_2")
    other = await billing.create(10_000, coupon_codes=["LAST"], customer=customer)
    await billing.finalize(other.id)
    with pytest.raises(grpc.aio.AioRpcError, match="do not apply any more") as refused:
        await billing.finalize(mine.id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    again = await billing.get(mine.id)
    assert (again.state, again.number) == ("draft", "")
    assert [item.code for item in again.discounts] == ["OTHER"]
    assert await billing.redemptions("OTHER") == 0
    final = await billing.finalize(mine.id)
    assert (final.state, final.discount_minor) == ("finalized", 1_000)


async def test_what_tax_refuses_gives_the_discounts_back(billing, platform):
    await billing.coupon("BACK")
    headers = platform.headers(billing.tenant)
    rule = {"country": "AT", "rate": "0.1", "valid_from": "2020-01-01", "category": "special"}
    made = await platform.request("POST", "/v1/tax_rules", json=rule, headers=headers, expect=201)
    line = pb.NewLine(description="x", amount_minor=1_000, tax_rule_id=made["id"])
    request = billing.request(coupon_codes=["BACK"])
    request.lines.append(line)
    draft = (await billing.stub.CreateInvoice(request, metadata=billing.metadata())).invoice
    await platform.request("DELETE", f"/v1/tax_rules/{made['id']}", headers=headers, expect=204)
    with pytest.raises(grpc.aio.AioRpcError, match="not in force"):
        await billing.finalize(draft.id)
    assert (await billing.get(draft.id)).state == "draft"
    assert await billing.redemptions("BACK") == 0


async def test_voiding_keeps_the_number_and_gives_the_discounts_back(billing):
    await billing.coupon("TEN")
    draft = await billing.create(1_000, coupon_codes=["TEN"])
    final = await billing.finalize(draft.id)
    voided = await billing.void(final.id, reason="wrong customer")
    assert (voided.state, voided.number, voided.due_minor) == ("voided", final.number, 0)
    assert await billing.redemptions("TEN") == 0
    assert (await billing.void(final.id)).state == "voided"
    with pytest.raises(grpc.aio.AioRpcError, match="voided"):
        await billing.finalize(final.id)


async def test_a_preview_stores_nothing(billing):
    request = pb.PreviewInvoiceRequest(invoice=billing.request(10_000))
    answer = await billing.stub.PreviewInvoice(request, metadata=billing.metadata())
    assert (answer.invoice.id, answer.invoice.total_minor) == ("", 12_000)
    listed = await billing.stub.ListInvoices(pb.ListInvoicesRequest(), metadata=billing.metadata())
    assert list(listed.invoices) == []


async def test_a_reverse_charge_is_noted_on_the_invoice(billing):
    business = pb.CustomerSnapshot(
        customer_id="cus_b",
        address=pb.Address(country="DE"),
        tax_ids=[pb.TaxId(type="eu_vat", value="DE136695976")],
        tax_type="business",
    )
    made = await billing.create(10_000, customer=business)
    assert (made.tax_minor, made.taxes[0].treatment) == (0, "REVERSE_CHARGE")
    assert "Article 196" in made.notes[0]


async def test_the_tax_date_is_the_local_date_of_the_lines_end(billing):
    """Germany's rate was 16 % until the end of 2020, local time."""
    german = pb.CustomerSnapshot(customer_id="cus_d", address=pb.Address(country="DE"))
    for hour, rate in ((22, "0.16"), (23, "0.16")):
        end = datetime(2020, 12, 31, hour, tzinfo=UTC)
        line = pb.NewLine(description="x", amount_minor=1_000, ends_at=to_timestamp(end))
        request = billing.request(customer=german, time_zone="Europe/Berlin")
        request.lines.append(line)
        made = (await billing.stub.CreateInvoice(request, metadata=billing.metadata())).invoice
        assert made.taxes[0].rate.rstrip("0") == rate
    line.ends_at.CopyFrom(to_timestamp(datetime(2020, 12, 31, 23, 1, tzinfo=UTC)))
    request.lines[0].CopyFrom(line)
    made = (await billing.stub.CreateInvoice(request, metadata=billing.metadata())).invoice
    assert made.taxes[0].rate.rstrip("0") == "0.19"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"currency_code": "EUX"}, "currency_code"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"customer": pb.CustomerSnapshot()}, "/customer/customer_id"),
        ({"customer": pb.CustomerSnapshot(customer_id="c", tax_type="x")}, "/customer/tax_type"),
        ({"due_on": "tomorrow"}, "due_on"),
        ({"lines": [pb.NewLine(amount_minor=2**53), pb.NewLine()]}, "lines"),
        ({"lines": [pb.NewLine(quantity="NaN")]}, "/lines/0/quantity"),
        ({"lines": [pb.NewLine(kind="gift")]}, "/lines/0/kind"),
        ({"lines": [pb.NewLine(detail_json="{")]}, "/lines/0/detail_json"),
        ({"conversion": pb.ConversionNote(base="EUR", quote="USD", rate="0", as_of="2026-01-01")},
         "/conversion/rate"),
        ({"lines": [pb.NewLine(description="x", amount_minor=-1)]}, "/lines"),
    ],
)  # fmt: skip
async def test_a_bad_document_is_refused_with_its_field(billing, values, field):
    values = {"customer": AUSTRIAN, "currency_code": "EUR", **values}
    request = pb.CreateInvoiceRequest(**values)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await billing.stub.CreateInvoice(request, metadata=billing.metadata())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    assert field.encode() in details


async def test_a_request_with_an_id_is_answered_alike_and_made_once(billing):
    first = await billing.create(1_000, request_id="r1")
    assert await billing.create(1_000, request_id="r1") == first
    with pytest.raises(grpc.aio.AioRpcError, match="another request"):
        await billing.create(2_000, request_id="r1")


async def test_fifty_drafts_at_once_do_not_starve_the_pool(billing):
    await billing.coupon("ALL", duration="forever")
    made = await asyncio.gather(
        *(billing.create(1_000 + n, coupon_codes=["ALL"]) for n in range(50))
    )
    assert len({item.id for item in made}) == 50
