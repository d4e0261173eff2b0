"""REST of billing_core."""

from tests.billing_core.purse import Purse


async def test_money_is_added_set_aside_taken_in_parts_and_freed(platform):
    purse = Purse(platform, "ten_bc_rest")
    made = await purse.open()
    assert (made["state"], made["customer_id"]) == ("active", purse.customer)
    topped = await purse.top_up(1000, reference="r-1")
    assert topped["operation"]["kind"] == "top_up"
    assert topped["balance"]["available_minor"] == 1000
    held = (await purse.reserve(600))["reservation"]
    assert await purse.balance() == (1000, 600, 400)
    assert await purse.books() == (1000, 600)
    first = await purse.close(held["id"], "commit", amount_minor=250)
    assert first["reservation"]["remaining_minor"] == 350
    assert first["operation"]["amount_minor"] == -250
    assert await purse.balance() == (750, 350, 400)
    last = await purse.close(held["id"], "commit", amount_minor=100, final=True)
    assert last["reservation"]["state"] == "committed"
    assert await purse.balance() == (650, 0, 650)
    assert await purse.books() == (650, 0)
    other = (await purse.reserve(650))["reservation"]
    freed = await purse.close(other["id"], "release")
    assert (freed["released_minor"], freed["reservation"]["state"]) == (650, "released")
    assert await purse.balance() == (650, 0, 650)
    assert await purse.account("revenue:EUR") == 350
    assert await purse.account("cash:manual:EUR") == 1000
