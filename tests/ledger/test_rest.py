"""REST of ledger."""

import asyncio

import pytest

from tests.ledger.books import Books, legs


async def test_a_transaction_moves_money_and_tells_the_balances_after_it(platform):
    books = Books(platform, "ten_ledger_move")
    cash = await books.open("cash", "asset")
    revenue = await books.open("revenue", "income")
    made = await books.move(revenue, cash, 1_250, description="a sale", metadata={"order": "7"})
    assert made["state"] == "posted"
    assert made["posted_at"] == made["recorded_at"]
    assert {item["account_id"]: item["balance_minor"] for item in made["balances"]} == {
        cash: 1_250,
        revenue: 1_250,
    }
    found = await books.send("GET", f"/transactions/{made['id']}", expect=200)
    assert found == {**made, "balances": None}
    assert await books.balance(cash) == (1_250, 0, 0)


async def test_the_kept_paths_take_and_answer_what_they_always_did(platform):
    headers = platform.headers("ten_ledger_kept")
    body = {"name": "cash", "type": "asset", "currency": "EUR", "allow_negative": True}
    made = []
    for port in (8080, 8083):
        account = await platform.request(
            "POST", "/ledger/accounts", json=body, headers=headers, expect=201, port=port
        )
        made.append(account["id"])
    body = {"postings": legs(*made, 5), "currency_code": "EUR", "external_id": "older-1"}
    recorded = await platform.request(
        "POST", "/ledger/transactions", json=body, headers=headers, expect=201, port=8083
    )
    assert {"id", "state", "postings", "posted_at"} <= recorded.keys()
    account = await platform.request(
        "GET", f"/ledger/accounts/{made[1]}", headers=headers, expect=200
    )
    wanted = {"id", "name", "type", "currency", "balance_minor", "pending_minor"}
    assert wanted | {"available_minor", "entry_count", "created_at"} <= account.keys()
    assert (account["balance_minor"], account["entry_count"]) == (5, 1)
    page = await platform.request("GET", "/ledger/transactions", headers=headers, expect=200)
    assert [item["id"] for item in page["data"]] == [recorded["id"]]
    page = await platform.request("GET", "/ledger/accounts", headers=headers, expect=200)
    assert {item["id"] for item in page["data"]} == set(made)


async def test_an_account_is_called_by_the_id_that_it_was_imported_with(platform):
    books = Books(platform, "ten_ledger_names")
    await books.open("a", external_id="till-1", allow_negative=True)
    await books.open("b", external_id="till-2")
    made = await books.move("till-1", "till-2", 9, external_id="sale-1")
    assert (await books.send("GET", "/accounts/till-2", expect=200))["balance_minor"] == 9
    assert (await books.send("GET", "/transactions/sale-1", expect=200))["id"] == made["id"]
    again = {"name": "c", "type": "asset", "currency": "EUR", "external_id": "till-1"}
    problem = await books.send("POST", "/accounts", again, expect=409)
    assert (problem["reason"], problem["field"]) == ("EXTERNAL_ID_REUSED", "/external_id")


@pytest.mark.parametrize(
    ("change", "status", "reason", "field"),
    [
        ({"amount": 6}, 422, "TRANSACTION_UNBALANCED", "/postings"),
        ({"account_id": "acc_none"}, 422, "ACCOUNT_UNKNOWN", "/postings/0/account_id"),
        ({"amount": 0}, 422, "FIELD_INVALID", "/postings/0/amount_minor"),
        ({"amount": -5}, 422, "FIELD_INVALID", "/postings/0/amount_minor"),
        ({"amount": 2**53}, 422, "FIELD_INVALID", "/postings/0/amount_minor"),
        ({"amount": 5.0}, 422, "FIELD_INVALID", "/postings/0/amount_minor"),
        ({"direction": "up"}, 422, "FIELD_INVALID", "/postings/0/direction"),
        ({"currency_code": "USD"}, 422, "CURRENCY_MISMATCH", "/postings/0/account_id"),
        ({"note": "x"}, 422, "FIELD_UNKNOWN", "/postings/0/note"),
    ],
)
async def test_a_bad_posting_is_refused_by_its_field_and_nothing_is_stored(
    platform, change, status, reason, field
):
    books = Books(platform, "ten_ledger_bad")
    source, target = await books.pair()
    body = {"postings": legs(source, target, 5), "currency_code": "EUR"}
    change = {("amount_minor" if name == "amount" else name): item for name, item in change.items()}
    body["postings"][0] |= change
    problem = await books.send("POST", "/transactions", body, expect=status)
    assert (problem["reason"], problem["field"]) == (reason, field)
    assert await books.balance(target) == (0, 0, 0)


