"""The hot door takes what FastAPI would, and answers as it does."""

import json

import pytest
from billplane.ledger.ingest import usual

from tests.ledger.books import Books, legs

GOOD = {"postings": legs("a", "b", 5), "currency_code": "EUR"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        json.dumps(GOOD | {"pending": True}).encode(),
        json.dumps(GOOD | {"metadata": {}}).encode(),
        json.dumps(GOOD | {"unknown": 1}).encode(),
        json.dumps(GOOD | {"currency_code": "XAU"}).encode(),
        json.dumps(GOOD | {"currency_code": "eur"}).encode(),
        json.dumps(GOOD | {"external_id": ""}).encode(),
        json.dumps(GOOD | {"external_id": "a\u0007"}).encode(),
        json.dumps(GOOD | {"external_id": "x" * 256}).encode(),
        json.dumps(GOOD | {"description": "\u0000"}).encode(),
        json.dumps(GOOD | {"description": "\ud800"}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", 5)[:1]}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", 5.0)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", 0)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", -5)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", 2**53)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", "5")}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b", True)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "", 5)}).encode(),
        json.dumps(GOOD | {"postings": legs("a", "b" * 256, 5)}).encode(),
    ],
)
def test_what_may_be_wrong_is_left_to_fastapi(body):
    assert usual(body) is None


def test_what_is_usual_is_read():
    read = usual(json.dumps(GOOD | {"description": "sold", "external_id": "x"}).encode())
    assert [leg.account for leg in read.postings] == ["b", "a"]
    assert (read.currency_code, read.description, read.external_id) == ("EUR", "sold", "x")


async def test_both_doors_answer_alike(platform):
    books = Books(platform, "ten_ledger_doors")
    source, target = await books.pair()
    one = await books.move(source, target, 5, description="sold")
    other = await books.move(source, target, 5, description="sold", metadata={})
    assert one.keys() == other.keys()
    for name in one.keys() - {"id", "recorded_at", "posted_at", "balances"}:
        assert one[name] == other[name], name
    assert one == await _without_balances(books, one)
    for body in (GOOD, GOOD | {"metadata": {}}):
        problem = await books.send("POST", "/transactions", body, expect=422)
        assert problem["reason"] == "ACCOUNT_UNKNOWN"
        assert problem["field"] == "/postings/0/account_id"


async def _without_balances(books, made):
    found = await books.send("GET", f"/transactions/{made['id']}", expect=200)
    return found | {"balances": made["balances"]}
