"""Credit notes: given back to the cent, numbered apart, posted, refunded, written as e-invoices."""

import asyncio

import pytest
from billplane.protos.invoice.v1 import invoice_pb2 as pb

from tests.chassis.waiting import eventually
from tests.invoice.judge import needs_judges
from tests.invoice.test_e_invoices import austrian, judged, line

TWO_RATES = [
    line("33.33", quantity="3"),
    line("9.99", product_category="Reduced"),
    line("119.99", tax_inclusive=True),
]


async def credit(client, invoice, expect=201, **values):
    body = {"invoice_id": invoice["id"], **values}
    return await client.send("POST", "/v1/credit_notes", expect, json=body)


async def invoice_of(client, invoice):
    return await client.send("GET", f"/v1/invoices/{invoice['id']}")


def groups(document):
    return sorted((tax["rate"], tax["base_minor"], tax["tax_minor"]) for tax in document["taxes"])


async def test_a_whole_credit_note_and_its_invoice_cancel_out(client):
    made = await client.final(lines=TWO_RATES)
    note = await credit(client, made, reason="wrong customer")
    assert groups(note) == groups(made)
    for name in ("net_minor", "tax_minor", "total_minor"):
        assert note[name] == made[name]
    assert (note["applied_minor"], note["excess_minor"]) == (made["total_minor"], 0)
    assert note["number"].startswith("TEST-CN-")
    assert note["number"].endswith("-000001")
    after = await invoice_of(client, made)
    assert (after["state"], after["due_minor"], after["paid_minor"]) == ("paid", 0, 0)
    assert after["credited_minor"] == made["total_minor"]
    problem = await credit(client, made, 409)
    assert problem["reason"] == "NOTHING_TO_CREDIT"
    history = await client.send("GET", f"/v1/invoices/{made['id']}/history?order=asc")
    assert f"by {note['number']}: wrong customer" in history["data"][-2]["note"]
    for name in (note["id"], note["number"]):
        assert await client.send("GET", f"/v1/credit_notes/{name}") == note


async def test_parts_are_given_back_until_nothing_is_left(client):
    made = await client.final(lines=TWO_RATES)
    first = await credit(
        client, made, lines=[{"line_id": made["lines"][0]["id"], "amount_minor": 1}]
    )
    assert (first["net_minor"], first["tax_minor"]) == (1, 0)
    second = await credit(client, made, amount_minor=5_000)
    assert second["total_minor"] == 5_000
    third = await credit(client, made, lines=[{"line_id": made["lines"][2]["id"]}])
    after = await invoice_of(client, made)
    assert (after["state"], after["due_minor"] > 0) == ("finalized", True)
    problem = await credit(client, made, 422, amount_minor=after["due_minor"] + 1)
    assert problem["reason"] == "CREDIT_TOO_LARGE"
    last = await credit(client, made)
    notes = [first, second, third, last]
    for name in ("net_minor", "tax_minor", "total_minor"):
        assert sum(note[name] for note in notes) == made[name]
    for tax in made["taxes"]:
        given = [each for note in notes for each in note["taxes"] if each["rate"] == tax["rate"]]
        assert sum(each["tax_minor"] for each in given) == tax["tax_minor"]
        assert sum(each["base_minor"] for each in given) == tax["base_minor"]
    listed = await client.send("GET", f"/v1/credit_notes?invoice_id={made['id']}&order=asc")
    assert [note["id"] for note in listed["data"]] == [note["id"] for note in notes]
    assert [note["number"][-1] for note in notes] == ["1", "2", "3", "4"]


async def test_what_was_paid_goes_back_to_the_customer(client):
    made = await client.final()
    await client.send("POST", f"/v1/invoices/{made['id']}:mark_paid")
    problem = await credit(client, made, 409, amount_minor=2_000, excess="refund")
    assert problem["reason"] == "REFUND_NOT_POSSIBLE"
    note = await credit(client, made, amount_minor=2_000, excess="by_hand")
    assert (note["applied_minor"], note["excess_minor"]) == (0, 2_000)
    after = await invoice_of(client, made)
    assert (after["state"], after["returned_minor"], after["due_minor"]) == ("paid", 2_000, 0)


