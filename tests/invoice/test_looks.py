"""How a tenant's documents look: colour, logo, words, languages."""

import base64
import struct
import zlib

import pytest

from tests.invoice.client import SELLER


def png(width=60, height=20, colour=(27, 84, 112)):
    """Draw a picture of one colour."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def settings(**template):
    return {**SELLER, "template": template}


async def test_a_tenant_prints_with_its_own_logo_colour_and_words(client):
    look = settings(logo=png(), accent="#AA3300", wording={"en": {"invoice": "Tax invoice"}})
    stored = await client.send("PUT", "/v1/invoice_settings", json=look)
    assert (stored["template"]["accent"], stored["template"]["logo"]) == ("#aa3300", png())
    final = await client.final()
    content = await client.file(f"/v1/invoices/{final['id']}/pdf")
    assert b"/Image" in content
    text = await client.pdf(final["id"])
    assert "Tax invoice" in text
    assert "Billed to" in text.replace("BILLED TO", "Billed to")


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"accent": "red"}, "/template/accent"),
        ({"accent": "#12345"}, "/template/accent"),
        ({"logo": "not base64!"}, "/template/logo"),
        ({"logo": base64.b64encode(b"<svg onload='x()'/>").decode()}, "/template/logo"),
        ({"logo": png(width=5000, height=1)}, "/template/logo"),
        ({"logo": base64.b64encode(base64.b64decode(png())[:20]).decode()}, "/template/logo"),
        ({"logo": base64.b64encode(base64.b64decode(png())[:60]).decode()}, "/template/logo"),
        ({"wording": {"en": {"page": "{page.__class__}"}}}, "/template/wording/en"),
        ({"wording": {"en": {"nonsense": "x"}}}, "/template/wording/en"),
        ({"wording": {"en": {"invoice": "x" * 61}}}, "/template/wording/en/invoice"),
        ({"wording": {"xx": {"invoice": "x"}}}, "/template/wording/xx"),
        ({"script": "#panic()"}, "/template/script"),
    ],
)
async def test_a_bad_look_is_refused_and_the_old_one_stays(client, template, field):
    await client.send("PUT", "/v1/invoice_settings", json=settings(accent="#112233"))
    problem = await client.send("PUT", "/v1/invoice_settings", 422, json=settings(**template))
    assert problem["field"].startswith(field)
    held = await client.send("GET", "/v1/invoice_settings")
    assert held["template"]["accent"] == "#112233"


async def test_words_are_only_words(client):
    hostile = {"en": {"invoice": '#panic("x")', "bill_to": "<b>$1$</b>"}}
    await client.send("PUT", "/v1/invoice_settings", json=settings(wording=hostile))
    assert '#panic("x")' in await client.pdf((await client.final())["id"])


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"iban": "AT611904300234573202"}, "/seller/iban", "IBAN_INVALID"),
        ({"bic": "NOBANK"}, "/seller/bic", "BIC_INVALID"),
        ({"electronic_address_scheme": "mail"}, "/seller/electronic_address_scheme",
         "FIELD_INVALID"),
    ],
)  # fmt: skip
async def test_a_bad_account_is_refused(client, values, field, reason):
    body = {"seller": values}
    problem = await client.send("PUT", "/v1/invoice_settings", 422, json=body)
    assert (problem["field"], problem["reason"]) == (field, reason)


async def test_invoices_and_credit_notes_are_numbered_apart(client):
    body = {"prefix": "A-", "credit_note_prefix": "A-"}
    problem = await client.send("PUT", "/v1/invoice_settings", 422, json=body)
    assert problem["reason"] == "PREFIX_TAKEN"


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("fr", ["Facture", "TVA 20", "Sous-total", "120,00"]),
        ("de", ["Rechnung", "Zwischensumme"]),
        ("ja", ["120.00", "VAT 20%"]),
    ],
)
async def test_documents_speak_the_customers_language(client, locale, words):
    final = await client.final(customer_id=await client.customer(locale=locale))
    text = await client.pdf(final["id"])
    for word in words:
        assert word in text