async def test_an_account_falls_below_zero_only_as_far_as_it_may(platform):
    books = Books(platform, "ten_ledger_limits")
    other = await books.open("other", allow_negative=True)
    strict = await books.open("strict")
    limited = await books.open("limited", credit_limit_minor=100)
    for account, room in ((strict, 0), (limited, 100)):
        await books.move(other, account, 50)
        problem = await books.move(account, other, 51 + room, expect=409)
        assert problem["reason"] == "INSUFFICIENT_FUNDS"
        assert problem["metadata"] == {"id": account}
        await books.move(account, other, 50 + room)
        assert await books.balance(account) == (-room, 0, 0)


async def test_a_hold_reserves_and_is_committed_in_parts(platform):
    books = Books(platform, "ten_ledger_holds")
    source, target = await books.open("wallet"), await books.open("shop")
    funding = await books.open("funding", allow_negative=True)
    await books.move(funding, source, 100)
    hold = await books.move(source, target, 80, pending=True)
    assert (hold["state"], hold["posted_at"], hold["remaining_minor"]) == ("pending", None, 80)
    assert await books.balance(source) == (100, 0, 80)
    assert await books.balance(target) == (0, 80, 0)
    refused = await books.move(source, funding, 21, expect=409)
    assert refused["reason"] == "INSUFFICIENT_FUNDS"
    path = f"/transactions/{hold['id']}"
    part = await books.send("POST", f"{path}:commit", {"amount_minor": 30}, expect=200)
    assert (part["state"], part["committed_minor"], part["remaining_minor"]) == ("pending", 30, 50)
    assert await books.balance(source) == (70, 0, 50)
    over = await books.send("POST", f"{path}:commit", {"amount_minor": 51}, expect=409)
    assert over["reason"] == "HOLD_EXCEEDED"
    last = {"amount_minor": 20, "final": True}
    done = await books.send("POST", f"{path}:commit", last, expect=200)
    assert (done["state"], done["committed_minor"], done["remaining_minor"]) == ("posted", 50, 0)
    assert await books.balance(source) == (50, 0, 0)
    assert await books.balance(target) == (50, 0, 0)
    for verb in ("commit", "release"):
        problem = await books.send("POST", f"{path}:{verb}", expect=409)
        assert problem["reason"] == "HOLD_CLOSED"
    posted = (await books.send("GET", f"/transactions?parent_id={hold['id']}", expect=200))["data"]
    assert [item["postings"][0]["amount_minor"] for item in posted] == [20, 30]


async def test_a_released_hold_gives_back_what_it_reserved_and_is_not_committed(platform):
    books = Books(platform, "ten_ledger_release")
    source, target = await books.pair()
    hold = await books.move(source, target, 80, pending=True)
    path = f"/transactions/{hold['id']}"
    await books.send("POST", f"{path}:commit", {"amount_minor": 5}, expect=200)
    released = await books.send("POST", f"{path}:release", expect=200)
    assert (released["state"], released["committed_minor"]) == ("voided", 5)
    assert await books.balance(source) == (-5, 0, 0)
    assert await books.balance(target) == (5, 0, 0)
    problem = await books.send("POST", f"{path}:commit", expect=409)
    assert problem["reason"] == "HOLD_CLOSED"
    plain = await books.move(source, target, 1)
    problem = await books.send("POST", f"/transactions/{plain['id']}:release", expect=409)
    assert problem["reason"] == "NOT_A_HOLD"


async def test_a_hold_of_many_legs_is_committed_whole(platform):
    books = Books(platform, "ten_ledger_legs")
    source, target = await books.pair()
    fees = await books.open("fees", "expense")
    body = {
        "postings": [
            legs(source, target, 80)[1],
            {"account_id": target, "direction": "debit", "amount_minor": 70},
            {"account_id": fees, "direction": "debit", "amount_minor": 10},
        ],
        "currency_code": "EUR",
        "pending": True,
    }
    hold = await books.send("POST", "/transactions", body, expect=201)
    path = f"/transactions/{hold['id']}:commit"
    problem = await books.send("POST", path, {"amount_minor": 40}, expect=409)
    assert problem["reason"] == "HOLD_INDIVISIBLE"
    await books.send("POST", path, expect=200)
    assert await books.balance(source) == (-80, 0, 0)
    assert await books.balance(fees) == (10, 0, 0)


