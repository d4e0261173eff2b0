"""The provider JSON API: sessions, accounts, bills, well-known users, faults."""

import asyncio
import time
from datetime import timedelta
from decimal import Decimal

import pytest

PASSWORD = "password"


async def test_a_customer_logs_in_and_reads_bills_that_add_up(utility):
    token = await utility.log_in()
    accounts = (await utility.ask("GET", "/v1/accounts", token=token))["accounts"]
    assert [item["id"] for item in accounts] == ["acc-2-1", "acc-2-2"]
    bills = (await utility.bills("acc-2-1", token))["bills"]
    assert len(bills) > 30
    for bill in bills:
        assert sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["total"])
        assert bill["statement_date"] <= "2026-07-01"


async def test_pages_hold_every_bill_once_in_the_order_they_were_sent(utility):
    token = await utility.log_in()
    whole = (await utility.bills("acc-2-1", token))["bills"]
    paged, cursor = [], ""
    while cursor is not None:
        page = await utility.bills("acc-2-1", token, f"limit=7&cursor={cursor}")
        paged += page["bills"]
        cursor = page["next_cursor"]
    assert paged == whole
    assert [bill["statement_date"] for bill in whole] == sorted(
        bill["statement_date"] for bill in whole
    )


async def test_since_leaves_out_what_was_sent_before(utility):
    token = await utility.log_in()
    whole = (await utility.bills("acc-2-1", token))["bills"]
    day = whole[10]["statement_date"]
    later = (await utility.bills("acc-2-1", token, f"limit=100&since={day}"))["bills"]
    assert later == [bill for bill in whole if bill["statement_date"] >= day]


async def test_next_months_bill_comes_when_its_day_has_come(utility):
    token = await utility.log_in()
    before = (await utility.bills("acc-2-1", token))["bills"]
    utility.clock.advance(timedelta(days=62))
    after = (await utility.bills("acc-2-1", await utility.log_in()))["bills"]
    assert after[: len(before)] == before
    assert len(after) > len(before)


async def test_the_same_seed_serves_the_same_everywhere_and_another_does_not(run_utility):
    found = []
    for seed in (5, 5, 6):
        async with run_utility(seed=seed) as utility:
            found.append(await utility.bills("acc-2-1", await utility.log_in()))
    assert found[0] == found[1]
    assert found[0] != found[2]


async def test_a_customer_sees_no_others_account(utility):
    token = await utility.log_in()
    for account in ("acc-1-1", "acc-999-1", "nonsense"):
        refused = await utility.ask("GET", f"/v1/accounts/{account}/bills", token=token, expect=404)
        assert refused["error"] == "not_found"


@pytest.mark.parametrize(
    ("username", "password"),
    [("customer-2@x", "password-3"), ("customer-101@x", "password-101"), ("locked@x", "wrong")],
)
async def test_wrong_credentials_are_refused_alike(utility, username, password):
    body = {"username": username, "password": password}
    refused = await utility.ask("POST", "/v1/session", json=body, expect=401)
    assert refused["error"] == "credentials_invalid"


async def test_a_session_is_needed_and_ends(utility):
    for token in ("", "nonsense", "e30.0", "WyJhIl0.ff"):
        refused = await utility.ask("GET", "/v1/accounts", token=token, expect=401)
        assert refused["error"] == "token_invalid"
    token = await utility.log_in()
    utility.clock.advance(timedelta(seconds=900))
    refused = await utility.ask("GET", "/v1/accounts", token=token, expect=401)
    assert refused["error"] == "token_expired"


async def test_mfa_asks_for_a_code_before_the_session(utility):
    body = {"username": "mfa@x", "password": PASSWORD}
    asked = await utility.ask("POST", "/v1/session", json=body, expect=403)
    assert (asked["error"], asked["mfa"]["channel"]) == ("mfa_required", "sms")
    answer = {"challenge": asked["mfa"]["challenge"], "code": "000000"}
    await utility.ask("POST", "/v1/session/mfa", json=answer, expect=401)
    done = await utility.ask("POST", "/v1/session/mfa", json=answer | {"code": "123456"})
    assert (await utility.ask("GET", "/v1/accounts", token=done["token"]))["accounts"]
    challenge = {"challenge": done["token"], "code": "123456"}
    await utility.ask("POST", "/v1/session/mfa", json=challenge, expect=401)
    refused = await utility.ask("GET", "/v1/accounts", token=asked["mfa"]["challenge"], expect=401)
    assert refused["error"] == "token_invalid"


