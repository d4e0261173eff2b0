"""The utilities to develop against are good resources, and their simulators serve them."""

from datetime import date
from pathlib import Path

from billplane.provider_simulator.domain.bills import bill_of, issues_of
from billplane.provider_simulator.domain.customers import Utility, accounts_of
from billplane.provider_simulator.settings import ProviderSimulatorSettings
from billplane.resources import read_manifests

from tests.operator.folder import Home, operating

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


async def test_on_a_laptop_they_are_registered_and_wait_for_a_simulator(platform, tmp_path):
    home = Home(tmp_path / "home", "op-utilities")
    for text in UTILITIES.read_text().split("\n---\n"):
        (manifest,) = read_manifests(text, UTILITIES.name)
        home.file(manifest.kind, manifest.name, text)
    headers = platform.headers(home.namespace)
    async with operating(platform, home):
        for name in ("northwind-power", "clearbrook-water"):
            status = (await home.decided("UtilityProvider", name))["status"]
            path = f"/v1/utility_providers/{name}"
            found = await platform.request("GET", path, headers=headers, expect=200)
            assert (found["id"], found["spec_hash"]) == (status["providerId"], status["specHash"])
            assert (found["origin"], found["endpoint"]) == ("resource", None)
        listed = await platform.request(
            "GET", "/v1/utility_providers?country=GB", headers=headers, expect=200
        )
        assert [item["name"] for item in listed["data"]] == ["clearbrook-water"]
