"""The utilities to develop against are good resources, and their simulators serve them."""

from datetime import date
from pathlib import Path

from billplane.provider_simulator.domain.bills import bill_of, issues_of
from billplane.provider_simulator.domain.customers import Utility, accounts_of
from billplane.provider_simulator.settings import ProviderSimulatorSettings
from billplane.resources import read_manifests

UTILITIES = Path(__file__).parents[2] / "examples" / "utilities" / "utility_providers.yaml"


def test_each_is_a_valid_provider_whose_simulator_has_bills():
    manifests = read_manifests(UTILITIES.read_text(), UTILITIES.name)
    assert [item.name for item in manifests] == ["northwind-power", "clearbrook-water"]
    for manifest in manifests:
        spec = manifest.read_spec()
        asked = spec.document()["simulator"]
        settings = ProviderSimulatorSettings(
            accounts=asked["accounts"],
            seed=asked["seed"],
            latency=asked["latency"],
            error_rate=asked["errorRate"],
            category=spec.category,
            country=spec.country,
            currency=spec.currency,
            time_zone=spec.time_zone,
        )
        utility = Utility(
            settings.seed, settings.accounts, settings.category, settings.country, settings.currency
        )
        account = accounts_of(utility, settings.accounts)[0]
        newest = issues_of(utility, account, date(2026, 7, 1))[-1]
        assert bill_of(utility, account, newest).total.minor > 0
