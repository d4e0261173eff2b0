"""What tests of billing_core open, fill and spend."""

import itertools

_NUMBERS = itertools.count()


class Purse:
    """One customer's wallets of one tenant, over REST."""

    def __init__(self, platform, tenant, *, livemode=False):
        self.platform = platform
        self.tenant = tenant
        self.headers = platform.headers(tenant, livemode=livemode)
        self.customer = f"customer-{next(_NUMBERS)}"
        self.id = ""

    async def send(self, method, path, body=None, *, expect=200, key=None):
        """Send a request."""
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return await self.platform.request(method, path, json=body, headers=headers, expect=expect)

    async def open(self, currency="EUR", **fields):
        """Open a wallet; the requests below are of the last one opened."""
        body = {"customer_id": self.customer, "currency_code": currency, **fields}
        made = await self.send("POST", "/v1/wallets", body, expect=201)
        self.id = made["id"]
        return made

    async def act(self, verb, *, expect=200, key=None, wallet=None, **body):
        """Do something to the wallet."""
        path = f"/v1/wallets/{wallet or self.id}:{verb}"
        return await self.send("POST", path, body, expect=expect, key=key)

    async def top_up(self, amount, **options):
        """Add money by hand."""
        return await self.act("top_up", amount_minor=amount, manual_reason="cash", **options)

    async def grant(self, amount, kind="promotional", **options):
        """Add credit."""
        return await self.act("grant", amount_minor=amount, kind=kind, **options)

    async def charge(self, amount, **options):
        """Take money."""
        return await self.act("charge", amount_minor=amount, **options)

    async def reserve(self, amount, *, expect=201, **options):
        """Set money aside; return the answer."""
        return await self.act("reserve", amount_minor=amount, expect=expect, **options)

    async def close(self, reservation, verb, *, expect=200, key=None, **body):
        """Commit or release a reservation."""
        path = f"/v1/reservations/{reservation}:{verb}"
        return await self.send("POST", path, body or None, expect=expect, key=key)

    async def balance(self, wallet=None):
        """Return posted, reserved, available."""
        found = (await self.send("GET", f"/v1/wallets/{wallet or self.id}"))["balance"]
        return found["posted_minor"], found["reserved_minor"], found["available_minor"]

    async def credits(self):
        """Return what is left of each credit, in the order of use."""
        found = await self.send("GET", f"/v1/wallets/{self.id}")
        return [item["remaining_minor"] for item in found["balance"]["credits"]]

    async def account(self, name, expect=200):
        """Return the balance of an account of the ledger, none for one that is not there."""
        found = await self.send("GET", f"/v1/ledger/accounts/{name}", expect=expect)
        return found.get("balance_minor")

    async def books(self):
        """Return posted and reserved as the ledger has them."""
        found = await self.send("GET", f"/v1/ledger/accounts/wallet:{self.id}")
        return found["balance_minor"], found["pending_out_minor"]
