"""`ledger`: the books, their check, and their journal for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from billplane_cli import process
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.journal import journal
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


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Money in double entry.")
    command(group, "accounts", example="billplane ledger accounts")(list_accounts)
    command(group, "verify", example="billplane ledger verify", remote=False, output=False)(verify)
    command(
        group,
        "export",
        example="billplane ledger export --file books.journal\n"
        "billplane ledger export | hledger -f - balance",
    )(export)
    app.add_typer(group, name="ledger")


def list_accounts(session: Session, limit: LimitOption = 50) -> None:
    """List accounts with their balances, the newest first."""
    found = session.client.pages("/v1/ledger/accounts", limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no accounts.")


def verify(_session: Session) -> None:
    """Check the books where they are kept: sums, balances, the chain of hashes; tell the place."""
    raise typer.Exit(process.platform(["verify", "ledger"]))


def export(
    session: Session,
    file: Annotated[Path | None, typer.Option("--file", help="Where to; else the pipe.")] = None,
) -> None:
    """Write what was posted as a journal that hledger and Ledger read; -o json: all there is."""
    # Transactions first: an account that they name was opened before them.
    order = {"order": "asc"}
    transactions = list(session.client.pages("/v1/ledger/transactions", order))
    accounts = list(session.client.pages("/v1/ledger/accounts", order))
    if session.output.format != "table":
        session.output.show({"accounts": accounts, "transactions": transactions})
        return
    lines = (f"{line}\n" for line in journal(accounts, transactions))
    if file is None:
        for line in lines:
            session.output.raw(line)
        return
    with file.open("w", encoding="utf-8") as target:
        target.writelines(lines)
    session.output.say(f"Saved {file}.")
