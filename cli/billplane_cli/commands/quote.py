"""`quote`: what something would cost on a plan."""

from typing import Annotated, Any

import typer

from billplane_cli.commands.arguments import pairs
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_LINE_COLUMNS = [
    Column("CHARGE", "charge"),
    Column("DESCRIPTION", "description"),
    Column("QUANTITY", "quantity", right=True),
    Column("UNIT", "unit"),
    Column("EXACT", "exact_amount", right=True),
    Column("AMOUNT", money("amount_minor"), right=True),
]
_TOTALS = [
    Column("Plan", "plan.name"),
    Column("Version", "plan.version"),
    Column("Exact", "exact_amount"),
    Column("Total", money("total_minor")),
    Column("Rate", "rate.rate"),
    Column("Rate of", "rate.as_of"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(
        app,
        "quote",
        example="billplane quote pro --meter api_call --quantity 25000\n"
        "billplane quote pro --meter kwh --quantity 310.5 --dimension period=peak --currency USD",
    )(quote)


def quote(
    session: Session,
    plan: Annotated[str, typer.Argument(help="Its id or name.")],
    meter: Annotated[str | None, typer.Option(help="What is used; nothing for the fees.")] = None,
    quantity: Annotated[str | None, typer.Option(help="How much of it.")] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE that the price asks for; several times.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="Another currency than the plan's.")] = None,
    at: Annotated[str | None, typer.Option(help="When; else now.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Else the newest.")] = None,
) -> None:
    """Show what a quantity would cost on a plan, line by line; nothing is stored."""
    if (meter is None) != (quantity is None):
        raise CliError(
            "Give --meter and --quantity together, or neither for the fees alone.",
            exit_code=ExitCode.USAGE,
        )
    item = {
        "meter": meter,
        "quantity": quantity,
        "dimensions": pairs(dimension, "--dimension"),
    }
    given: dict[str, Any] = {
        "plan": plan,
        "version": version,
        "currency_code": currency,
        "at": at,
        "items": [item] if meter else [],
    }
    body = {name: value for name, value in given.items() if value}
    answer = session.client.post("/v1/quotes", body)
    session.output.show(answer, _TOTALS)
    if session.output.format == "table":
        currency_of = {"currency_code": answer.get("currency_code")}
        lines = [{**currency_of, **line} for line in answer.get("lines") or []]
        session.output.show_list(lines, _LINE_COLUMNS, "Nothing is charged for it.")
