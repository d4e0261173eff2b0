"""What is owed: which rules apply, how tax is computed and rounded, which tax ids are valid."""

from billplane.tax.domain.calculation import (
    REVERSE_CHARGE_NOTE,
    Calculation,
    Group,
    TaxedLine,
    calculate,
)
from billplane.tax.domain.rules import (
    STANDARD,
    Buyer,
    Line,
    Rule,
    member_states,
    rules_for,
    shipped_rules,
)
from billplane.tax.domain.tax_ids import TaxIdCheck, check_tax_id, eu_vat_country, iso_country

__all__ = [
    "REVERSE_CHARGE_NOTE",
    "STANDARD",
    "Buyer",
    "Calculation",
    "Group",
    "Line",
    "Rule",
    "TaxIdCheck",
    "TaxedLine",
    "calculate",
    "check_tax_id",
    "eu_vat_country",
    "iso_country",
    "member_states",
    "rules_for",
    "shipped_rules",
]
