"""The printed invoice, read back as a reader of the PDF would."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest
from billplane.invoice.render import (
    Discount,
    DocumentKind,
    DocumentState,
    ExchangeNote,
    InvoiceDocument,
    Line,
    Party,
    Period,
    Tax,
    UsageChart,
    UsagePoint,
    render_invoice,
    term,
    wording,
)
from billplane.invoice.render.chart import FULL, chart_view
from billplane.money import CurrencyCode
from billplane.tax import domain as tax_domain
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

EUR = CurrencyCode("EUR")
MINUS = "\N{MINUS SIGN}"

SELLER = Party("Skyport Handling GmbH", ("Kärntner Ring 12", "1010 Wien"), ("ATU12345675",))
CUSTOMER = Party(
    "JetBlue Airways", ("27-01 Queens Plaza North", "Long Island City"), ("87-0617894",)
)
INVOICE = InvoiceDocument(
    seller=SELLER,
    customer=CUSTOMER,
    currency=EUR,
    locale="en",
    state=DocumentState.FINAL,
    number="2013-000017",
    issued_on=date(2013, 1, 31),
    due_on=date(2013, 3, 2),
    period=Period(date(2013, 1, 1), date(2013, 1, 31)),
    lines=(
        Line("Platform fee", 49000, details="January 2013", tax_rate="20"),
        Line("Distance", 164614, quantity="4703.25", unit="packages", unit_amount="0.35"),
        Line("Correction of December", -4500, tax_rate="5.5"),
    ),
    subtotal_minor=209114,
    discounts=(Discount("Coupon WELCOME10", -20911),),
    taxes=(Tax("VAT 20 %", 188203, 37641),),
    total_minor=225844,
    notes=("Payable within 30 days.",),
)


def pages_of(document: InvoiceDocument) -> list[str]:
    """Read each page's text, with every kind of space as a plain one."""
    reader = PdfReader(BytesIO(render_invoice(document)))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def text_of(document: InvoiceDocument) -> str:
    return " ".join(pages_of(document))


def test_an_english_invoice_writes_money_dates_and_rates_as_english_does() -> None:
    text = text_of(INVOICE)
    for expected in (
        "Invoice",
        "2013-000017",
        "Jan 31, 2013",
        "Mar 2, 2013",
        "€490.00",
        "4,703.25",
        "packages",
        "€0.35",
        "€1,646.14",
        "20%",
        "5.5%",
        "Subtotal",
        "€2,091.14",
        "VAT 20 %",
        "on €1,882.03",
        "€376.41",
        "€2,258.44",
        "VAT ID ATU12345675",
        "Tax ID 87-0617894",
        "Page 1 of 1",
    ):
        assert expected in text


def test_a_german_invoice_writes_money_dates_and_rates_as_german_does() -> None:
    text = text_of(replace(INVOICE, locale="de"))
    for expected in (
        "Rechnung",
        "31.01.2013",
        "fällig am 02.03.2013",
        "490,00 €",
        "4.703,25",
        "0,35 €",
        "5,5 %",
        "2.258,44 €",
        f"{MINUS}209,11 €",
        "Gesamtbetrag",
        "USt-IdNr. ATU12345675",
        "Seite 1 von 1",
    ):
        assert expected in text


def test_negative_amounts_carry_a_true_minus_sign() -> None:
    text = text_of(INVOICE)
    assert f"{MINUS}€45.00" in text
    assert f"{MINUS}€209.11" in text
    assert "-€" not in text


@pytest.mark.parametrize(
    ("code", "minor", "expected"),
    [
        ("JPY", 95110, "¥95,110"),
        ("KWD", 1234567, "KWD 1,234.567"),
        ("CHF", 123456, "CHF 1,234.56"),
        ("USD", -5, f"{MINUS}$0.05"),
        # CLDR writes both without minor units, ISO 4217 bills them with two.
        ("RSD", 123456, "RSD 1,234.56"),
        ("HUF", 123456, "HUF 1,234.56"),
    ],
)
def test_an_amount_shows_the_minor_units_of_its_currency(code, minor, expected) -> None:
    document = replace(
        INVOICE, currency=CurrencyCode(code), lines=(Line("Fee", minor),), total_minor=minor
    )
    assert expected in text_of(document)


def test_a_price_keeps_all_of_its_digits() -> None:
    digits = "123456789012345678.123456789012"
    line = Line("Energy", 1, quantity="0.000001", unit="kWh", unit_amount=digits)
    text = text_of(replace(INVOICE, lines=(line,)))
    assert "123,456,789,012,345,678.123456789012" in text
    assert "0.000001" in text


def test_decimal_marks_stand_below_each_other() -> None:
    cells = wording.pad_to_decimal(["4.427,5", "4.703", "", "0,00235 €", "2,50 €"], "de")
    assert [cell["pad"] for cell in cells] == ["0000", ",00000", "", "", "000"]


