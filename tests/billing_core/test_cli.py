"""`billplane wallet` and `billplane customer credit` beside the platform."""

import json

from tests.cli.test_with_the_platform import billplane


async def test_a_wallet_is_opened_filled_and_spent_from_the_command_line(platform):
    tenant = "ten_bc_cli"
    key = {"BILLPLANE_API_KEY": platform.token(tenant)}
    url = platform.url("")

    async def run(*arguments, code=0):
        done = await billplane(url, *arguments, **key)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    options = ("--low-balance", "5", "--fill-below", "1", "--fill-by", "20", "-o", "json")
    opened = json.loads(await run("wallet", "open", "c-1", "EUR", *options))
    assert opened["low_balance_minor"] == 500
    assert opened["auto_top_up"] == {"below_minor": 100, "amount_minor": 2000}
    wallet = opened["id"]
    await run("wallet", "top-up", wallet, "50", "--reason", "bank transfer")
    credit = ("customer", "credit", "c-1", "25", "--currency", "EUR")
    given = json.loads(await run(*credit, "--priority", "3", "-o", "json"))
    assert (given["credit"]["remaining_minor"], given["credit"]["priority"]) == (2500, 3)
    await run("wallet", "charge", wallet, "27.30", "--reference", "job-7")
    shown = await run("wallet", "show", wallet)
    assert "47.70 EUR" in shown
    assert "47.70 EUR" in await run("wallet", "list", "--customer", "c-1")
    listed = await run("wallet", "operations", wallet)
    assert "-27.30 EUR" in listed
    assert "job-7" in listed
    refused = await run("wallet", "charge", wallet, "100", code=6)
    assert "INSUFFICIENT_BALANCE" in refused
    assert "no amount of EUR" in await run("wallet", "charge", wallet, "1.005", code=2)
