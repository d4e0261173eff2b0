"""gRPC of tax."""

import grpc
import pytest
from billplane.protos.tax.v1 import tax_pb2 as pb
from billplane.protos.tax.v1 import tax_pb2_grpc


def asked(**fields) -> pb.CalculateTaxRequest:
    values = {
        "customer": pb.TaxCustomer(country="DE"),
        "currency_code": "EUR",
        "lines": [pb.TaxLine(line_id="1", amount_minor=10_000, tax_on="2026-01-31")],
    }
    return pb.CalculateTaxRequest(**values | fields)


@pytest.fixture
async def stub(platform):
    async with platform.channel() as channel:
        yield tax_pb2_grpc.TaxServiceStub(channel)


async def _recorded(platform, tenant):
    headers = platform.headers(tenant)
    page = await platform.request("GET", "/v1/tax_calculations", headers=headers, expect=200)
    return page["data"]


async def test_a_preview_records_nothing(platform, stub):
    metadata = platform.metadata("ten_tax_preview")
    answer = await stub.CalculateTax(asked(preview=True), metadata=metadata)
    assert answer.calculation.tax_minor == 1_900
    assert answer.calculation.id == ""
    assert await _recorded(platform, "ten_tax_preview") == []


async def test_a_request_id_replays_what_was_recorded(platform, stub):
    metadata = platform.metadata("ten_tax_replay")
    first = await stub.CalculateTax(asked(request_id="r1"), metadata=metadata)
    again = await stub.CalculateTax(asked(request_id="r1"), metadata=metadata)
    assert again == first
    assert [item["id"] for item in await _recorded(platform, "ten_tax_replay")] == [
        first.calculation.id
    ]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CalculateTax(asked(request_id="r1", reference="other"), metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_calculation_is_read_by_its_tenant_and_mode_only(platform, stub):
    metadata = platform.metadata("ten_tax_mine")
    made = (await stub.CalculateTax(asked(), metadata=metadata)).calculation
    wanted = pb.GetTaxCalculationRequest(id=made.id)
    assert (await stub.GetTaxCalculation(wanted, metadata=metadata)).calculation == made
    others = [
        platform.metadata("ten_tax_theirs"),
        platform.metadata("ten_tax_mine", livemode=True),
    ]
    for other in others:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetTaxCalculation(wanted, metadata=other)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"currency_code": "XXY"}, "currency_code"),
        ({"lines": [pb.TaxLine(line_id="1", tax_on="31.01.2026")]}, "lines[0].tax_on"),
        ({"lines": [pb.TaxLine(line_id="1", tax_on="1969-12-31")]}, "lines.tax_on"),
        ({"lines": [pb.TaxLine(line_id="1"), pb.TaxLine(line_id="1")]}, "/lines/1/line_id"),
        ({"lines": [pb.TaxLine(line_id="1", amount_minor=2**62)]}, "/lines/0/amount_minor"),
        ({"lines": [pb.TaxLine(line_id=str(n), amount_minor=2**53 - 1) for n in (1, 2)]}, "/lines"),
    ],
)
async def test_what_cannot_be_taxed_is_refused_by_name(platform, stub, fields, field):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CalculateTax(asked(**fields), metadata=platform.metadata("ten_tax_bad"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()
    trailers = dict(refused.value.trailing_metadata())
    assert field.encode() in trailers["grpc-status-details-bin"]


async def test_greece_may_be_written_as_its_numbers_are(platform, stub):
    customer = pb.TaxCustomer(country="EL")
    answer = await stub.CalculateTax(
        asked(customer=customer), metadata=platform.metadata("ten_tax_el")
    )
    assert answer.calculation.tax_minor == 2_400


async def test_own_rules_are_listed_before_the_shipped_ones(platform, stub):
    headers = platform.headers("ten_tax_rules")
    rule = {"country": "DE", "rate": "0.05", "valid_from": "2026-01-01"}
    made = await platform.request("POST", "/v1/tax_rules", json=rule, headers=headers, expect=201)
    metadata = platform.metadata("ten_tax_rules")
    listed = await stub.ListTaxRules(pb.ListTaxRulesRequest(country="DE"), metadata=metadata)
    assert listed.rules[0].id == made["id"]
    assert {item.country for item in listed.rules} == {"DE"}
    assert len(listed.rules) > 1
    answer = await stub.CalculateTax(asked(), metadata=metadata)
    assert answer.calculation.tax_minor == 500