def test_eighty_lines_fill_three_pages_that_repeat_the_table_head() -> None:
    lines = tuple(Line(f"Landing {index:03d}", 100 + index) for index in range(80))
    pages = pages_of(replace(INVOICE, lines=lines))
    assert len(pages) == 3
    for index, page in enumerate(pages, start=1):
        assert "DESCRIPTION" in page
        assert "AMOUNT" in page
        assert f"Page {index} of 3" in page
    assert all("Invoice 2013-000017, continued" in page for page in pages[1:])
    assert [f"Landing {index:03d}" in " ".join(pages) for index in range(80)] == [True] * 80


@pytest.mark.parametrize("count", range(14, 34))
def test_the_totals_are_never_parted_from_the_last_two_lines(count) -> None:
    lines = tuple(Line(f"Landing {index:03d}", 100) for index in range(1, count + 1))
    last = pages_of(replace(INVOICE, lines=lines))[-1]
    assert "Subtotal" in last
    assert "Total" in last
    assert f"Landing {count:03d}" in last
    assert f"Landing {count - 1:03d}" in last
    assert "Payable within 30 days." in last


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": (Line("word " * 900, 100), Line("word " * 900, 100))},
        {"discounts": tuple(Discount(f"Coupon {index}", -1) for index in range(70))},
        {"notes": ("word " * 2500,)},
        {"lines": ()},
    ],
    ids=["long lines", "many discounts", "long notes", "no lines"],
)
def test_nothing_is_lost_below_the_edge_of_a_page(changes) -> None:
    reader = PdfReader(BytesIO(render_invoice(replace(INVOICE, **changes))))
    # The footer's rule is at 26 mm; a text set below it is cut off or printed over the footer.
    below: list[str] = []

    def visit(text, _transform, matrix, _font, _size) -> None:
        if text.strip() and 0 < matrix[5] < 45:
            below.append(text)

    for page in reader.pages:
        page.extract_text(visitor_text=visit)
    assert not below


def test_long_descriptions_wrap_and_keep_every_word() -> None:
    words = [f"word{index}" for index in range(120)]
    text = text_of(replace(INVOICE, lines=(Line(" ".join(words), 100, details=" ".join(words)),)))
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "#panic()",
        '#eval("1+1")',
        '#image("/etc/passwd")',
        "*bold* _emph_ $x^2$ @label <label> `raw`",
        "= Heading",
        "// comment /* comment */",
        "\\u{41} \\ #{ } [ ]",
        "\"quoted\" 'single' -- --- ...",
    ],
)
def test_markup_in_texts_is_printed_as_it_was_written(text) -> None:
    document = replace(
        INVOICE,
        customer=Party(text, (text,)),
        lines=(Line(text, 100, details=text, unit=text),),
        notes=(text,),
        usage=UsageChart(text, text, (UsagePoint(text, "1"),)),
    )
    assert text_of(document).count(" ".join(text.split())) >= 5


@pytest.mark.parametrize(
    "name", ["全日本空輸株式会社", "✈️😀 Airlines", "טיסות אל על", "a\x00b\x1b[31m\ud800", "x" * 500]
)
def test_scripts_and_signs_without_a_glyph_still_make_an_invoice(name) -> None:
    party = Party(name, (name,))
    assert "€2,258.44" in text_of(replace(INVOICE, seller=party, customer=party, notes=(name,)))


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_makes_an_invoice(text) -> None:
    document = replace(
        INVOICE,
        number=text,
        seller=Party(text, (text,), (text,)),
        customer=Party(text, (text,), (text,)),
        lines=(Line(text, 1, details=text, unit=text),),
        discounts=(Discount(text, -1),),
        taxes=(Tax(text, 1, 1),),
        reverse_charge_note=text,
        notes=(text,),
        usage=UsageChart(text, text, (UsagePoint(text, "1"),)),
    )
    assert render_invoice(document).startswith(b"%PDF")


@pytest.mark.parametrize(
    ("state", "english", "german"),
    [
        (DocumentState.DRAFT, "DRAFT", "ENTWURF"),
        (DocumentState.PREVIEW, "PREVIEW", "VORSCHAU"),
        (DocumentState.VOID, "VOID", "STORNIERT"),
    ],
)
def test_what_is_not_final_is_marked_on_every_page(state, english, german) -> None:
    lines = tuple(Line(f"Landing {index}", 100) for index in range(60))
    document = replace(INVOICE, state=state, lines=lines)
    assert all(english in page for page in pages_of(document))
    assert all(german in page for page in pages_of(replace(document, locale="de")))


def test_a_draft_needs_neither_number_nor_dates() -> None:
    text = text_of(
        replace(INVOICE, state=DocumentState.DRAFT, number=None, issued_on=None, due_on=None)
    )
    assert "Number" not in text
    assert "Issued" not in text
    assert "None" not in text


def test_a_final_invoice_is_not_marked() -> None:
    assert not any(word in text_of(INVOICE) for word in ("DRAFT", "PREVIEW", "VOID"))


