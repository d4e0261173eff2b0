"""A tenant that sells, as tests play it."""

from tests.journeys.test_metered_usage_becomes_an_invoice import billed

MONTHLY = {"unit": "Month", "anchor": "Calendar", "timeZone": "Etc/UTC"}


def fee(amount, billed="InArrears", **more):
    """Give a plan's charge that recurs."""
    return {
        "name": f"fee-{billed.lower()}",
        "recurring": {"amount": amount, "billed": billed, **more},
    }


def plan(*charges, **fields):
    """Give a plan in euros by the calendar month."""
    return {"currency": "EUR", "interval": MONTHLY, "charges": list(charges), **fields}


class Seller:
    """One tenant with a test clock."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant
        self.clock = ""

    async def call(self, method, path, body=None, expect=200, **options):
        headers = self.platform.headers(self.tenant, **options)
        return await self.platform.request(method, path, json=body, headers=headers, expect=expect)

    async def sells(self, spec, name="pro", now="2026-01-01T00:00:00Z"):
        """Publish a plan and set a clock."""
        await self.call("POST", "/v1/plans", {"name": name, "spec": spec}, 201)
        if not self.clock:
            clock = await self.call("POST", "/v1/test_clocks", {"now": now}, 201)
            self.clock = clock["id"]

    async def customer(self, external_id="ada", **fields):
        body = {"name": external_id, "external_id": external_id, "test_clock_id": self.clock}
        return await self.call("POST", "/v1/customers", {**body, **fields}, 201)

    async def subscribes(self, external_id="ada", plan="pro", **fields):
        await self.customer(external_id)
        body = {"customer_id": external_id, "plan": plan, **fields}
        return await self.call("POST", "/v1/subscriptions", body, 201)

    async def until(self, instant):
        """Move the clock."""
        return await self.call("POST", f"/v1/test_clocks/{self.clock}:advance", {"to": instant})

    async def bills(self, **body):
        return await billed(self.platform, self.tenant, **body)

    async def invoices(self):
        """Return the invoices from the first on."""
        page = await self.call("GET", "/v1/invoices?limit=200&order=asc")
        return page["data"]

    async def amounts(self):
        """Return the net amount of each invoice from the first on."""
        return [invoice["net_minor"] for invoice in await self.invoices()]

    async def cancel(self, subscription, *, at_period_end):
        path = f"/v1/subscriptions/{subscription['id']}:cancel"
        return await self.call("POST", path, {"at_period_end": at_period_end})

    async def changes(self, spec, name="pro"):
        """Publish the next version of a plan."""
        return await self.call("PATCH", f"/v1/plans/{name}", {"spec": spec})

    async def changes_plan(self, subscription, plan, expect=200, verb="change", **options):
        """Move a subscription to another plan, or look what that would cost."""
        path = f"/v1/subscriptions/{subscription['id']}:{verb}"
        return await self.call("POST", path, {"plan": plan, **options}, expect)

    async def does(self, verb, subscription, body=None, expect=200):
        """Pause, resume or cancel it."""
        path = f"/v1/subscriptions/{subscription['id']}:{verb}"
        return await self.call("POST", path, body or {}, expect)

    async def lines(self):
        """Return each invoice's lines as (charge, amount before discounts)."""
        return [
            [(line["charge"], line["amount_minor"]) for line in invoice["lines"]]
            for invoice in await self.invoices()
        ]

    async def state(self, subscription):
        return await self.call("GET", f"/v1/subscriptions/{subscription['id']}")
