"""The rules that a spec holds beyond what the CRD can say.

What a CRD refuses, the spec refuses too; what a CRD accepts, the spec accepts, or refuses with one
of these reasons. A resource refused so is stored by Kubernetes and reported as
`Ready=False, reason=InvalidSpec`. Each rule has manifests in the tests' corpus that the CRD accepts
and the spec refuses; a reason that is not listed here fails those tests.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BEYOND_CEL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "COUNTRY_UNKNOWN": "CRDs see two letters; whether ISO 3166-1 has them is a table.",
        "CURRENCY_UNKNOWN": "CRDs see three letters; ISO 4217 and its minor units are a table.",
        "DUPLICATE": "Cells of a matrix are compared by two values; CEL can only do so in a loop "
        "within a loop, which exceeds the budget of Kubernetes.",
        "FIELD_UNKNOWN": "The API server drops unknown fields, unless asked to be strict as "
        "kubectl does; here a misspelt field is always an error.",
        "MINIMUM_ABOVE_MAXIMUM": "CEL compares binary fractions; bounds that differ beyond their "
        "16 digits look equal to it.",
        "SCHEDULE_INVALID": "A cron expression is parsed, not matched.",
        "TIERS_NOT_ASCENDING": "CEL has no decimals: it compares binary fractions and can only "
        "say that ends do not descend; here they must rise, from above zero, exactly.",
        "TIME_ZONE_UNKNOWN": "Whether a time zone exists is a table.",
        "TYPE_MISMATCH": "The API server takes the number 1.0 for the integer 1; here an integer "
        "is written without a point.",
        "URL_INVALID": "Hosts, credentials and fragments are parsed, not matched.",
    }
)