def test_part_payments_lead_to_the_amount_due() -> None:
    text = text_of(replace(INVOICE, paid_minor=100000))
    assert f"Paid {MINUS}€1,000.00" in text
    assert "Amount due €1,258.44" in text
    assert "€1,258.44 due Mar 2, 2013" in text


def test_a_paid_invoice_says_so() -> None:
    text = text_of(replace(INVOICE, paid_minor=225844))
    assert "Paid in full" in text
    assert "due Mar 2" not in text


def test_a_credit_note_names_the_invoice_that_it_corrects() -> None:
    document = replace(
        INVOICE, kind=DocumentKind.CREDIT_NOTE, number="CN-1", corrects="2013-000017"
    )
    text = text_of(document)
    assert "Credit note" in text
    assert "Corrects 2013-000017" in text
    assert "Rechnungskorrektur" in text_of(replace(document, locale="de"))


def test_reverse_charge_and_exchange_rate_are_stated() -> None:
    document = replace(
        INVOICE,
        currency=CurrencyCode("USD"),
        reverse_charge_note="Reverse charge (Art. 196 Directive 2006/112/EC).",
        exchange=ExchangeNote(
            EUR, CurrencyCode("USD"), "1.355", "European Central Bank", date(2013, 1, 31)
        ),
    )
    text = text_of(document)
    assert "Reverse charge (Art. 196 Directive 2006/112/EC)." in text
    assert "Converted at 1 EUR = 1.355 USD: European Central Bank, Jan 31, 2013." in text
    assert "1 EUR = 1,355 USD" in text_of(replace(document, locale="de"))


def test_the_chart_names_its_peak_and_labels_its_axes() -> None:
    points = tuple(UsagePoint(date(2013, 1, day), str(100 + day % 7)) for day in range(1, 32))
    document = replace(INVOICE, usage=UsageChart("Flights a day", "flights", points))
    text = text_of(document)
    for expected in ("Flights a day", "Peak 106 flights · Jan 6", "Jan 1", "Jan 29", "100", "150"):
        assert expected in text
    german = text_of(replace(document, locale="de"))
    assert "Höchstwert 106 flights · 6. Jan." in german


def test_monthly_points_are_labelled_by_month() -> None:
    points = tuple(UsagePoint(date(2013, month, 1), "5") for month in (1, 2, 3))
    view = chart_view(UsageChart("Usage", "kWh", points), "de")
    assert view is not None
    assert [label["label"] for label in view["labels"]] == ["Jan", "Feb", "Mär"]


def test_a_chart_without_usage_is_left_out() -> None:
    points = (UsagePoint(date(2013, 1, 1), "0"), UsagePoint(date(2013, 1, 2), "0.0"))
    assert chart_view(UsageChart("Usage", "", points), "en") is None
    assert chart_view(UsageChart("Usage", "", ()), "en") is None


@given(
    quantities=st.lists(
        st.decimals(min_value=-(10**12), max_value=10**12, places=6), min_size=1, max_size=40
    )
)
@settings(max_examples=50, deadline=None)
def test_bars_lie_between_the_lowest_and_the_highest_tick(quantities) -> None:
    points = tuple(UsagePoint(str(index), str(value)) for index, value in enumerate(quantities))
    view = chart_view(UsageChart("Usage", "", points), "en")
    if view is None:
        assert not any(quantities)
        return
    assert view["ticks"][0]["at"] == 0
    assert view["ticks"][-1]["at"] == FULL
    assert 2 <= len(view["ticks"]) <= 7
    assert view["zero"] in [tick["at"] for tick in view["ticks"]]
    assert all(0 <= bar <= FULL for bar in view["bars"])
    assert sorted(view["bars"]) == [view["bars"][at] for at in _order(quantities)]


def _order(quantities: list[Decimal]) -> list[int]:
    return sorted(range(len(quantities)), key=lambda index: quantities[index])


def test_equal_documents_give_equal_bytes_in_every_thread() -> None:
    documents = [replace(INVOICE, number=f"2013-{index:06d}") for index in range(8)] * 4
    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(render_invoice, documents))
    assert first == [render_invoice(document) for document in documents]
    assert len(set(first)) == 8


def test_the_document_date_is_the_issue_date() -> None:
    reader = PdfReader(BytesIO(render_invoice(INVOICE)))
    assert reader.metadata is not None
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.date() == date(2013, 1, 31)
    assert reader.metadata.title == "Invoice 2013-000017"
    assert reader.metadata.author == "Skyport Handling GmbH"


def test_terms_of_the_platform_are_german_on_german_documents_and_others_stay():
    assert term("VAT 25.5 %", "de") == "USt 25,5\N{NO-BREAK SPACE}%"
    assert term("VAT 25.5 %", "en") == "VAT 25.5 %"
    assert term("month", "de") == "Monat"
    assert term(tax_domain.REVERSE_CHARGE_NOTE, "de").startswith("Steuerschuldnerschaft")
    assert term("month of May", "de") == "month of May"
