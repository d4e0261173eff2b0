"""`credit-note`: give back of issued invoices."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("NUMBER", "number"),
    Column("INVOICE", "invoice_id"),
    Column("TOTAL", money("total_minor"), right=True),
    Column("ISSUED", "issued_on"),
    Column("REASON", "reason"),
]
_SHOWN = [
    Column("Number", "number"),
    Column("Invoice", "invoice_id"),
    Column("Issued", "issued_on"),
    Column("Net", money("net_minor")),
    Column("Tax", money("tax_minor")),
    Column("Total", money("total_minor")),
    Column("Lowers what is due by", money("applied_minor")),
    Column("Left over", money("excess_minor")),
    Column("Reason", "reason"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What is given back of invoices.")
    command(
        group,
        "create",
        example="billplane credit-note create inv_… --reason 'delivered late' --amount-minor 2000",
    )(create)
    command(group, "list", example="billplane credit-note list --invoice inv_…")(list_notes)
    command(group, "show", example="billplane credit-note show CN-2026-000001")(show)
    app.add_typer(group, name="credit-note")


def create(
    session: Session,
    invoice_id: str,
    reason: Annotated[str, typer.Option(help="Why; it is printed.")] = "",
    amount_minor: Annotated[
        int | None, typer.Option(help="With tax, in minor units; else all that is left.")
    ] = None,
    excess: Annotated[
        str, typer.Option(help="Where goes what was paid: credit, refund or by_hand.")
    ] = "credit",
) -> None:
    """Give back of an issued invoice, all that is left or an amount."""
    body: dict[str, Any] = {"invoice_id": invoice_id, "reason": reason, "excess": excess}
    if amount_minor is not None:
        body["amount_minor"] = amount_minor
    session.output.show(session.client.post("/v1/credit_notes", body), _SHOWN)


def list_notes(
    session: Session,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    invoice: Annotated[str | None, typer.Option(help="Only those of this invoice.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List credit notes, the newest first."""
    query = {"customer_id": customer, "invoice_id": invoice}
    found = session.client.pages("/v1/credit_notes", query, limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no credit notes.")


def show(session: Session, credit_note_id: str) -> None:
    """Show a credit note by id or number."""
    found = session.client.get(path_of("v1", "credit_notes", credit_note_id))
    session.output.show(found, _SHOWN)
