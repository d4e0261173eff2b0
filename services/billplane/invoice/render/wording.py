"""The words of the printed document, and how a locale writes numbers and dates."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from babel import Locale as BabelLocale
from babel.dates import format_date, format_interval, format_skeleton
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent

from billplane.invoice.render.document import Locale
from billplane.money import CurrencyCode, minor_to_exact, minor_units, wide_precision

_ENGLISH: Final = {
    "invoice": "Invoice",
    "credit_note": "Credit note",
    "draft": "Draft",
    "preview": "Preview",
    "void": "Void",
    "number": "Number",
    "corrects": "Corrects",
    "issued": "Issued",
    "due": "Due",
    "period": "Period",
    "vat_id": "VAT ID",
    "tax_id": "Tax ID",
    "bill_to": "Billed to",
    "description": "Description",
    "quantity": "Quantity",
    "unit_price": "Unit price",
    "tax": "Tax",
    "amount": "Amount",
    "subtotal": "Subtotal",
    "tax_on": "on {base}",
    "total": "Total",
    "paid": "Paid",
    "amount_due": "Amount due",
    "due_on": "due {date}",
    "settled": "Paid in full",
    "credited": "Credited to you",
    "exchange": "Converted at {base} = {quote}: {source}, {date}.",
    "peak": "Peak {quantity} · {at}",
    "continued": "continued",
    "page": "Page {page} of {pages}",
    "payment": "Payment",
    "account_name": "Account holder",
    "iban": "IBAN",
    "bic": "BIC",
    "reference": "Reference",
}

_GERMAN: Final = {
    "invoice": "Rechnung",
    "credit_note": "Rechnungskorrektur",
    "draft": "Entwurf",
    "preview": "Vorschau",
    "void": "Storniert",
    "number": "Nummer",
    "corrects": "Korrigiert",
    "issued": "Datum",
    "due": "Fällig",
    "period": "Zeitraum",
    "vat_id": "USt-IdNr.",
    "tax_id": "Steuernummer",
    "bill_to": "Rechnung an",
    "description": "Beschreibung",
    "quantity": "Menge",
    "unit_price": "Einzelpreis",
    "tax": "Steuer",
    "amount": "Betrag",
    "subtotal": "Zwischensumme",
    "tax_on": "auf {base}",
    "total": "Gesamtbetrag",
    "paid": "Bezahlt",
    "amount_due": "Zu zahlen",
    "due_on": "fällig am {date}",
    "settled": "Vollständig bezahlt",
    "credited": "Gutschrift zu Ihren Gunsten",
    "exchange": "Umgerechnet zu {base} = {quote}: {source}, {date}.",
    "peak": "Höchstwert {quantity} · {at}",
    "continued": "Fortsetzung",
    "page": "Seite {page} von {pages}",
    "payment": "Zahlung",
    "account_name": "Kontoinhaber",
    "iban": "IBAN",
    "bic": "BIC",
    "reference": "Verwendungszweck",
}

_FRENCH: Final = {
    "invoice": "Facture",
    "credit_note": "Avoir",
    "draft": "Brouillon",
    "preview": "Aperçu",
    "void": "Annulée",
    "number": "Numéro",
    "corrects": "Corrige",
    "issued": "Date",
    "due": "Échéance",
    "period": "Période",
    "vat_id": "N° TVA",
    "tax_id": "N° fiscal",
    "bill_to": "Facturé à",
    "description": "Désignation",
    "quantity": "Quantité",
    "unit_price": "Prix unitaire",
    "tax": "TVA",
    "amount": "Montant",
    "subtotal": "Sous-total",
    "tax_on": "sur {base}",
    "total": "Total",
    "paid": "Payé",
    "amount_due": "Reste à payer",
    "due_on": "à payer le {date}",
    "settled": "Entièrement payée",
    "credited": "Porté à votre crédit",
    "exchange": "Converti au cours de {base} = {quote} : {source}, {date}.",
    "peak": "Maximum {quantity} · {at}",
    "continued": "suite",
    "page": "Page {page} sur {pages}",
    "payment": "Paiement",
    "account_name": "Titulaire",
    "iban": "IBAN",
    "bic": "BIC",
    "reference": "Référence",
}

_JAPANESE: Final = {
    "invoice": "請求書",
    "credit_note": "返還請求書",
    "draft": "下書き",
    "preview": "プレビュー",
    "void": "無効",
    "number": "番号",
    "corrects": "訂正対象",
    "issued": "発行日",
    "due": "支払期限",
    "period": "対象期間",
    "vat_id": "VAT番号",
    "tax_id": "登録番号",
    "bill_to": "請求先",
    "description": "内容",
    "quantity": "数量",
    "unit_price": "単価",
    "tax": "税率",
    "amount": "金額",
    "subtotal": "小計",
    "tax_on": "対象額 {base}",
    "total": "合計",
    "paid": "支払済",
    "amount_due": "ご請求額",
    "due_on": "{date}までにお支払いください",
    "settled": "支払済",
    "credited": "ご返金額",
    "exchange": "換算レート {base} = {quote}({source}、{date})",
    "peak": "最大 {quantity} · {at}",
    "continued": "続き",
    "page": "{page} / {pages} ページ",
    "payment": "お支払い",
    "account_name": "口座名義",
    "iban": "IBAN",
    "bic": "BIC",
    "reference": "参照番号",
}

WORDS: Final[dict[Locale, dict[str, str]]] = {
    "en": _ENGLISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "ja": _JAPANESE,
}
# The skeleton of a span of days, as short as the locale allows.
_SPANS: Final[dict[Locale, str]] = {"en": "yMMMd", "de": "yMd", "fr": "yMMMd", "ja": "yMMMd"}

# What the platform itself writes into lines, taxes and notes; a tenant's own words stay.
_GERMAN_TERMS: Final = {
    "month": "Monat",
    "year": "Jahr",
    "week": "Woche",
    "day": "Tag",
    "Minimum commitment": "Mindestumsatz",
    "Maximum charge": "Höchstbetrag",
    "Reverse charge": "Steuerschuldnerschaft des Leistungsempfängers",
    "Outside the scope of VAT": "Nicht steuerbar",
    "Reverse charge: VAT to be accounted for by the recipient (Article 196 of Directive"
    " 2006/112/EC).": "Steuerschuldnerschaft des Leistungsempfängers (Artikel 196 der Richtlinie"
    " 2006/112/EG).",
}
_FRENCH_TERMS: Final = {
    "month": "mois",
    "year": "an",
    "week": "semaine",
    "day": "jour",
    "Minimum commitment": "Engagement minimum",
    "Maximum charge": "Montant plafonné",
    "Reverse charge": "Autoliquidation",
    "Outside the scope of VAT": "Hors champ de la TVA",
    "Reverse charge: VAT to be accounted for by the recipient (Article 196 of Directive"
    " 2006/112/EC).": "Autoliquidation : la TVA est due par le preneur (article 196 de la"
    " directive 2006/112/CE).",
}
_JAPANESE_TERMS: Final = {
    "month": "月",
    "year": "年",
    "week": "週",
    "day": "日",
    "Minimum commitment": "最低利用料金",
    "Maximum charge": "上限額",
    "Reverse charge": "リバースチャージ",
    "Outside the scope of VAT": "VAT対象外",
    "Reverse charge: VAT to be accounted for by the recipient (Article 196 of Directive"
    " 2006/112/EC).": "リバースチャージ方式: VATは受領者が納付します(指令2006/112/EC第196条)。",
}
_TERMS: Final = {"de": _GERMAN_TERMS, "fr": _FRENCH_TERMS, "ja": _JAPANESE_TERMS}
# What a VAT is called, and how its rate is written after it.
_VAT_WORDS: Final = {"de": "USt {rate}\N{NO-BREAK SPACE}%", "fr": "TVA {rate}\N{NO-BREAK SPACE}%",
                     "ja": "VAT {rate}%"}  # fmt: skip
_VAT_LABEL: Final = re.compile(r"VAT ([0-9.]+) %")

_MINUS: Final = "\N{MINUS SIGN}"
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_VAT_ID: Final = re.compile(r"^[A-Z]{2}[0-9A-Z]{2,13}$")
_DIGIT: Final = re.compile(r"[0-9]")
_LONG_WORD: Final = re.compile(r"\S{25,}")
_ZERO_WIDTH_SPACE: Final = "\N{ZERO WIDTH SPACE}"


def plain(value: str) -> str:
    """Drop control characters and lone surrogates, and let words of unusual length break."""
    clean = "".join(
        letter if letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cs"} else " "
        for letter in value
    )
    return _LONG_WORD.sub(_breakable, clean)


def _breakable(word: re.Match[str]) -> str:
    letters = word.group()
    return _ZERO_WIDTH_SPACE.join(letters[at : at + 12] for at in range(0, len(letters), 12))


def term(text: str, locale: Locale) -> str:
    """Put a term of the platform into the document's language; other text stays.

    Source: § 14a (5) UStG for the wording of reverse charge.
    """
    if locale not in _TERMS:
        return text
    label = _VAT_LABEL.fullmatch(text)
    if label is not None:
        rate = number(Decimal(label.group(1)), locale)
        return _VAT_WORDS[locale].format(rate=rate)
    return _TERMS[locale].get(text, text)


def locale_named(name: str) -> Locale:
    """Return the language of documents for a customer's locale, English where we have none."""
    language = name.lower()[:2]
    return next((known for known in WORDS if known == language), "en")


