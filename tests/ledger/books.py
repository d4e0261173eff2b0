"""What tests of ledger open and record."""


class Books:
    """One tenant's books over REST."""

    def __init__(self, platform, tenant, *, livemode=False):
        self.platform = platform
        self.tenant = tenant
        self.headers = platform.headers(tenant, livemode=livemode)

    async def send(self, method, path, body=None, *, expect=None, key=None):
        """Send a request to a path below /v1/ledger."""
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return await self.platform.request(
            method, f"/v1/ledger{path}", json=body, headers=headers, expect=expect
        )

    async def open(self, name="cash", kind="asset", currency="EUR", **fields):
        """Open an account and return its id."""
        body = {"name": name, "type": kind, "currency": currency, **fields}
        return (await self.send("POST", "/accounts", body, expect=201))["id"]

    async def pair(self, currency="EUR", **fields):
        """Open an account that pays and one that is paid, neither with a limit."""
        options = {"allow_negative": True, **fields}
        first = await self.open("from", "asset", currency, **options)
        return first, await self.open("to", "asset", currency, allow_negative=True)

    async def move(self, source, target, amount, *, expect=201, key=None, **fields):
        """Move money between two asset accounts."""
        body = {"postings": legs(source, target, amount), "currency_code": "EUR", **fields}
        return await self.send("POST", "/transactions", body, expect=expect, key=key)

    async def balance(self, account, at=None):
        """Return posted, pending in, pending out."""
        query = f"?at={at}" if at else ""
        found = await self.send("GET", f"/accounts/{account}/balance{query}", expect=200)
        return found["balance_minor"], found["pending_in_minor"], found["pending_out_minor"]


def legs(source, target, amount):
    """Return the postings that move money between two asset accounts."""
    return [
        {"account_id": target, "direction": "debit", "amount_minor": amount},
        {"account_id": source, "direction": "credit", "amount_minor": amount},
    ]
