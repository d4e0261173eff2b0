"""E-invoices: every kind of document, judged by the schemas and rules that others judge by."""

from decimal import Decimal
from io import BytesIO

import pytest
from pypdf import PdfReader

from tests.invoice.judge import broken, needs_judges, parsed

SELLER = {
    "name": "Skyport & Söhne GmbH",
    "address": {"line1": "Ring 12", "postal_code": "1010", "city": "Wien", "country": "AT"},
    "tax_id": "ATU 12345675",
    "registration": "FN 123456a",
    "email": "billing@skyport.example",
    "contact_name": "Anna Moser",
    "phone": "+43 1 2345678",
    "iban": "AT61 1904 3002 3457 3201",
    "bic": "BKAUATWW",
    "account_name": "Skyport & Söhne GmbH",
    "payment_instructions": "Please name the invoice's number.",
    "footer": "Wien, Handelsgericht Wien",
}
SETTINGS = {"seller": SELLER, "e_invoice": "required"}
_CII = "urn:un:unece:uncefact:data:standard:"
SPACES = {
    "ram": f"{_CII}ReusableAggregateBusinessInformationEntity:100",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}


async def austrian(client, **values):
    """Make a seller in Austria and return a customer of it."""
    await client.send("PUT", "/v1/tax_settings", json={"country": "AT"})
    await client.send("PUT", "/v1/invoice_settings", json=SETTINGS)
    values.setdefault("email", "ap@alpenglow.example")
    return await client.customer(**values)


def line(amount, **values):
    return {"description": "Work <&> more", "unit_amount": amount, **values}


def texts(root, path):
    return [found.text for found in root.findall(path, SPACES)]


def cii_sums(root):
    """Return net, tax and total, and the breakdown, as the CII says them."""
    head = root.find(".//ram:SpecifiedTradeSettlementHeaderMonetarySummation", SPACES)
    names = ("LineTotalAmount", "TaxBasisTotalAmount", "TaxTotalAmount", "GrandTotalAmount")
    groups = root.findall(".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax", SPACES)
    breakdown = [
        tuple(
            group.findtext(f"ram:{name}", "", SPACES)
            for name in ("CategoryCode", "RateApplicablePercent", "BasisAmount", "CalculatedAmount")
        )
        for group in groups
    ]
    sums = [head.findtext(f"ram:{name}", "", SPACES) for name in (*names, "DuePayableAmount")]
    return sums, breakdown


def ubl_sums(root):
    """Return the same of the UBL."""
    head = root.find("cac:LegalMonetaryTotal", SPACES)
    total = root.find("cac:TaxTotal", SPACES)
    sums = [
        head.findtext("cbc:LineExtensionAmount", "", SPACES),
        head.findtext("cbc:TaxExclusiveAmount", "", SPACES),
        total.findtext("cbc:TaxAmount", "", SPACES),
        head.findtext("cbc:TaxInclusiveAmount", "", SPACES),
        head.findtext("cbc:PayableAmount", "", SPACES),
    ]
    breakdown = [
        (
            group.findtext("cac:TaxCategory/cbc:ID", "", SPACES),
            group.findtext("cac:TaxCategory/cbc:Percent", "", SPACES),
            group.findtext("cbc:TaxableAmount", "", SPACES),
            group.findtext("cbc:TaxAmount", "", SPACES),
        )
        for group in total.findall("cac:TaxSubtotal", SPACES)
    ]
    return sums, breakdown


async def judged(client, made, kind="invoices"):
    """Return the breakdown of a document that both syntaxes write without a fault, to the cent."""
    digits = 0 if made["currency_code"] == "JPY" else 2

    def money(minor):
        return f"{Decimal(minor).scaleb(-digits):.{digits}f}"

    total, net = made["total_minor"], made["net_minor"]
    wanted = [money(part) for part in (net, net, made["tax_minor"], total, total)]
    found = []
    for syntax, sums_of in (("cii", cii_sums), ("ubl", ubl_sums)):
        xml = await client.file(f"/v1/{kind}/{made['id']}/xml?format={syntax}")
        assert broken(xml) == []
        sums, breakdown = sums_of(parsed(xml))
        assert sums == wanted
        found.append(breakdown)
    assert found[0] == found[1]
    assert sum(Decimal(group[2]) for group in found[0]) == Decimal(wanted[0])
    assert sum(Decimal(group[3]) for group in found[0]) == Decimal(wanted[2])
    return found[0]


