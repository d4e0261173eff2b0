"""A customer who pays into a wallet."""

import asyncpg

from tests.billing_core.purse import Purse
from tests.payment.shop import Shop

FILLED = {"auto_top_up": {"below_minor": 500, "amount_minor": 1000}}


class Payer:
    """A customer with an e-mail address, a card and a wallet."""

    def __init__(self, platform, tenant):
        self.platform, self.tenant = platform, tenant
        self.shop = Shop(platform, tenant)
        self.purse = Purse(platform, tenant)

    async def open(self, card="", **fields):
        """Make the customer, attach the card, open the wallet."""
        body = {"name": "Ada", "email": "ada@example.com", "external_id": "ada"}
        customer = await self.purse.send("POST", "/v1/customers", body, expect=201)
        self.customer = self.purse.customer = customer["id"]
        if card:
            path = f"/v1/payment_methods/{card}/attach"
            await self.shop.make(path, {"customer": self.customer})
        await self.purse.open(**fields)
        return self

    async def rows(self, query):
        """Ask the database about the tenant, $1."""
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        try:
            return await connection.fetch(query, self.tenant)
        finally:
            await connection.close()

    async def asked(self):
        """Return the states of the payments that the wallet asked for."""
        rows = await self.rows("SELECT state FROM billing_core.auto_top_ups WHERE tenant_id = $1")
        return sorted(row["state"] for row in rows)

    async def intents(self):
        """Return the states of all payment intents."""
        page = await self.shop.get(f"/v1/payment_intents?customer={self.customer}")
        return [item["status"] for item in page["data"]]

    async def has(self, posted):
        """True once the wallet holds so much."""
        return (await self.purse.balance())[0] == posted
