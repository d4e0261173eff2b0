"""A developer who bills one-off work."""

from io import BytesIO

from pypdf import PdfReader

SELLER = {
    "seller": {
        "name": "Skyport Handling GmbH",
        "address": {"line1": "Kärntner Ring 12", "postal_code": "1010", "city": "Wien"},
        "tax_id": "ATU12345675",
        "footer": "Payable within 30 days.",
    },
    "prefix": "SKY-",
    "payment_terms_days": 30,
}


class Client:
    """A developer of one tenant."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant

    async def send(self, method, path, expect=200, livemode=False, headers=None, **options):
        own = self.platform.headers(self.tenant, livemode=livemode)
        return await self.platform.request(
            method, path, headers={**own, **(headers or {})}, expect=expect, **options
        )

    async def customer(self, **values):
        body = {"name": "Alpenglow KG", "address": {"country": "AT"}, **values}
        return (await self.send("POST", "/v1/customers", 201, json=body))["id"]

    async def create(self, expect=201, headers=None, **values):
        if "customer_id" not in values:
            values["customer_id"] = await self.customer()
        values.setdefault("currency_code", "EUR")
        values.setdefault("lines", [{"description": "Work", "unit_amount": "100.00"}])
        return await self.send("POST", "/v1/invoices", expect, json=values, headers=headers)

    async def final(self, **values):
        made = await self.create(**values)
        return await self.send("POST", f"/v1/invoices/{made['id']}:finalize")

    async def pdf(self, invoice_id, query=""):
        url = self.platform.url(f"/v1/invoices/{invoice_id}/pdf{query}", 8003)
        headers = self.platform.headers(self.tenant)
        async with self.platform.http.get(url, headers=headers) as answer:
            content = await answer.read()
            assert answer.status == 200, content
            assert answer.content_type == "application/pdf"
        pages = PdfReader(BytesIO(content)).pages
        return " ".join(" ".join(page.extract_text().split()) for page in pages)

    async def file(self, path):
        """Return a file, byte for byte."""
        headers = self.platform.headers(self.tenant)
        async with self.platform.http.get(self.platform.url(path, 8003), headers=headers) as answer:
            content = await answer.read()
            assert answer.status == 200, content
            return content
