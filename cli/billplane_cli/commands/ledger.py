"""`ledger`: the books, their check, and their journal for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billplane_cli import process
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.journal import beancount, journal
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("TYPE", "type"),
    Column("BALANCE", money("balance_minor", "currency"), right=True),
    Column("AVAILABLE", money("available_minor", "currency"), right=True),
    Column("ENTRIES", "entry_count", right=True),
]

_SUMS = [
    Column("CURRENCY", "currency"),
    Column("DEBITS", money("debit_minor", "currency"), right=True),
    Column("CREDITS", money("credit_minor", "currency"), right=True),
    Column("DIFFERENCE", money("difference_minor", "currency"), right=True),
]
_LINES = [
    Column("TYPE", "type"),
    Column("LINE", "line"),
    Column("ACCOUNTS", "account_count", right=True),
    Column("DEBITS", money("debit_minor", "currency"), right=True),
    Column("CREDITS", money("credit_minor", "currency"), right=True),
]


class Form(StrEnum):
    """Whose journal is written."""

    hledger = "hledger"
    beancount = "beancount"


FormOption = Annotated[Form, typer.Option("--format", help="hledger's, which Ledger reads too.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Money in double entry.")
    command(group, "accounts", example="billplane ledger accounts")(list_accounts)
    command(group, "trial-balance", example="billplane ledger trial-balance")(show_trial_balance)
    command(group, "verify", example="billplane ledger verify", remote=False, output=False)(verify)
    command(
        group,
        "export",
        example="billplane ledger export --file books.journal\n"
        "billplane ledger export | hledger -f - balance\n"
        "billplane ledger export --format beancount --file books.beancount",
    )(export)
    app.add_typer(group, name="ledger")


def list_accounts(session: Session, limit: LimitOption = 50) -> None:
    """List accounts with their balances, the newest first."""
    found = session.client.pages("/v1/ledger/accounts", limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no accounts.")


def show_trial_balance(session: Session) -> None:
    """Sum what accounts hold: debits and credits of each currency, equal unless money was lost."""
    found = session.client.get("/v1/ledger/trial_balance")["data"]
    if session.output.format != "table":
        session.output.show(found)
    else:
        rows = [{**line, "currency": one["currency"]} for one in found for line in one["lines"]]
        session.output.show_list(rows, _LINES, "There are no accounts.")
        for one in found:
            one["difference_minor"] = one["debit_minor"] - one["credit_minor"]
        session.output.show_list(found, _SUMS, "")
    if any(one["debit_minor"] != one["credit_minor"] for one in found):
        raise typer.Exit(1)


def verify(_session: Session) -> None:
    """Check the books where they are kept: sums, balances, the chain of hashes; tell the place."""
    raise typer.Exit(process.platform(["verify", "ledger"]))


def export(
    session: Session,
    file: Annotated[Path | None, typer.Option("--file", help="Where to; else the pipe.")] = None,
    form: FormOption = Form.hledger,
) -> None:
    """Write what was posted for hledger, Ledger or beancount; -o json: all there is."""
    # Transactions first: an account that they name was opened before them.
    order = {"order": "asc"}
    transactions = list(session.client.pages("/v1/ledger/transactions", order))
    accounts = list(session.client.pages("/v1/ledger/accounts", order))
    if session.output.format != "table":
        session.output.show({"accounts": accounts, "transactions": transactions})
        return
    write = beancount if form is Form.beancount else journal
    lines = (f"{line}\n" for line in write(accounts, transactions))
    if file is None:
        for line in lines:
            session.output.raw(line)
        return
    with file.open("w", encoding="utf-8") as target:
        target.writelines(lines)
    session.output.say(f"Saved {file}.")
