"""`billplane payment` and `billplane refund`."""

import json

from tests.cli.test_with_the_platform import billplane


async def test_a_payment_is_made_captured_and_given_back(shop):
    url = shop.platform.url("")
    key = {"BILLPLANE_API_KEY": shop.platform.token(shop.tenant)}

    async def run(*arguments):
        done = await billplane(url, *arguments, "--output", "json", **key)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    held = await run("payment", "create", "12.50", "EUR", "--method", "pm_card_visa", "--hold")
    assert (held["status"], held["amount"]) == ("requires_capture", 1250)
    taken = await run("payment", "capture", held["id"], "10")
    assert (taken["status"], taken["amount_received"]) == ("succeeded", 1000)
    refund = await run("refund", "create", held["id"], "2.50")
    assert (refund["status"], refund["amount"]) == ("succeeded", 250)
    tried = await run("payment", "attempts", held["id"])
    assert [item["kind"] for item in tried] == ["confirm", "capture", "refund"]
    assert [item["id"] for item in await run("refund", "list", "--payment", held["id"])] == [
        refund["id"]
    ]
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    refused = await billplane(url, "payment", "create", "1", "EUR", "--method", card, **key)
    assert refused.returncode != 0
    assert "insufficient" in refused.stderr
    listed = await billplane(url, "payment", "list", **key)
    assert "10.00" in listed.stdout