async def test_the_other_well_known_users_behave_as_their_names_say(utility):
    body = {"username": "locked@x", "password": PASSWORD}
    refused = await utility.ask("POST", "/v1/session", json=body, expect=403)
    assert (refused["error"], "mfa" in refused) == ("account_locked", False)
    token = await utility.log_in("expired@x", PASSWORD)
    refused = await utility.ask("GET", "/v1/accounts", token=token, expect=401)
    assert refused["error"] == "token_expired"
    started = time.monotonic()
    token = await utility.log_in("slow@x", PASSWORD)
    await utility.ask("GET", "/v1/accounts", token=token)
    assert time.monotonic() - started > 0.8
    token = await utility.log_in("malformed@x", PASSWORD)
    async with utility.http.get(
        f"{utility.url}/v1/accounts", headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        assert answer.status == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            await answer.json()


async def test_too_many_requests_are_told_to_wait_and_others_are_not(run_utility):
    async with run_utility(requests_per_second=3) as utility:
        mine, theirs = await utility.log_in(), await utility.log_in("customer-1@x", "password-1")
        for _ in range(3):
            await utility.ask("GET", "/v1/accounts", token=mine)
        async with utility.http.get(
            f"{utility.url}/v1/accounts", headers={"Authorization": f"Bearer {mine}"}
        ) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert (await answer.json())["error"] == "too_many_requests"
        await utility.ask("GET", "/v1/accounts", token=theirs)
        utility.clock.advance(timedelta(seconds=1))
        await utility.ask("GET", "/v1/accounts", token=mine)


async def test_the_error_rate_fails_that_share_of_requests_and_never_health(run_utility):
    async with run_utility(error_rate="0.3", requests_per_second=1000) as utility:

        async def status(path):
            async with utility.http.get(utility.url + path) as answer:
                return answer.status

        found = [await status("/v1/accounts") for _ in range(200)]
        assert 30 < found.count(503) < 90
        assert found.count(401) == 200 - found.count(503)
        assert {await status("/health") for _ in range(50)} == {200}


async def test_latency_delays_every_answer(run_utility):
    async with run_utility(latency="150ms") as utility:
        started = time.monotonic()
        await utility.ask("GET", "/health")
        assert time.monotonic() - started > 0.15


async def test_a_fault_strikes_as_often_as_it_was_told_and_can_be_cleared(utility):
    fault = {"kind": "error", "path": "/health", "count": 2, "status": 502}
    listed = await utility.ask("POST", "/simulator/faults", json=fault, expect=201)
    assert [item["kind"] for item in listed["faults"]] == ["error"]
    for expected in (502, 502, 200):
        await utility.ask("GET", "/health", expect=expected)
    await utility.ask("POST", "/simulator/faults", json=fault | {"count": None}, expect=201)
    await utility.ask("GET", "/health", expect=502)
    await utility.ask("DELETE", "/simulator/faults", expect=204)
    await utility.ask("GET", "/health")
    assert (await utility.ask("GET", "/simulator/faults"))["faults"] == []


async def test_each_kind_of_fault_is_what_it_says(utility):
    token = await utility.log_in()

    async def with_fault(**fault):
        await utility.ask("DELETE", "/simulator/faults", expect=204)
        await utility.ask("POST", "/simulator/faults", json=fault, expect=201)

    await with_fault(kind="rate_limit", retry_after_seconds=7)
    async with utility.http.get(f"{utility.url}/v1/accounts") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    await with_fault(kind="expired_token")
    refused = await utility.ask("GET", "/v1/accounts", token=token, expect=401)
    assert refused["error"] == "token_expired"
    await with_fault(kind="mfa", path="/v1/session")
    body = {"username": "customer-2@x", "password": "password-2"}
    await utility.ask("POST", "/v1/session", json=body, expect=403)
    await with_fault(kind="malformed")
    async with utility.http.get(
        f"{utility.url}/v1/accounts", headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        assert not (await answer.text()).endswith("}")
    await with_fault(kind="latency", milliseconds=200)
    started = time.monotonic()
    await utility.ask("GET", "/v1/accounts", token=token)
    assert time.monotonic() - started > 0.2


async def test_the_pods_own_probes_pass_whatever_goes_wrong_on_purpose(utility):
    fault = {"kind": "error", "path": "/"}
    await utility.ask("POST", "/simulator/faults", json=fault, expect=201)
    await utility.ask("GET", "/health", expect=503)
    for path in ("/health/live", "/health/ready"):
        await utility.ask("GET", path)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/session", {"username": 5, "password": "x"}, 422),
        ("POST", "/v1/session", {"username": "a@x", "password": "x", "more": 1}, 422),
        ("POST", "/v1/session", [], 422),
        ("POST", "/simulator/faults", {"kind": "fire"}, 422),
        ("POST", "/simulator/faults", {"kind": "error", "status": 200}, 422),
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/accounts", None, 405),
    ],
)
async def test_bad_requests_are_told_what_is_wrong(utility, method, path, body, status):
    refused = await utility.ask(method, path, json=body, expect=status)
    assert refused["error"]
    assert refused["detail"]


async def test_bad_queries_and_long_bodies_are_refused(utility):
    token = await utility.log_in()
    for query in ("since=yesterday", "limit=0", "limit=101", "cursor=%00", "cursor=eHh4"):
        await utility.ask("GET", f"/v1/accounts/acc-2-1/bills?{query}", token=token, expect=422)
    await utility.ask("POST", "/v1/session", data=b"x" * 70_000, expect=422)


async def test_many_ask_at_once(run_utility):
    async with run_utility(requests_per_second=1000) as utility:
        token = await utility.log_in()
        pages = await asyncio.gather(
            *(utility.bills("acc-2-1", token, "limit=12") for _ in range(40))
        )
        assert all(page == pages[0] for page in pages)