def overridable() -> frozenset[str]:
    """Return the words that a tenant may have others for: those that nothing is put into."""
    return frozenset(word for word, text in _ENGLISH.items() if "{" not in text)


def country_name(code: str, locale: Locale) -> str:
    """Name a country as the locale does; a code without a name stays."""
    return str(BabelLocale.parse(locale).territories.get(code, code))


def tax_id_word(tax_id: str) -> str:
    """Name the word for a tax id: VAT numbers begin with their country's letters."""
    return "vat_id" if _VAT_ID.match(tax_id.replace(" ", "")) else "tax_id"


def money(minor: int, currency: CurrencyCode, locale: Locale) -> str:
    """Write an amount as the locale does, with a true minus sign.

    Raises: AmountOutOfRange, UnknownCurrency.
    """
    return price(minor_to_exact(minor, currency), currency, locale)


def price(exact: Decimal, currency: CurrencyCode, locale: Locale) -> str:
    """Write an exact price: all its digits, and at least those of the minor unit.

    Raises: UnknownCurrency.
    """
    # CLDR's own digits differ from ISO 4217 for some currencies (RSD, HUF): ISO's are billed.
    digits = minor_units(currency)
    fraction = "." + "0" * digits if digits else ""
    pattern = BabelLocale.parse(locale).currency_formats["standard"].pattern
    with wide_precision():
        text = format_currency(
            exact,
            currency,
            format=pattern.replace(".00", fraction),
            locale=locale,
            currency_digits=False,
            decimal_quantization=False,
        )
    # CLDR's alphaNextToNumber: a code is set apart from its figures, a sign is not.
    text = re.sub(r"(?<=[A-Za-z])(?=[0-9])", _NO_BREAK, text)
    return text.replace("-", _MINUS)


