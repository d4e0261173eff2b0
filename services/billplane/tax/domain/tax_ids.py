"""Numbers by which tax offices know businesses: which are well formed, and of which country."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import stdnum
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

# Member states write their numbers with these prefixes; Greece alone differs from ISO 3166.
_GREECE = {"EL": "GR"}
# Names of numbers that differ from those of the library.
_NAMES = {"gb_vat": "gb_vat", "gr_vat": "gr_vat", "el_vat": "gr_vat"}


@dataclass(frozen=True, slots=True)
class TaxIdCheck:
    """What is known of one number.

    Shape: `valid` is None for a type that nobody can check here; `reason` says what is wrong.
    """

    type: str
    value: str
    valid: bool | None
    country: str = ""
    reason: str = ""


def iso_country(code: str) -> str:
    """Return a country's code in ISO 3166-1, which writes GR where VAT numbers write EL."""
    return _GREECE.get(code, code)


def eu_vat_country(tax_ids: Iterable[tuple[str, str]]) -> str | None:
    """Return the member state of the first valid EU VAT number, None when there is none."""
    for kind, value in tax_ids:
        if kind == "eu_vat":
            found = check_tax_id(kind, value)
            if found.valid:
                return found.country
    return None


def check_tax_id(kind: str, value: str) -> TaxIdCheck:
    """Check the form and the check digits of a number; whether it is in use only its office knows.

    Shape: types are `eu_vat` and <country>_<number>, such as `gb_vat`, `us_ein`, `au_abn`.
    """
    compact = value.replace(" ", "").replace("-", "").replace(".", "").upper()
    if kind == "eu_vat":
        return _checked(vat, kind, compact, iso_country(compact[:2]))
    country, _, name = _NAMES.get(kind, kind).partition("_")
    module = _module(country, name)
    if module is None:
        return TaxIdCheck(kind, value, None, reason=f"numbers of the type {kind} are not checked")
    return _checked(module, kind, compact, iso_country(country.upper()))


def _module(country: str, name: str) -> Any:
    if not (country.isascii() and country.isalpha() and len(country) == 2 and name.isidentifier()):
        return None
    found = stdnum.get_cc_module(country, name)
    return found if hasattr(found, "validate") else None


def _checked(module: Any, kind: str, compact: str, country: str) -> TaxIdCheck:
    try:
        written = str(module.validate(compact))
    except ValidationError as error:
        return TaxIdCheck(kind, compact, False, reason=str(error))
    return TaxIdCheck(kind, written, True, country)
