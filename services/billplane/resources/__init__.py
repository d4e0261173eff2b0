"""The spec of each custom resource, read alike by services, operator and tests.

Owns what a BillingPlan, Meter, ExchangeRateFeed and UtilityProvider may say, their defaults, the
sentences that tell what is wrong, their hash, and the reading of manifests. Owns no storage and
talks to nobody. The same code checks a resource, an API call and a file; the CRDs in `crds/`
refuse nothing that these specs accept.
"""

from billplane.resources.beyond_cel import BEYOND_CEL
from billplane.resources.billing_plan import BillingPlanSpec
from billplane.resources.common import Spec, parse_duration
from billplane.resources.errors import SpecError, Violation
from billplane.resources.exchange_rate_feed import ExchangeRateFeedSpec
from billplane.resources.kinds import (
    API_VERSION,
    GROUP,
    KINDS,
    VERSION,
    Kind,
    validate_change,
    validate_spec,
)
from billplane.resources.manifest import Manifest, ManifestError, read_manifests
from billplane.resources.meter import MeterSpec
from billplane.resources.spec_hash import spec_hash
from billplane.resources.usage_windows import UsageQuery, Window, usage_queries
from billplane.resources.utility_provider import UtilityProviderSpec

__all__ = [
    "API_VERSION",
    "BEYOND_CEL",
    "GROUP",
    "KINDS",
    "VERSION",
    "BillingPlanSpec",
    "ExchangeRateFeedSpec",
    "Kind",
    "Manifest",
    "ManifestError",
    "MeterSpec",
    "Spec",
    "SpecError",
    "UsageQuery",
    "UtilityProviderSpec",
    "Violation",
    "Window",
    "parse_duration",
    "read_manifests",
    "spec_hash",
    "usage_queries",
    "validate_change",
    "validate_spec",
]
