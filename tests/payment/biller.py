"""A tenant that bills its customers and collects."""

import asyncio

from tests.payment.shop import Shop

INVOICES = "/v1/invoices"


class Biller(Shop):
    """A tenant that bills."""

    async def own(self, method, path, body=None, expect=None):
        """Send a request in our own dialect."""
        headers = self.platform.headers(self.tenant)
        return await self.platform.request(method, path, json=body, headers=headers, expect=expect)

    async def customer(self, card="", **more):
        """Make a customer, with a card where one is named."""
        made = await self.own("POST", "/v1/customers", {"name": "Ada", **more}, 201)
        if card:
            form = {"customer": made["id"]}
            await self.make(f"/v1/payment_methods/{card}/attach", form)
        return made["id"]

    async def clock(self):
        """Make a test clock."""
        made = await self.own("POST", "/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"}, 201)
        return made["id"]

    async def advance(self, clock, to):
        """Move a test clock."""
        await self.own("POST", f"/v1/test_clocks/{clock}:advance", {"to": to}, 200)

    async def invoice(self, customer, amount="10.00"):
        """Make an invoice final."""
        line = {"description": "work", "unit_amount": amount}
        body = {"customer_id": customer, "currency_code": "EUR", "lines": [line]}
        draft = await self.own("POST", INVOICES, body, 201)
        return await self.own("POST", f"{INVOICES}/{draft['id']}:finalize", None, 200)

    async def invoice_until(self, invoice, state):
        """Wait for an invoice's state."""
        async with asyncio.timeout(20):
            while True:
                found = await self.own("GET", f"{INVOICES}/{invoice['id']}", expect=200)
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.05)

    async def collection(self, invoice, holds):
        """Wait until something holds of an invoice's collection."""
        async with asyncio.timeout(20):
            while True:
                rows = await self.query(
                    "SELECT * FROM payment.collections WHERE tenant_id = $1"
                    f" AND invoice_id = '{invoice['id']}'"
                )
                if rows and holds(rows[0]):
                    return rows[0]
                await asyncio.sleep(0.05)
