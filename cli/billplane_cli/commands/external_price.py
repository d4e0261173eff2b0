"""`external-price`: what external price sources answered, and what they are asked with."""

import sys
from typing import Annotated

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_ANSWERS = [
    Column("ID", "id"),
    Column("PLAN", "plan_id"),
    Column("CHARGE", "charge"),
    Column("CUSTOMER", "customer_id"),
    Column("AMOUNT", "amount"),
    Column("UNIT AMOUNT", "unit_amount"),
    Column("CURRENCY", "currency_code"),
    Column("FETCHED", "fetched_at"),
]
NameArgument = Annotated[str, typer.Argument(help="As `secretRef.name` of the plan says.")]
KeyArgument = Annotated[str, typer.Argument(help="As `secretRef.key` of the plan says.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(
        no_args_is_help=True, help="Prices that somebody else tells when it is rated."
    )
    command(
        group,
        "put-secret",
        example="billplane external-price put-secret grid-prices token < token.txt",
    )(put)
    command(
        group,
        "delete-secret",
        example="billplane external-price delete-secret grid-prices token",
    )(delete)
    command(group, "list", example="billplane external-price list")(list_answers)
    app.add_typer(group, name="external-price")


def list_answers(session: Session, limit: LimitOption = 50) -> None:
    """List what sources were asked and answered, the newest first."""
    found = session.client.pages("/v1/external_prices", limit=limit or None)
    session.output.show_list(found, _ANSWERS, "No source was asked yet.")


def put(session: Session, name: NameArgument, key: KeyArgument) -> None:
    """Keep a bearer token, read from standard input; nobody reads it back."""
    if sys.stdin.isatty():
        value = str(typer.prompt("Token", hide_input=True))
    else:
        value = sys.stdin.read().strip()
    if not value:
        raise CliError("There is no token on standard input.", exit_code=ExitCode.USAGE)
    session.client.put("/v1/price_secrets", {"name": name, "key": key, "value": value})
    session.output.say(f"{name}/{key} is kept.")


def delete(session: Session, name: NameArgument, key: KeyArgument) -> None:
    """Forget a token."""
    session.client.delete(path_of("v1", "price_secrets", name, key))
    session.output.say(f"{name}/{key} is forgotten.")
