"""REST of tax."""

BODY = {
    "customer": {"customer_id": "c1", "country": "DE", "tax_type": "consumer"},
    "currency_code": "EUR",
    "lines": [{"line_id": "1", "amount_minor": 10_000, "tax_on": "2026-01-31"}],
}


async def test_a_calculation_is_recorded_and_read_back(platform):
    made = await platform.request("POST", "/v1/tax_calculations", json=BODY, port=8001, expect=201)
    assert (made["net_minor"], made["tax_minor"], made["total_minor"]) == (10_000, 1_900, 11_900)
    read = await platform.request("GET", f"/v1/tax_calculations/{made['id']}", expect=200)
    assert read == made
