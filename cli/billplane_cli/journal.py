"""The books as a plain-text journal, in the words that hledger and Ledger share.

Source: hledger.org/hledger.html, "Journal".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import iso4217

_ROOTS = {
    "asset": "assets",
    "liability": "liabilities",
    "income": "revenues",
    "expense": "expenses",
    "equity": "equity",
}


def journal(
    accounts: Iterable[Mapping[str, Any]], transactions: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield the lines of a journal: accounts and commodities, then what was posted, in order.

    What is only reserved is left out; what was posted of it is a transaction of its own.
    """
    names: dict[str, str] = {}
    currencies = set()
    for account in accounts:
        names[account["id"]] = account_name(account)
        currencies.add(account["currency"])
    for currency in sorted(currencies):
        yield f"commodity {currency}"
        yield f"    format {_sample(currency)} {currency}"
    for name in sorted(names.values()):
        yield f"account {name}"
    for transaction in transactions:
        if transaction["kind"] in ("record", "commit", "reverse"):
            yield ""
            yield from _entry(transaction, names)


def account_name(account: Mapping[str, Any]) -> str:
    """Return an account's name: its type, what it is called, and its id, so that none is twice."""
    called = re.sub(r"[^\w.-]+", "-", account["name"]).strip("-.") or "account"
    return f"{_ROOTS[account['type']]}:{called}:{account['id']}"


def _entry(transaction: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    date = transaction["recorded_at"][:10]
    yield f"{date} * {_one_line(transaction['description']) or transaction['kind']}"
    yield f"    ; id:{transaction['id']}"
    for tag in ("external_id", "parent_id", "rate_id"):
        if transaction[tag]:
            yield f"    ; {tag}:{_one_line(transaction[tag]).replace(',', ' ')}"
    for posting in transaction["postings"]:
        sign = 1 if posting["direction"] == "debit" else -1
        amount = exact(sign * posting["amount_minor"], posting["currency_code"])
        yield f"    {names[posting['account_id']]}  {amount} {posting['currency_code']}"


def exact(minor: int, currency: str) -> str:
    """Write minor units as a decimal: 4900, EUR → 49.00."""
    return f"{Decimal(minor).scaleb(-_digits(currency)):f}"


def _digits(currency: str) -> int:
    return iso4217.Currency(currency).exponent or 0


def _sample(currency: str) -> str:
    return "1000." + "0" * _digits(currency)


def _one_line(text: str) -> str:
    """Return a text that cannot end its line or begin a comment."""
    return re.sub(r"[\s;|]+", " ", text).strip()