def number(value: Decimal, locale: Locale) -> str:
    """Write a quantity with all its digits, in groups."""
    with wide_precision():
        text = format_decimal(value, locale=locale, decimal_quantization=False)
    return text.replace("-", _MINUS)


def percent(rate: str, locale: Locale) -> str:
    """Write a rate given in percent ("5.5") as the locale does."""
    with wide_precision():
        share = Decimal(rate).scaleb(-2)
        return format_percent(share, locale=locale, decimal_quantization=False).replace("-", _MINUS)


def axis_number(value: Decimal, locale: Locale) -> str:
    """Write a tick of a chart, shortened from a million on."""
    if abs(value) >= 1_000_000:
        text: str = format_compact_decimal(value, locale=locale, fraction_digits=2)
        return text.replace("-", _MINUS)
    return number(value, locale)


def day(value: date, locale: Locale) -> str:
    """Write a date as in a letter: Jan 31, 2013 or 31.01.2013."""
    return format_date(value, format="medium", locale=locale)


def days(first: date, last: date, locale: Locale) -> str:
    """Write a span of days as short as the locale allows."""
    return format_interval(first, last, skeleton=_SPANS[locale], locale=locale)


def short_day(value: date, locale: Locale) -> str:
    """Write day and month: Jan 5 or 5. Jan."""
    return format_skeleton("MMMd", value, locale=locale)


def short_month(value: date, locale: Locale, *, with_year: bool) -> str:
    """Write a month's short name, with its year where several years are shown."""
    return format_skeleton("yMMM" if with_year else "MMM", value, locale=locale)


def pad_to_decimal(texts: Sequence[str], locale: Locale) -> list[dict[str, str]]:
    """Give each text the digits it lacks for its decimal mark to stand below the others'.

    Shape: `text` is printed and `pad` set in the same face but invisibly; both empty where empty.
    """
    mark = BabelLocale.parse(locale).number_symbols["latn"]["decimal"]
    fractions = [_fraction_digits(text, mark) for text in texts]
    longest = max(fractions, default=0)
    cells = []
    for text, digits in zip(texts, fractions, strict=True):
        pad = "0" * (longest - digits)
        if pad and not digits:
            pad = mark + pad
        cells.append({"text": text, "pad": pad if text else ""})
    return cells


def _fraction_digits(text: str, mark: str) -> int:
    _, found, after = text.rpartition(mark)
    return len(_DIGIT.findall(after)) if found else 0
