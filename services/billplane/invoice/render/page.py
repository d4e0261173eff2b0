"""From an InvoiceDocument to PDF bytes: every text is formatted here, typst only lays out.

Texts reach the template as JSON in a system input, so they are data: nothing a customer or a
tenant wrote is ever read as markup.
"""

import base64
import json
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import typst

from billplane.invoice.einvoice import mark_facturx
from billplane.invoice.render import wording
from billplane.invoice.render.chart import chart_view
from billplane.invoice.render.document import (
    DocumentKind,
    DocumentState,
    InvoiceDocument,
    Line,
    Party,
)
from billplane.invoice.render.logo import LogoInvalid, read_logo
from billplane.invoice.render.wording import plain

_TEMPLATE: Final = Path(__file__).resolve().parent.parent / "templates" / "invoice.typ"
_LINES_KEPT: Final = 2
_NOTES_SHORT: Final = 1_000
# A draft without an issue date still gets the same bytes for the same input.
_UNDATED: Final = date(2000, 1, 1)
# Wider than 62 mm at a height of 14 mm.
_LOGO_WIDE: Final = 4
_TRIAL: Final = b"#image(bytes(json(bytes(sys.inputs.logo))), width: 10mm)"
_ARCHIVED: Final = ("a-3b",)
_ACCENT: Final = "#1b5470"
_JAPANESE: Final = ("matplotlib-fontja", "matplotlib_fontja/fonts/ipaexg.ttf")
_FONTS: Final = ("Libertinus Serif", "IPAexGothic")


class _PerThread(threading.local):
    """One compiler a thread: a compiler refuses to be entered twice, its caches are shared."""

    def __init__(self) -> None:
        self.compiler = typst.Compiler(_TEMPLATE, root=_TEMPLATE.parent, font_paths=_fonts())


@cache
def _fonts() -> typst.Fonts:
    # The page is set in the fonts that typst carries. Those of the system only stand in for
    # scripts that these lack; without any, such letters are boxes.
    return typst.Fonts(
        include_system_fonts=True, include_embedded_fonts=True, font_paths=_japanese_fonts()
    )


def _japanese_fonts() -> list[str]:
    """Find the font for Japanese, which typst carries none for; where it is not installed, none."""
    package, file = _JAPANESE
    try:
        font = Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        return []
    return [str(font.parent)] if font.is_file() else []


_per_thread = _PerThread()


def render_invoice(document: InvoiceDocument) -> bytes:
    """Render the document as PDF; equal documents give equal bytes.

    CPU-bound (some 10 ms a page): call it from a bounded thread, never from the event loop.

    Raises: AmountOutOfRange, UnknownCurrency; decimal.InvalidOperation for a quantity, rate or
        price that is not a decimal.
    """
    view = invoice_view(document)
    if not document.attachment:
        return _compiled(document, view)
    try:
        return mark_facturx(_compiled(document, view, _ARCHIVED))
    except typst.TypstError:
        # An archive takes no letter that no font has: such a document is printed as it can be.
        return _compiled(document, view | {"attachment": ""})


def _compiled(
    document: InvoiceDocument, view: dict[str, Any], standards: Sequence["typst.PDFStandard"] = ()
) -> bytes:
    issued = document.issued_on or _UNDATED
    pdf = _per_thread.compiler.compile(
        format="pdf",
        sys_inputs={"invoice": json.dumps(view, ensure_ascii=False)},
        pdf_standards=list(standards),
        timestamp=datetime(issued.year, issued.month, issued.day, tzinfo=UTC),
    )
    if not isinstance(pdf, bytes):
        message = "typst answered without a document"
        raise TypeError(message)
    return pdf


def try_logo(logo: str) -> None:
    """Draw a logo for trial: what is damaged shall not keep invoices from being printed.

    Raises: LogoInvalid.
    """
    picture = base64.b64decode(read_logo(logo).content)
    try:
        # A compiler of its own: one that was given another input keeps it.
        typst.Compiler(_TRIAL, font_paths=_fonts()).compile(
            format="pdf", sys_inputs={"logo": json.dumps(list(picture))}
        )
    except typst.TypstError as error:
        raise LogoInvalid(f"the picture cannot be drawn: {error.message}") from None


def invoice_view(document: InvoiceDocument) -> dict[str, Any]:
    """Lay out every text of the document as the template reads it."""
    words = wording.WORDS[document.locale] | dict(document.look.words)
    notes = _notes(document, words)
    return {
        "lang": document.locale,
        "fonts": list(_FONTS),
        "accent": document.look.accent or _ACCENT,
        **_logo(document.look.logo),
        "attachment": document.attachment,
        "payment": _payment(document, words),
        "words": words,
        "title": words[document.kind.value],
        "number": plain(document.number or ""),
        "mark": "" if document.state is DocumentState.FINAL else words[document.state.value],
        "author": plain(document.seller.name),
        "seller": _party(document.seller, words),
        "customer": _party(document.customer, words),
        "facts": _facts(document, words),
        "headline": _headline(document, words),
        "table": _table(document, words),
        "totals": _totals(document, words),
        "keep": _lines_kept(document),
        "chart": chart_view(document.usage, document.locale) if document.usage else None,
        "notes": notes,
        # Short notes stay on the page of what they follow, rather than alone on the next.
        "notes_short": sum(len(note) + 80 for note in notes) < _NOTES_SHORT,
    }


