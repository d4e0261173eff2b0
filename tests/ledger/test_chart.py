"""The chart of accounts: opened when it is named, and nothing else under its names."""

import asyncio

import pytest
from billplane.chassis.errors import Invalid
from billplane.ledger.domain import CHART, Fact, chart_account, check_chart, fact_postings
from billplane.ledger.domain.facts import EXAMPLES
from billplane.protos.ledger.v1 import ledger_pb2 as pb
from billplane.protos.ledger.v1 import ledger_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.books import Books

GOOD = {
    "receivables:EUR": "asset",
    "cash:stripe:JPY": "asset",
    "revenue:USD": "income",
    "deferred_revenue:EUR": "liability",
    "tax_payable:US-NY:USD": "liability",
    "unapplied_payments:EUR": "liability",
    "promotions:EUR": "expense",
    "fx_clearing:KWD": "asset",
    "adjustments:EUR": "equity",
}
BAD = [
    "receivables", "receivables:", "receivables:eur", "receivables:XAU", "receivables:EUR:EUR",
    "cash:EUR", "cash::EUR", "tax_payable:DE", "Receivables:EUR", "wallet:wal_1", "other:EUR", "",
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), GOOD.items())
def test_a_name_of_the_chart_says_type_and_currency(name, kind):
    account = chart_account(name)
    assert (account.external_id, account.type) == (name, kind)
    assert account.currency_code == name[-3:]


@pytest.mark.parametrize("name", BAD)
def test_other_names_open_nothing(name):
    assert chart_account(name) is None


@pytest.mark.parametrize(
    ("name", "kind", "currency", "negative"),
    [
        ("receivables:EUR", "liability", "EUR", True),
        ("receivables:EUR", "asset", "USD", True),
        ("receivables:EUR", "asset", "EUR", False),
        ("cash:EUR", "asset", "EUR", True),
        ("wallet:wal_1", "asset", "EUR", False),
    ],
)
def test_an_account_with_a_name_of_the_chart_is_what_the_chart_says(name, kind, currency, negative):
    with pytest.raises(Invalid) as refused:
        check_chart(name, kind, currency, negative)
    assert refused.value.errors[0].reason == "CHART_ACCOUNT_DIFFERS"


def test_what_the_chart_says_may_be_opened_by_hand_and_wallets_with_a_limit():
    check_chart("receivables:EUR", "asset", "EUR", True)
    check_chart("wallet:wal_1", "liability", "EUR", False)
    check_chart("till:1", "asset", "EUR", False)
    check_chart("receivables", "liability", "EUR", False)


@pytest.mark.parametrize("title", EXAMPLES)
def test_every_posting_of_a_fact_is_on_the_chart_and_balances(title):
    legs = fact_postings(EXAMPLES[title])
    assert {leg.account.partition(":")[0] for leg in legs} <= set(CHART)
    assert _difference(legs) == 0


@given(
    title=st.sampled_from(sorted(EXAMPLES)),
    amount=st.integers(-(10**12), 10**12),
    net=st.integers(-(10**12), 10**12),
    fee=st.integers(-(10**6), 10**6),
    tax=st.integers(-(10**9), 10**9),
)
def test_whatever_the_amounts_a_fact_balances_and_has_no_empty_leg(title, amount, net, fee, tax):
    of = EXAMPLES[title]
    fact = Fact(of.kind, "EUR", amount, net, {"DE": tax}, fee, "p", of.of_invoice, of.won)
    legs = fact_postings(fact)
    assert _difference(legs) == 0
    assert all(leg.amount_minor > 0 for leg in legs)


def _difference(legs):
    return sum(leg.amount_minor if leg.direction == "debit" else -leg.amount_minor for leg in legs)


async def test_twenty_calls_that_name_an_account_first_open_it_once(platform):
    books = Books(platform, "ten_ledger_chart_calls")
    answers = await asyncio.gather(
        *(books.move("cash:manual:EUR", "cash:stripe:EUR", 5) for _ in range(20))
    )
    assert len({answer["postings"][0]["account_id"] for answer in answers}) == 1
    opened = (await books.send("GET", "/accounts"))["data"]
    assert {account["external_id"] for account in opened} == {"cash:manual:EUR", "cash:stripe:EUR"}
    assert (await books.balance("cash:stripe:EUR"))[0] == 100
    assert opened[0]["allow_negative"] is True


async def test_a_batch_and_a_hold_open_accounts_too_each_mode_its_own(platform):
    tenant = "ten_ledger_chart_batch"
    live = Books(platform, tenant, livemode=True)
    legs = [
        pb.Posting(account_id="promotions:EUR", direction=pb.DIRECTION_DEBIT, amount_minor=3),
        pb.Posting(account_id="revenue:EUR", direction=pb.DIRECTION_CREDIT, amount_minor=3),
    ]
    new = pb.NewTransaction(postings=legs, currency_code="EUR")
    wrong = pb.NewTransaction(postings=legs, currency_code="EUR")
    wrong.postings[0].account_id = "nobody:EUR"
    async with platform.channel() as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        request = pb.PostTransactionsRequest(transactions=[new, wrong, new])
        results = await stub.PostTransactions(request, metadata=platform.metadata(tenant))
        assert [item.reason for item in results.results] == ["", "ACCOUNT_UNKNOWN", ""]
        hold = pb.HoldTransactionRequest(postings=legs, currency_code="EUR")
        metadata = platform.metadata(tenant, livemode=True)
        await stub.HoldTransaction(hold, metadata=metadata)
        trial = await stub.GetTrialBalance(
            pb.GetTrialBalanceRequest(), metadata=platform.metadata(tenant)
        )
    assert (trial.balances[0].debit_minor, trial.balances[0].credit_minor) == (6, 6)
    assert await live.balance("revenue:EUR") == (0, 3, 0)
    test = Books(platform, tenant)
    assert await test.balance("revenue:EUR") == (6, 0, 0)


async def test_an_account_that_takes_a_name_of_the_chart_is_refused(platform):
    books = Books(platform, "ten_ledger_chart_taken")
    body = {"name": "x", "type": "liability", "currency": "EUR", "external_id": "revenue:EUR"}
    problem = await books.send("POST", "/accounts", body, expect=422)
    assert problem["errors"][0]["field"] == "/external_id"
    assert problem["errors"][0]["reason"] == "CHART_ACCOUNT_DIFFERS"
