"""One of everything that a tenant can own, under names that are the same for every tenant."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

import asyncpg

METER = {
    "eventType": "api.request",
    "aggregation": "Sum",
    "valueProperty": "$.units",
    "groupBy": [{"name": "region", "property": "$.region"}],
}
JANUARY = "starts_at=2026-01-01T00:00:00Z&ends_at=2026-02-01T00:00:00Z"


def plan(mark: str) -> dict[str, Any]:
    """Return a plan's spec that says whose it is."""
    return {
        "displayName": mark,
        "currency": "EUR",
        "default": True,
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": [
            {"name": "fee", "recurring": {"amount": "10.00", "billed": "InArrears"}},
            {"name": "api", "usage": {"meter": "api", "model": {"perUnit": {"unitAmount": "1"}}}},
        ],
    }


@dataclass
class Estate:
    """What a tenant owns in one mode; `mark` stands in its free texts, `ids` by path parameter."""

    platform: Any
    tenant: str
    mark: str
    livemode: bool = False
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the tenant's own requests."""
        return self.platform.headers(self.tenant, livemode=self.livemode)

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request of the tenant and return the JSON of its answer."""
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.platform.request(method, path, json=body, headers=headers, **options)

    async def make(self, path: str, body: Any, expect: int = 201, **options: Any) -> Any:
        """Create something."""
        return await self.send("POST", path, body, expect=expect, **options)

    async def fill(self, *, resources: bool = True) -> "Estate":
        """Create everything; resources only where the tenant's other mode has not made them."""
        if resources:
            await self._resources()
        coupon = await self.make(
            "/v1/coupons", {"code": "WELCOME", "name": self.mark, "percent": "10"}
        )
        discount = {"kind": "user_type", "user_types": ["vip"], "percent": "1", "name": self.mark}
        discount_rule = await self.make("/v1/discount_rules", discount)
        customer: dict[str, Any] = {
            "name": self.mark,
            "external_id": "ada",
            "address": {"country": "DE"},
        }
        if not self.livemode:
            clock = await self.make("/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"})
            customer["test_clock_id"] = self.ids["clock_id"] = clock["id"]
        made = await self.make("/v1/customers", customer, headers={"Idempotency-Key": "same"})
        subscription = await self.make("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})
        item = {"customer_id": "ada", "description": self.mark, "amount_minor": 1}
        self.ids |= {
            "item_id": (await self.make("/v1/invoice_items", item))["id"],
            "coupon_id": coupon["id"],
            "discount_rule_id": discount_rule["id"],
            "customer": made["id"],
            "customer_id": made["id"],
            "subscription_id": subscription["id"],
        }
        await self._usage()
        await self._documents(made["id"])
        await self._books()
        await self._listeners()
        await self._wallet()
        await self._payments()
        await self._settled()
        await self._happened()
        return self

    async def _resources(self) -> None:
        meter = await self.make("/v1/meters", {"name": "api", "spec": METER})
        made = await self.make("/v1/plans", {"name": "pro", "spec": plan(self.mark)})
        prices = await self.send("GET", "/v1/prices?plan=pro", expect=200)
        rates = [{"quote": "USD", "rate": "1.1", "asOf": "2026-01-01"}]
        spec = {"base": "EUR", "currencies": ["USD"], "source": {"static": {"rates": rates}}}
        feed = await self.make("/v1/exchange_rate_feeds", {"name": "manual", "spec": spec})
        await self.make("/v1/exchange_rate_feeds/manual:refresh", {}, 200)
        grid = {"displayName": self.mark, "category": "Electricity", "country": "DE"}
        grid |= {"currency": "EUR", "timeZone": "Europe/Berlin", "simulator": {"enabled": True}}
        provider = await self.make("/v1/utility_providers", {"name": "grid", "spec": grid})
        rule = {"country": "DE", "rate": "0.5", "valid_from": "2020-01-01", "label": self.mark}
        made_rule = await self.make("/v1/tax_rules", rule)
        await self.send("PUT", "/v1/tax_settings", {"country": "DE"}, expect=200)
        seller = {"name": self.mark, "address": {"country": "DE"}}
        settings = {"seller": seller, "prefix": "INV-", "payment_terms_days": 14}
        await self.send("PUT", "/v1/invoice_settings", settings, expect=200)
        self.ids |= {
            "meter": meter["id"],
            "plan": made["id"],
            "price_id": prices["data"][0]["id"],
            "feed": feed["id"],
            "provider": provider["id"],
            "rule_id": made_rule["id"],
        }

    async def _usage(self) -> None:
        event = {"type": "api.request", "source": "tests", "id": "e-1", "subject": "ada"}
        event |= {"data": {"units": 5, "region": self.mark}}
        if not self.livemode:
            event["time"] = "2026-01-15T12:00:00Z"
        rate = {"base": "EUR", "quote": "CHF", "rate": "0.9", "reason": self.mark}
        self.ids["rate_id"] = (await self.make("/v1/exchange_rates", rate))["id"]
        taken = await self.make("/v1/usage_events", event, 202)
        assert taken["results"][0]["status"] == "accepted"

    async def _documents(self, customer_id: str) -> None:
        lines = [{"description": self.mark, "unit_amount": "10.00"}]
        body = {"customer_id": customer_id, "currency_code": "EUR", "lines": lines}
        invoice = await self.make(
            "/v1/invoices",
            {**body, "coupon_codes": ["WELCOME"]},
            headers={"Idempotency-Key": "same"},
        )
        await self.make(f"/v1/invoices/{invoice['id']}:finalize", None, 200)
        note = {"invoice_id": invoice["id"], "amount_minor": 1, "reason": self.mark}
        draft = await self.make("/v1/invoices", body)
        calculation = {
            "customer": {"country": "DE"},
            "currency_code": "EUR",
            "lines": [{"line_id": "1", "amount_minor": 100}],
            "reference": self.mark,
        }
        calculated = await self.make("/v1/tax_calculations", calculation)
        run = await self.make("/v1/billing_runs", {"customer_ids": ["ada"]}, 202)
        self.ids |= {
            "invoice_id": invoice["id"],
            "draft_id": draft["id"],
            "credit_note_id": (await self.make("/v1/credit_notes", note))["id"],
            "calculation_id": calculated["id"],
            "run_id": run["id"],
        }
        while run["state"] == "running":
            await asyncio.sleep(0.05)
            run = await self.send("GET", f"/v1/billing_runs/{run['id']}")

    async def _books(self) -> None:
        """Move money, some of it only reserved."""
        account = {"type": "asset", "currency": "EUR", "allow_negative": True}
        for name in ("till", "bank"):
            body = {**account, "name": self.mark, "external_id": name}
            self.ids["account_id"] = (await self.make("/v1/ledger/accounts", body))["id"]
        legs = [
            {"account_id": name, "direction": direction, "amount_minor": 10}
            for name, direction in (("till", "debit"), ("bank", "credit"))
        ]
        body = {"postings": legs, "currency_code": "EUR", "description": self.mark}
        body["external_id"] = "sale"
        sale = await self.make("/ledger/transactions", body, headers={"Idempotency-Key": "same"})
        hold = {**body, "external_id": "hold", "pending": True}
        made = await self.make("/v1/ledger/transactions", hold)
        self.ids |= {"transaction_id": sale["id"], "hold_id": made["id"]}

    async def _listeners(self) -> None:
        """Let something be told to a program, and something to a person."""
        hook = {"url": "https://127.0.0.1:9/hook", "enabled_events": ["customer.updated"]}
        made = await self.make("/v1/webhook_endpoints", hook | {"description": self.mark}, 200)
        self.ids["webhook_endpoint_id"] = made["id"]
        wording = {"subject": self.mark, "text": "{{ url }}"}
        await self.send("PUT", "/v1/notification_templates/alert/fr", wording, expect=200)
        await self.send("PATCH", "/v1/customers/ada", {"name": self.mark}, expect=200)
        deliveries: list[Any] = []
        async with asyncio.timeout(30):
            while not deliveries:
                await asyncio.sleep(0.05)
                page = await self.send("GET", "/v1/webhook_deliveries", expect=200)
                deliveries = page["data"]
        # What waits for its next attempt would change while others are looked at.
        off = {"disabled": True}
        await self.make(f"/v1/webhook_endpoints/{made['id']}", off, 200)
        self.ids |= {"delivery_id": deliveries[0]["id"], "event_id": deliveries[0]["event_id"]}
        message = f"msg_{self.tenant}_{self.livemode}"
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        await connection.execute(
            "INSERT INTO notification.messages VALUES ($1, $2, $3, 'email', 'ada@example.com',"
            " 'alert', 'fr', '{}', $2, $4, 'failed', $4, 1, now(), NULL, now(), NULL)",
            self.tenant,
            message,
            self.livemode,
            self.mark,
        )
        await connection.close()
        self.ids["notification_id"] = message

    async def _wallet(self) -> None:
        """Fill a wallet, take from it and set some of it aside.

        Of somebody without invoices, which would be collected from it meanwhile.
        """
        body = {"customer_id": "eve", "currency_code": "EUR", "metadata": {"of": self.mark}}
        wallet = await self.make("/v1/wallets", body, headers={"Idempotency-Key": "same-wallet"})
        path = f"/v1/wallets/{wallet['id']}"
        given = {"amount_minor": 100, "kind": "promotional", "description": self.mark}
        await self.make(f"{path}:grant", given, 200)
        taken = {"amount_minor": 10, "description": self.mark}
        charge = await self.make(f"{path}:charge", taken, 200)
        held = await self.make(f"{path}:reserve", {"amount_minor": 20, "ttl_seconds": 86_400})
        self.ids |= {
            "wallet_id": wallet["id"],
            "operation_id": charge["operation"]["id"],
            "reservation_id": held["reservation"]["id"],
        }

    async def _payments(self) -> None:
        """Take a payment, give a part of it back, and have another one disputed."""
        body = {"amount": 100, "currency": "eur", "confirm": True, "description": self.mark}
        paid, disputed = [
            await self.make("/v1/payment_intents", {**body, "payment_method": card}, 200)
            for card in ("pm_card_visa", "pm_card_createDispute")
        ]
        given = {"payment_intent": paid["id"], "amount": 10, "metadata": {"of": self.mark}}
        refund = await self.make("/v1/refunds", given, 200)
        self.ids |= {
            "intent": paid["id"],
            "charge": paid["latest_charge"],
            "payment_method": paid["payment_method"],
            "refund": refund["id"],
        }
        path = f"/v1/disputes?payment_intent={disputed['id']}"
        waiting = (
            "SELECT count(*) FROM payment.collections WHERE tenant_id = $1 AND livemode = $2"
            " AND state = 'waiting'"
        )
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        found: list[Any] = []
        due = True
        async with asyncio.timeout(30):
            while due or not found:
                await asyncio.sleep(0.05)
                found = (await self.send("GET", path, expect=200))["data"]
                # What is due is looked at in the background, and then waits for a method.
                due = not await connection.fetchval(waiting, self.tenant, self.livemode)
        await connection.close()
        self.ids["dispute"] = found[0]["id"]

    async def _settled(self) -> None:
        """Wait until what was done has been told to everybody who listens."""
        tables = ("notification.events", "notification.deliveries", "listener.audit_entries")
        counts = ", ".join(f"(SELECT count(*) FROM {name} WHERE tenant_id = $1)" for name in tables)
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        seen, same = None, 0
        async with asyncio.timeout(30):
            while same < 5:
                await asyncio.sleep(0.1)
                found = await connection.fetchrow(f"SELECT {counts}", self.tenant)
                same = same + 1 if found == seen else 0
                seen = found
        await connection.close()

    async def _happened(self) -> None:
        """Find a fact in the audit log, and leave it as one that a reaction failed on."""
        path, found = "/v1/audit_entries?message=invoice.finalized", []
        async with asyncio.timeout(30):
            while not found:
                await asyncio.sleep(0.05)
                found = (await self.send("GET", path, expect=200))["data"]
        letter = f"dlq_{self.tenant}_{self.livemode}"
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        await connection.execute(
            "INSERT INTO listener.dead_letters SELECT $1, tenant_id, livemode, 'audit_log',"
            " event_type, 'TRIED', $2, 10, envelope, created_at FROM listener.audit_entries"
            " WHERE id = $3",
            letter,
            self.mark,
            found[0]["id"],
        )
        await connection.close()
        self.ids |= {"audit_entry_id": found[0]["id"], "dead_letter_id": letter}

    async def stored(self) -> dict[str, str]:
        """Return a digest of every row of the tenant and mode, by table.

        Left out are the rows that say when something was asked, and not what is so.
        """
        return await digests(
            self.platform.stores.admin_url,
            "tenant_id = $1 AND coalesce(to_jsonb(t)->>'livemode', $2) = $2",
            self.tenant,
            str(self.livemode).lower(),
        )


# Who a subject of usage is (usage_subjects) is found out in the background, where facts reach the
# audit log and become events as well.
PASSING = (
    *("outbox", "inbox", "aggregate_versions", "idempotency", "alembic_version"),
    *("usage_subjects", "audit_entries", "audit_heads"),
    *("events", "event_heads", "object_versions"),
)


async def digests(admin_url: str, where: str = "true", *values: str) -> dict[str, str]:
    """Return a digest of the rows of every service's tables, what passes left out."""
    connection = await asyncpg.connect(admin_url)
    try:
        tables = await connection.fetch(
            # A partition's rows are its table's.
            "SELECT c.oid::regclass::text AS name FROM pg_class c"
            " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'"
            " AND NOT c.relname = ANY ($1::text[])",
            list(PASSING),
        )
        found = {}
        for table in tables:
            rows = await connection.fetch(
                f"SELECT t::text AS row FROM {table['name']} t WHERE {where} ORDER BY 1", *values
            )
            text = "\n".join(row["row"] for row in rows)
            found[table["name"]] = f"{len(rows)} {hashlib.sha256(text.encode()).hexdigest()}"
        return found
    finally:
        await connection.close()