@needs_judges
async def test_every_kind_of_invoice_keeps_the_rules(client):
    consumer = await austrian(client, metadata={})
    business = await client.customer(
        name="Müller AG",
        address={"line1": "Allee 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
        tax_type="business",
        tax_ids=[{"type": "eu_vat", "value": "DE 136695976"}],
        email="ap@mueller.example",
    )
    await client.send("POST", "/v1/coupons", 201, json={"code": "TEN", "percent": "10"})
    await client.send("POST", "/v1/coupons", 201, json={"code": "ALL", "percent": "100"})
    for category, treatment in (("Post", "EXEMPT"), ("Export", "ZERO")):
        rule = {"country": "AT", "category": category, "treatment": treatment, "rate": "0",
                "valid_from": "2020-01-01", "label": f"{treatment} by law"}  # fmt: skip
        await client.send("POST", "/v1/tax_rules", 201, json=rule)
    books = line("9.99", product_category="Reduced", quantity="3", unit="month")
    gross = line("119.99", tax_inclusive=True)
    cases = {
        "exclusive": ({"lines": [line("33.33", quantity="2.5", unit="hour")]}, {"S"}),
        "inclusive": ({"lines": [gross, line("0.01", tax_inclusive=True)]}, {"S"}),
        "rates": ({"lines": [line("100"), books, gross]}, {"S"}),
        "discount": ({"lines": [line("100"), books, gross], "coupon_codes": ["TEN"]}, {"S"}),
        "credit line": ({"lines": [line("100"), line("-30.005", quantity="2")]}, {"S"}),
        "reverse charge": ({"customer_id": business, "lines": [line("100"), books]}, {"AE"}),
        "exempt and zero": (
            {"lines": [line("5", product_category="Post"), line("7", product_category="Export")]},
            {"E", "Z"},
        ),
        "nothing to pay": ({"lines": [line("100")], "coupon_codes": ["ALL"]}, {"S"}),
        "yen": ({"currency_code": "JPY", "lines": [line("1234.5")]}, {"S"}),
        "references": (
            {
                "lines": [line("1")],
                "metadata": {"buyer_reference": "04011-1", "purchase_order": "7"},
            },
            {"S"},
        ),
    }  # fmt: skip
    for values, categories in cases.values():
        made = await client.final(**{"customer_id": consumer, **values})
        assert {group[0] for group in await judged(client, made)} == categories


@needs_judges
async def test_a_customer_outside_the_union_gets_an_invoice_not_subject_to_vat(client):
    await austrian(client)
    american = await client.customer(name="Gotham Inc", address={"country": "US", "city": "NYC"})
    made = await client.final(customer_id=american)
    assert await judged(client, made) == [("O", "", "100.00", "0.00")]


async def test_a_sales_tax_has_no_form_in_the_rules_and_is_issued_without_one(client):
    await austrian(client)
    for region, rate in (("", "0.04"), ("NY", "0.045")):
        rule = {"country": "US", "region": region, "rate": rate, "stacked": True,
                "valid_from": "2020-01-01", "label": "Sales tax"}  # fmt: skip
        await client.send("POST", "/v1/tax_rules", 201, json=rule)
    american = await client.customer(address={"country": "US", "region": "NY"})
    made = await client.final(customer_id=american)
    assert (made["state"], made["tax_minor"]) == ("finalized", 850)
    problem = await client.send("GET", f"/v1/invoices/{made['id']}/xml", 409)
    assert problem["reason"] == "E_INVOICE_UNSUPPORTED"
    assert "is not a VAT" in problem["detail"]
    assert "108.50" in await client.pdf(made["id"])


async def test_three_decimals_have_no_form_in_the_rules(client):
    customer = await austrian(client)
    made = await client.final(customer_id=customer, currency_code="KWD")
    problem = await client.send("GET", f"/v1/invoices/{made['number']}/xml?format=ubl", 409)
    assert (problem["reason"], problem["metadata"]["what"]) == ("E_INVOICE_UNSUPPORTED", "CURRENCY")


@pytest.mark.parametrize(
    ("seller", "customer", "rule", "field"),
    [
        ({"name": ""}, {}, "BR-06", "/seller/name"),
        ({"address": {}}, {}, "BR-09", "/seller/address/country"),
        ({"tax_id": "", "registration": ""}, {}, "BR-CO-26", "/seller/tax_id"),
        ({"tax_id": ""}, {}, "BR-S-02", "/seller/tax_id"),
        ({"tax_id": "QQ123"}, {}, "BR-CO-09", "/seller/tax_id"),
        ({}, {"address": {}}, "BR-11", "/customer/address/country"),
        ({"iban": ""}, {}, "BR-61", "/seller/iban"),
    ],
)
async def test_what_lacks_is_named_before_anything_is_numbered(
    client, seller, customer, rule, field
):
    buyer = await austrian(client, **customer)
    settings = {**SETTINGS, "seller": {**SELLER, **seller}}
    await client.send("PUT", "/v1/invoice_settings", json=settings)
    draft = await client.create(customer_id=buyer)
    problem = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize", 409)
    assert problem["reason"] == "E_INVOICE_INVALID"
    assert {"field": field, "reason": rule} in [
        {"field": error["field"], "reason": error["reason"]} for error in problem["errors"]
    ]
    held = await client.send("GET", f"/v1/invoices/{draft['id']}")
    assert (held["state"], held["number"]) == ("draft", None)
    await client.send("PUT", "/v1/invoice_settings", json={**SETTINGS, "e_invoice": "off"})
    final = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize")
    assert final["number"].endswith("-000001")


async def test_a_draft_has_no_e_invoice_and_one_that_cannot_be_written_says_why(client):
    draft = await client.create()
    problem = await client.send("GET", f"/v1/invoices/{draft['id']}/xml", 409)
    assert problem["reason"] == "INVOICE_NOT_ISSUED"
    await client.send("GET", f"/v1/invoices/{draft['id']}/xml?format=edifact", 422)
    final = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize")
    problem = await client.send("GET", f"/v1/invoices/{final['id']}/xml", 409)
    assert problem["reason"] == "E_INVOICE_INVALID"
    assert "BR-06" in problem["metadata"]["rules"]


@needs_judges
async def test_the_pdf_is_an_archive_with_the_xml_inside(client):
    import facturx

    customer = await austrian(client)
    made = await client.final(customer_id=customer)
    pdf = await client.file(f"/v1/invoices/{made['id']}/pdf")
    name, xml = facturx.get_xml_from_pdf(BytesIO(pdf))
    assert name == "factur-x.xml"
    assert xml == await client.file(f"/v1/invoices/{made['id']}/xml")
    reader = PdfReader(BytesIO(pdf))
    catalog = reader.trailer["/Root"]
    attached = catalog["/AF"][0].get_object()
    assert attached["/AFRelationship"] == "/Alternative"
    assert attached["/EF"]["/F"].get_object()["/Subtype"] == "/text/xml"
    assert catalog["/OutputIntents"][0]["/S"] == "/GTS_PDFA1"
    packet = catalog["/Metadata"].get_object().get_data().decode()
    for said in (
        "<pdfaid:part>3</pdfaid:part>",
        "<pdfaid:conformance>B</pdfaid:conformance>",
        "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>",
        "<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>",
        "<fx:DocumentType>INVOICE</fx:DocumentType>",
    ):
        assert said in packet
    parsed(packet[packet.index("<x:xmpmeta") : packet.index("<?xpacket end")].encode())
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            descriptor = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
            assert {"/FontFile2", "/FontFile3"} & set(descriptor)
