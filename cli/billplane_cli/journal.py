"""The books as plain text for other programs: hledger and Ledger read one form, beancount another.

Source: hledger.org/hledger.html, "Journal"; ledger-cli.org/doc/ledger3.html, "Journal Format";
beancount.github.io/docs/beancount_language_syntax.html.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import iso4217

Rows = Sequence[Mapping[str, Any]]
_POSTED = ("record", "commit", "reverse")


@dataclass(frozen=True)
class Words:
    """How a program's journal calls things."""

    roots: Mapping[str, str]
    bad: str
    """What may not stand in a part of an account's name."""


_HLEDGER = Words(
    {
        "asset": "assets",
        "liability": "liabilities",
        "income": "revenues",
        "expense": "expenses",
        "equity": "equity",
    },
    r"[^\w.-]+",
)
_BEANCOUNT = Words(
    {
        "asset": "Assets",
        "liability": "Liabilities",
        "income": "Income",
        "expense": "Expenses",
        "equity": "Equity",
    },
    r"[^A-Za-z0-9-]+",
)


def journal(accounts: Rows, transactions: Rows) -> Iterator[str]:
    """Yield the lines that hledger and Ledger read: what there is, then what was posted, in order.

    What is only reserved is left out; what was posted of it is a transaction of its own.
    """
    names = account_names(accounts, _HLEDGER)
    for currency in sorted({account["currency"] for account in accounts}):
        yield f"commodity {currency}"
        if _digits(currency):  # Ledger reads no format without digits after the point
            yield f"    format {_sample(currency)} {currency}"
    for name in sorted(names.values()):
        yield f"account {name}"
    for transaction in _posted(transactions):
        yield ""
        yield f"{_day(transaction)} * {_described(transaction)}"
        yield f"    ; id:{transaction['id']}"
        for tag in ("external_id", "parent_id", "rate_id"):
            if transaction[tag]:
                yield f"    ; {tag}:{_one_line(transaction[tag]).replace(',', ' ')}"
        for name, amount in _legs(transaction, names):
            yield f"    {name}  {amount}"


def beancount(accounts: Rows, transactions: Rows) -> Iterator[str]:
    """Yield the same as a beancount ledger."""
    names = account_names(accounts, _BEANCOUNT)
    opened = {account["id"]: account["created_at"][:10] for account in accounts}
    for transaction in transactions:
        for posting in transaction["postings"]:
            account = posting["account_id"]
            opened[account] = min(opened[account], _day(transaction))
    for account in sorted(accounts, key=lambda account: names[account["id"]]):
        yield f"{opened[account['id']]} open {names[account['id']]} {account['currency']}"
    for transaction in _posted(transactions):
        yield ""
        yield f'{_day(transaction)} * "{_quoted(_described(transaction))}"'
        yield f'  id: "{transaction["id"]}"'
        for tag in ("external_id", "parent_id", "rate_id"):
            if transaction[tag]:
                yield f'  {tag}: "{_quoted(transaction[tag])}"'
        for name, amount in _legs(transaction, names):
            yield f"  {name}  {amount}"


def account_names(accounts: Rows, words: Words) -> dict[str, str]:
    """Return what each account is called, by id: no name twice.

    An account of the chart by its place there, `cash:simulated:EUR`; any other by its name and id.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for account in sorted(accounts, key=lambda account: ":" not in (account["external_id"] or "")):
        parts = (account["external_id"] or "").split(":")
        if len(parts) < 2 or not all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for part in parts):
            parts = [account["name"], account["id"]]
        root = words.roots[account["type"]]
        name = ":".join([root, *(_part(part, words) for part in parts)])
        if name in taken:
            name += ":" + _part(account["id"], words)
        taken.add(name)
        found[account["id"]] = name
    return found


def _part(text: str, words: Words) -> str:
    part = re.sub(words.bad, "-", text).strip("-.") or "Account"
    return part if words is _HLEDGER else part[0].upper() + part[1:]


def _posted(transactions: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (transaction for transaction in transactions if transaction["kind"] in _POSTED)


def _legs(transaction: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for posting in transaction["postings"]:
        sign = 1 if posting["direction"] == "debit" else -1
        currency = posting["currency_code"]
        amount = exact(sign * posting["amount_minor"], currency)
        yield names[posting["account_id"]], f"{amount} {currency}"


def _day(transaction: Mapping[str, Any]) -> str:
    return str(transaction["recorded_at"][:10])


def _described(transaction: Mapping[str, Any]) -> str:
    return _one_line(transaction["description"]) or str(transaction["kind"])


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


def _quoted(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace('"', '\\"')