def _payment(document: InvoiceDocument, words: dict[str, str]) -> list[dict[str, str]]:
    # The tenant's own sentence stands below the heading, without a word of its own.
    named = {**words, "payment": ""}
    return [{"word": named[word], "value": plain(value)} for word, value in document.payment]


def _logo(content: str) -> dict[str, Any]:
    if not content:
        return {"logo": "", "logo_wide": False}
    logo = read_logo(content)
    return {"logo": logo.drawing, "logo_wide": logo.width > _LOGO_WIDE * logo.height}


def _lines_kept(document: InvoiceDocument) -> int:
    """Count the last lines that must not be parted from the totals: none if a page is too short."""
    last = document.lines[-_LINES_KEPT:]
    letters = sum(len(line.description) + len(line.details) for line in last)
    newlines = sum((line.description + line.details).count("\n") for line in last)
    entries = len(document.discounts) + len(document.taxes)
    return len(last) if letters < 1_000 and newlines < 10 and entries < 18 else 0


def _party(party: Party, words: dict[str, str]) -> dict[str, Any]:
    return {
        "name": plain(party.name),
        "address": [plain(line) for line in party.address if line.strip()],
        "tax_ids": [
            {"word": words[wording.tax_id_word(tax_id)], "value": plain(tax_id)}
            for tax_id in party.tax_ids
        ],
    }


def _facts(document: InvoiceDocument, words: dict[str, str]) -> list[dict[str, str]]:
    locale = document.locale
    period = document.period
    facts = [
        ("number", plain(document.number or "")),
        ("corrects", plain(document.corrects)),
        ("issued", wording.day(document.issued_on, locale) if document.issued_on else ""),
        ("due", wording.day(document.due_on, locale) if document.due_on else ""),
        ("period", wording.days(period.first_on, period.last_on, locale) if period else ""),
    ]
    return [{"word": words[word], "value": value} for word, value in facts if value]


def _headline(document: InvoiceDocument, words: dict[str, str]) -> dict[str, str]:
    due_minor = document.total_minor - document.paid_minor
    shown = document.total_minor
    when = ""
    if document.kind is DocumentKind.CREDIT_NOTE:
        when = words["credited"]
    elif due_minor <= 0 and document.paid_minor > 0:
        when = words["settled"]
    else:
        shown = due_minor
        if document.due_on is not None:
            when = words["due_on"].format(date=wording.day(document.due_on, document.locale))
    return {"amount": wording.money(shown, document.currency, document.locale), "when": when}


def _table(document: InvoiceDocument, words: dict[str, str]) -> dict[str, Any]:
    locale, currency = document.locale, document.currency
    lines = document.lines
    quantities = [_optional(line.quantity) for line in lines]
    prices = [_optional(line.unit_amount) for line in lines]
    columns = {
        "quantity": [
            "" if value is None else wording.number(value, locale) for value in quantities
        ],
        "unit_price": [
            "" if value is None else wording.price(value, currency, locale) for value in prices
        ],
        "tax": [wording.percent(line.tax_rate, locale) if line.tax_rate else "" for line in lines],
        "amount": [wording.money(line.amount_minor, currency, locale) for line in lines],
    }
    padded = {name: wording.pad_to_decimal(texts, locale) for name, texts in columns.items()}
    return {
        "columns": {name: any(texts) for name, texts in columns.items()},
        "units": any(line.unit for line in lines),
        "rows": [
            _row(line) | {name: cells[index] for name, cells in padded.items()}
            for index, line in enumerate(lines)
        ],
    }


def _row(line: Line) -> dict[str, Any]:
    return {
        "description": plain(line.description),
        "details": plain(line.details),
        "unit": plain(line.unit),
    }


def _optional(value: str) -> Decimal | None:
    return Decimal(value) if value else None


def _totals(document: InvoiceDocument, words: dict[str, str]) -> dict[str, Any]:
    def money(minor: int) -> str:
        return wording.money(minor, document.currency, document.locale)

    before = [{"label": words["subtotal"], "note": "", "value": money(document.subtotal_minor)}]
    before += [
        {"label": plain(discount.description), "note": "", "value": money(discount.amount_minor)}
        for discount in document.discounts
    ]
    before += [
        {
            "label": plain(tax.label),
            "note": words["tax_on"].format(base=money(tax.base_minor)),
            "value": money(tax.amount_minor),
        }
        for tax in document.taxes
    ]
    after = []
    if document.paid_minor:
        due = document.total_minor - document.paid_minor
        after = [
            {"label": words["paid"], "value": money(-document.paid_minor)},
            {"label": words["amount_due"], "value": money(due)},
        ]
    total = {"label": words["total"], "value": money(document.total_minor)}
    return {"before": before, "total": total, "after": after}


def _notes(document: InvoiceDocument, words: dict[str, str]) -> list[str]:
    notes = [document.reverse_charge_note]
    if document.exchange is not None:
        rate = document.exchange
        notes.append(
            words["exchange"].format(
                base=f"1 {rate.base}",
                quote=f"{wording.number(Decimal(rate.rate), document.locale)} {rate.quote}",
                source=rate.source,
                date=wording.day(rate.as_of, document.locale),
            )
        )
    notes += document.notes
    return [plain(note) for note in notes if note.strip()]