async def test_fifty_notes_at_once_never_give_back_more_than_there_is(client):
    made = await client.final()
    bodies = {"invoice_id": made["id"], "amount_minor": 1_000}
    answers = await asyncio.gather(
        *(
            client.platform.request(
                "POST", "/v1/credit_notes", headers=client.platform.headers(client.tenant),
                json=bodies, expect=None,
            )
            for _ in range(50)
        )
    )  # fmt: skip
    numbers = sorted(answer["number"] for answer in answers if "number" in answer)
    assert [number[-6:] for number in numbers] == [f"{place:06d}" for place in range(1, 13)]
    after = await invoice_of(client, made)
    assert (after["state"], after["credited_minor"]) == ("paid", 12_000)


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({"lines": [{"line_id": "inl_nobody"}]}, 422, "LINE_UNKNOWN"),
        ({"amount_minor": 0}, 422, "FIELD_INVALID"),
        ({"amount_minor": 12_001}, 422, "CREDIT_TOO_LARGE"),
        ({"amount_minor": 1.5}, 422, "FIELD_INVALID"),
        ({"excess": "gift"}, 422, "FIELD_INVALID"),
        ({"invoice_id": "inv_nobody"}, 404, "INVOICE_NOT_FOUND"),
        ({"reason": "card 4242 4242 4242 4242"}, 422, "CARD_NUMBER_REFUSED"),
    ],
)
async def test_a_bad_credit_note_is_refused_and_takes_no_number(client, values, status, reason):
    made = await client.final()
    problem = await credit(client, made, status, **values)
    assert problem["reason"] == reason
    assert (await credit(client, made))["number"].endswith("-000001")


async def test_only_issued_invoices_are_credited_and_credited_ones_are_not_voided(client):
    draft = await client.create()
    assert (await credit(client, draft, 409))["reason"] == "INVOICE_NOT_CREDITABLE"
    voided = await client.final()
    await client.send("POST", f"/v1/invoices/{voided['id']}:void")
    assert (await credit(client, voided, 409))["metadata"] == {"state": "voided"}
    made = await client.final()
    await credit(client, made, amount_minor=100)
    problem = await client.send("POST", f"/v1/invoices/{made['id']}:void", 409)
    assert problem["reason"] == "INVOICE_CREDITED"
    body = {"invoice_id": made["id"]}
    other = client.platform.headers("ten_somebody_else")
    await client.platform.request("POST", "/v1/credit_notes", headers=other, json=body, expect=404)
    live = client.platform.headers(client.tenant, livemode=True)
    await client.platform.request("POST", "/v1/credit_notes", headers=live, json=body, expect=404)


async def test_the_same_key_makes_one_note(client):
    made = await client.final()
    key = {"Idempotency-Key": "k1"}
    body = {"invoice_id": made["id"], "amount_minor": 100}
    first = await client.send("POST", "/v1/credit_notes", 201, json=body, headers=key)
    assert await client.send("POST", "/v1/credit_notes", 201, json=body, headers=key) == first
    assert len((await client.send("GET", "/v1/credit_notes"))["data"]) == 1


async def test_a_note_is_made_and_read_over_grpc(billing):
    final = await billing.finalize((await billing.create(10_000)).id)
    request = pb.CreateCreditNoteRequest(
        invoice_id=final.number,
        reason="late",
        lines=[pb.NewCreditLine(line_id=final.lines[0].id, amount_minor=1_000)],
    )
    made = (await billing.stub.CreateCreditNote(request, metadata=billing.metadata())).credit_note
    assert (made.net_minor, made.tax_minor, made.total_minor) == (1_000, 200, 1_200)
    get = pb.GetCreditNoteRequest(id=made.number)
    assert (await billing.stub.GetCreditNote(get, metadata=billing.metadata())).credit_note == made
    listed = await billing.stub.ListCreditNotes(
        pb.ListCreditNotesRequest(invoice_id=final.id), metadata=billing.metadata()
    )
    assert list(listed.credit_notes) == [made]
    after = await billing.get(final.id)
    assert (after.credited_minor, after.due_minor) == (1_200, 10_800)


@needs_judges
async def test_notes_are_e_invoices_too_and_are_printed(client):
    customer = await austrian(client, locale="de")
    made = await client.final(customer_id=customer, lines=TWO_RATES)
    part = await credit(client, made, amount_minor=1_234, reason="Zu spät geliefert")
    rest = await credit(client, made)
    for note in (part, rest):
        assert {group[0] for group in await judged(client, note, "credit_notes")} == {"S"}
    xml = (await client.file(f"/v1/credit_notes/{part['id']}/xml")).decode()
    assert "<ram:TypeCode>381</ram:TypeCode>" in xml
    assert made["number"] in xml

    async def pages():
        pdf = await client.file(f"/v1/credit_notes/{part['number']}/pdf")
        return pdf if b"factur-x.xml" in pdf else None

    assert await eventually(pages)
