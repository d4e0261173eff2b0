"""Code lists of EN 16931, as far as documents here use them."""

from typing import Final

STANDARD: Final = "S"
ZERO_RATED: Final = "Z"
EXEMPT: Final = "E"
REVERSE_CHARGE: Final = "AE"
NOT_SUBJECT: Final = "O"

# Treatments of tax; Source: UNTDID 5305 as EN 16931 subsets it.
CATEGORIES: Final = {
    "STANDARD": STANDARD,
    "REDUCED": STANDARD,
    "ZERO": ZERO_RATED,
    "EXEMPT": EXEMPT,
    "REVERSE_CHARGE": REVERSE_CHARGE,
    "OUT_OF_SCOPE": NOT_SUBJECT,
}

# Source: VATEX code list, EN 16931 code lists of the European Commission.
REASONS: Final = {
    EXEMPT: ("Exempt from VAT", ""),
    REVERSE_CHARGE: ("Reverse charge", "VATEX-EU-AE"),
    NOT_SUBJECT: ("Not subject to VAT", "VATEX-EU-O"),
}

ONE: Final = "C62"
# Source: UN/ECE Recommendation 20.
UNITS: Final = {
    "hour": "HUR",
    "hours": "HUR",
    "h": "HUR",
    "minute": "MIN",
    "minutes": "MIN",
    "second": "SEC",
    "seconds": "SEC",
    "day": "DAY",
    "days": "DAY",
    "week": "WEE",
    "weeks": "WEE",
    "month": "MON",
    "months": "MON",
    "year": "ANN",
    "years": "ANN",
    "kwh": "KWH",
    "mwh": "MWH",
    "kw": "KWT",
    "wh": "WHR",
    "m3": "MTQ",
    "m³": "MTQ",
    "l": "LTR",
    "litre": "LTR",
    "liter": "LTR",
    "kg": "KGM",
    "t": "TNE",
    "km": "KMT",
    "m": "MTR",
    "mb": "4L",
    "gb": "E34",
    "tb": "E35",
}

# How a transfer to an account is named where an IBAN is given; Source: UNTDID 4461.
CREDIT_TRANSFER: Final = "30"
SEPA_TRANSFER: Final = "58"

# VAT numbers of Greece begin with EL, those of Northern Ireland with XI.
VAT_PREFIXES: Final = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "GR", "HR"),
        *("HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
        *("CH", "GB", "IS", "LI", "NO", "XI"),
    }
)


def unit_code(unit: str) -> str:
    """Return the code of a unit, that of "one" for words that have none."""
    return UNITS.get(unit.strip().lower(), ONE)