async def test_a_transaction_is_reversed_once_and_a_reversal_never(platform):
    books = Books(platform, "ten_ledger_reverse")
    source, target = await books.pair()
    made = await books.move(source, target, 40)
    path = f"/transactions/{made['id']}:reverse"
    undone = await books.send("POST", path, {"description": "wrong"}, expect=201)
    assert (undone["parent_id"], undone["description"]) == (made["id"], "wrong")
    assert await books.balance(source) == (0, 0, 0)
    problem = await books.send("POST", path, expect=409)
    assert problem["reason"] == "ALREADY_REVERSED"
    problem = await books.send("POST", f"/transactions/{undone['id']}:reverse", expect=409)
    assert problem["reason"] == "NOT_REVERSIBLE"
    again = await books.move(source, target, 40)
    answers = await asyncio.gather(
        *(books.send("POST", f"/transactions/{again['id']}:reverse") for _ in range(8))
    )
    assert sum("postings" in answer for answer in answers) == 1


async def test_currencies_balance_each_and_name_the_rate_between_them(platform):
    books = Books(platform, "ten_ledger_fx")
    euros, clearing_eur = await books.pair("EUR")
    clearing_usd, dollars = await books.pair("USD")
    postings = legs(euros, clearing_eur, 100)
    postings += [{**leg, "currency_code": "USD"} for leg in legs(clearing_usd, dollars, 108)]
    body = {"postings": postings, "currency_code": "EUR"}
    problem = await books.send("POST", "/transactions", body, expect=422)
    assert (problem["reason"], problem["field"]) == ("FIELD_REQUIRED", "/rate_id")
    body["rate_id"] = "rate_1"
    postings[3]["amount_minor"] = 107
    problem = await books.send("POST", "/transactions", body, expect=422)
    assert problem["reason"] == "TRANSACTION_UNBALANCED"
    assert problem["metadata"] == {"USD": 1}
    postings[3]["amount_minor"] = 108
    made = await books.send("POST", "/transactions", body, expect=201)
    assert made["rate_id"] == "rate_1"
    assert await books.balance(dollars) == (108, 0, 0)


async def test_an_external_id_names_one_transaction_however_often_it_comes(platform):
    books = Books(platform, "ten_ledger_external")
    source, target = await books.pair()
    made = await asyncio.gather(
        *(books.move(source, target, 40, external_id="evt_1", description=str(n)) for n in range(9))
    )
    assert len({item["id"] for item in made}) == 1
    assert await books.balance(target) == (40, 0, 0)
    problem = await books.move(source, target, 41, external_id="evt_1", expect=409)
    assert problem["reason"] == "EXTERNAL_ID_REUSED"


async def test_fifty_calls_with_one_key_have_one_effect_and_one_answer(platform):
    books = Books(platform, "ten_ledger_key")
    source, target = await books.pair()
    made = await asyncio.gather(*(books.move(source, target, 7, key="k-1") for _ in range(50)))
    assert all(item == made[0] for item in made)
    assert await books.balance(target) == (7, 0, 0)
    problem = await books.move(source, target, 8, key="k-1", expect=422)
    assert problem["reason"] == "IDEMPOTENCY_KEY_REUSED"
    refused = [await books.move(source, "none", 8, key="k-2", expect=422) for _ in range(2)]
    assert refused[0] == refused[1]


async def test_a_balance_is_told_as_it_stood_and_entries_tell_each_step(platform):
    books = Books(platform, "ten_ledger_at")
    source, target = await books.pair()
    made = [await books.move(source, target, amount) for amount in (1, 2, 4)]
    at = [item["recorded_at"] for item in made]
    assert [await books.balance(target, instant) for instant in at] == [
        (1, 0, 0),
        (3, 0, 0),
        (7, 0, 0),
    ]
    assert await books.balance(target, "2020-01-01T00:00:00Z") == (0, 0, 0)
    path = f"/accounts/{target}/entries?limit=2"
    page = await books.send("GET", path, expect=200)
    assert [entry["balance_minor"] for entry in page["data"]] == [7, 3]
    page = await books.send("GET", f"{path}&cursor={page['next_cursor']}", expect=200)
    assert [entry["balance_minor"] for entry in page["data"]] == [1]
    assert page["next_cursor"] is None
    page = await books.send("GET", f"/accounts/{target}/entries?order=asc", expect=200)
    assert [entry["number"] for entry in page["data"]] == [1, 2, 3]


async def test_modes_have_books_of_their_own(platform):
    books = Books(platform, "ten_ledger_modes")
    live = Books(platform, "ten_ledger_modes", livemode=True)
    source, target = await books.pair()
    problem = await live.move(source, target, 5, expect=422)
    assert problem["reason"] == "ACCOUNT_UNKNOWN"
    problem = await live.send("GET", f"/accounts/{source}", expect=404)
    assert problem["reason"] == "ACCOUNT_NOT_FOUND"
    made = await books.move(source, target, 5)
    for verb in ("commit", "release", "reverse"):
        problem = await live.send("POST", f"/transactions/{made['id']}:{verb}", expect=404)
        assert problem["reason"] == "TRANSACTION_NOT_FOUND"
