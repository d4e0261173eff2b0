"""Commands that say how usage, discounts, taxes and currencies are to be counted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import typer.testing
from billplane_cli.__main__ import app
from billplane_cli.exit_codes import ExitCode

TENANT = "ten_money_commands"


@dataclass
class Typed:
    """What a person types, against the platform of all services."""

    platform: Any
    monkeypatch: pytest.MonkeyPatch
    user: str = "usr_ada"

    async def __call__(
        self, *arguments: str, code: int = 0, given: str | None = None, table: bool = False
    ) -> Any:
        token = self.platform.token(TENANT, subject=f"user:{self.user}")
        self.monkeypatch.setenv("BILLPLANE_URL", self.platform.url(""))
        self.monkeypatch.setenv("BILLPLANE_API_KEY", token)
        options = () if table else ("-o", "json")
        result = await asyncio.to_thread(
            typer.testing.CliRunner().invoke, app, [*arguments, *options], input=given
        )
        assert result.exit_code == code, f"{arguments}: {result.output}"
        if code or table:
            return result.output
        return json.loads(result.stdout) if result.stdout.strip() else None


Types = Callable[..., Awaitable[Any]]


@pytest.fixture
def billplane(running: Any, monkeypatch: pytest.MonkeyPatch) -> Typed:
    return Typed(running, monkeypatch)


@pytest.fixture(scope="module")
async def running(make_stores: Any, run_platform: Any) -> Any:
    """Run what the commands ask."""
    services = (
        *("discount", "exchange_rate", "gateway", "identity", "metering"),
        *("pricing", "subscription", "tax"),
    )
    async with run_platform(await make_stores(), services) as found:
        yield found


async def test_a_rate_by_hand_is_proposed_and_approved_by_somebody_else(billplane: Typed) -> None:
    static = {"rates": [{"quote": "NOK", "rate": "11.4", "asOf": "2026-01-31"}]}
    spec = {"base": "EUR", "currencies": ["NOK"], "maxDeviation": "0.10"}
    headers = billplane.platform.headers(TENANT)
    body = {"name": "fx", "spec": {**spec, "source": {"static": static}}}
    await billplane.platform.request(
        "POST", "/v1/exchange_rate_feeds", json=body, headers=headers, expect=201
    )
    await billplane("exchange-rate", "refresh", "fx")
    first = await billplane("exchange-rate", "set", "EUR", "NOK", "11.5", "--reason", "contract")
    assert (first["rate"], first["state"], first["actor"]) == ("11.5", "usable", "user:usr_ada")
    wild = ("exchange-rate", "set", "EUR", "NOK", "23", "--reason", "crash", "--as-of")
    refused = await billplane(*wild, "2026-02-01", code=ExitCode.CONFLICT)
    assert "DEVIAT" in refused
    held = await billplane(*wild, "2026-02-01", "--propose")
    assert held["state"] == "held_back"
    waiting = await billplane("exchange-rate", "list", "--held-back")
    assert [rate["id"] for rate in waiting] == [held["id"]]
    assert "billplane exchange-rate approve" in await billplane(
        *wild, "2026-02-02", "--propose", table=True
    )
    own = await billplane("exchange-rate", "approve", held["id"], code=ExitCode.NOT_ALLOWED)
    assert "APPROVAL_BY_AUTHOR" in own
    billplane.user = "usr_bob"
    approved = await billplane("exchange-rate", "approve", held["id"], "--reason", "seen")
    assert (approved["state"], approved["approved_by"]) == ("usable", "user:usr_bob")
    shown = await billplane("exchange-rate", "show", "EUR", "NOK", "--as-of", "2026-02-01")
    assert shown["rate"] == "23"
    gone = await billplane("exchange-rate", "withdraw", first["id"], "--reason", "over")
    assert gone["state"] == "withdrawn"
    whole = await billplane(
        *("exchange-rate", "convert", "2.00", "EUR", "--to", "NOK", "--as-of", "2026-02-01")
    )
    assert (whole["amount_minor"], whole["currency_code"]) == (4600, "NOK")


async def test_currencies_are_enabled_disabled_and_made_the_default(billplane: Typed) -> None:
    assert (await billplane("currency", "enable", "JPY"))["enabled"] is True
    assert (await billplane("currency", "default", "CHF"))["default"] is True
    used = {item["code"] for item in await billplane("currency", "list", "--enabled")}
    assert {"JPY", "CHF"} <= used
    assert (await billplane("currency", "disable", "JPY"))["enabled"] is False
    await billplane("currency", "enable", "EURO", code=ExitCode.INVALID)


async def test_coupons_and_rules_are_made_listed_and_archived(billplane: Typed) -> None:
    made = await billplane(
        *("coupon", "create", "FIVE", "--amount", "5", "--currency", "EUR"),
        *("--redemptions-max", "100", "--alone", "--plan", "gold"),
    )
    assert (made["amount_minor"], made["stackable"], made["plans"]) == (500, False, ["gold"])
    assert "500 EUR minor" in await billplane("coupon", "list", table=True)
    await billplane("coupon", "archive", "FIVE", table=True)
    assert (await billplane("coupon", "show", "FIVE"))["state"] == "archived"
    rule = await billplane(
        *("discount-rule", "create", "--from", "1000", "--currency", "EUR", "--per", "period"),
        *("--percent", "5", "--cap", "200", "--priority", "3"),
    )
    assert (rule["minimum_minor"], rule["cap_minor"], rule["per"]) == (100_000, 20_000, "period")
    vip = await billplane("discount-rule", "create", "--user-type", "vip", "--percent", "10")
    kinds = await billplane("discount-rule", "list", "--kind", "user_type")
    assert [item["id"] for item in kinds] == [vip["id"]]
    await billplane("discount-rule", "archive", vip["id"], table=True)
    assert (await billplane("discount-rule", "show", vip["id"]))["state"] == "archived"
    for wrong in (
        ("--percent", "10"),
        ("--user-type", "vip"),
        ("--user-type", "vip", "--amount", "5"),
        ("--user-type", "vip", "--amount", "5.001", "--currency", "EUR"),
    ):
        await billplane("discount-rule", "create", *wrong, code=ExitCode.USAGE)


async def test_tax_rules_have_versions_and_ids_are_checked(billplane: Typed) -> None:
    assert (await billplane("tax", "country", "DE"))["country"] == "DE"
    assert (await billplane("tax", "country"))["country"] == "DE"
    made = await billplane(
        *("tax-rule", "create", "DE", "0.07", "--category", "Books", "--treatment", "REDUCED"),
        *("--valid-from", "2026-01-01", "--label", "USt"),
    )
    assert (made["rate"], made["treatment"]) == ("0.07", "REDUCED")
    after = await billplane(
        *("tax-rule", "replace", made["id"], "0.08", "--valid-from", "2027-01-01")
    )
    assert (after["series"], after["version"]) == (made["id"], 2)
    listed = await billplane("tax-rule", "list", "--country", "DE", "--limit", "0")
    assert {made["id"], after["id"]} <= {rule["id"] for rule in listed}
    assert (await billplane("tax-rule", "show", made["id"]))["valid_until"] == "2027-01-01"
    await billplane("tax-rule", "delete", after["id"], table=True)
    assert (await billplane("tax", "check-id", "eu_vat", "ATU12345675"))["valid"] is True
    await billplane("tax-rule", "create", "DE", "7", "--valid-from", "2026-01-01", code=7)


async def test_a_token_of_a_price_source_is_kept_and_forgotten(billplane: Typed) -> None:
    put = ("external-price", "put-secret", "grid-prices", "token")
    told = await billplane(*put, given="very-secret\n", table=True)
    assert "very-secret" not in told
    await billplane(*put, given="", code=ExitCode.USAGE)
    await billplane("external-price", "delete-secret", "grid-prices", "token", table=True)
    assert await billplane("external-price", "list") == []


async def test_an_event_is_corrected_and_voided(billplane: Typed) -> None:
    spec = {"eventType": "call", "aggregation": "Sum", "valueProperty": "$.units"}
    headers = billplane.platform.headers(TENANT)
    body = {"name": "calls", "spec": spec}
    await billplane.platform.request("POST", "/v1/meters", json=body, headers=headers, expect=201)
    send = ("usage", "send", "nobody", "--type", "call", "--data", "units=5", "--id")
    for name in ("one", "two"):
        await billplane(*send, name)
    unknown = [item["subject"] for item in await billplane("usage", "unattributed")]
    assert unknown == ["nobody"]
    right = await billplane("usage", "correct", "one", "--data", "units=4", "--reason", "typo")
    assert (right["kind"], right["data"]) == ("correction", {"units": "4"})
    void = await billplane("usage", "void", "two", "--reason", "a test run")
    assert (void["kind"], void["actor"]) == ("void", "user:usr_ada")
    listed = await billplane("usage", "adjustments")
    assert [item["id"] for item in listed] == [void["id"], right["id"]]
    assert await billplane("usage", "conflicts") == []
    await billplane("usage", "void", "three", code=ExitCode.NOT_FOUND)
