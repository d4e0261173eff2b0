"""`invoice`: list, read and open what customers owe."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("NUMBER", "number"),
    Column("STATE", "state"),
    Column("CUSTOMER", lambda invoice: (invoice.get("customer") or {}).get("name")),
    Column("TOTAL", money("total_minor"), right=True),
    Column("DUE", money("due_minor"), right=True),
    Column("ISSUED", "issued_on"),
    Column("DUE ON", "due_on"),
]
_LINE_COLUMNS = [
    Column("DESCRIPTION", "description"),
    Column("QUANTITY", "quantity", right=True),
    Column("UNIT", "unit"),
    Column("UNIT AMOUNT", "unit_amount", right=True),
    Column("NET", money("net_minor"), right=True),
    Column("TAX", money("tax_minor"), right=True),
]
_COLLECTED = [Column("State", "state"), Column("Payment", "payment_intent_id")]
_OWED = [
    Column("CUSTOMER", "customer_name"),
    Column("NOT DUE", money("current_minor"), right=True),
    Column("1-30 DAYS", money("days_1_to_30_minor"), right=True),
    Column("31-60", money("days_31_to_60_minor"), right=True),
    Column("61-90", money("days_61_to_90_minor"), right=True),
    Column("OVER 90", money("days_over_90_minor"), right=True),
    Column("TOTAL", money("total_minor"), right=True),
]
_TOTALS = [
    Column("Number", "number"),
    Column("State", "state"),
    Column("Customer", "customer.name"),
    Column("Issued", "issued_on"),
    Column("Due on", "due_on"),
    Column("Subtotal", money("subtotal_minor")),
    Column("Discount", money("discount_minor")),
    Column("Tax", money("tax_minor")),
    Column("Total", money("total_minor")),
    Column("Paid", money("paid_minor")),
    Column("Due", money("due_minor")),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What customers owe.")
    command(group, "list", example="billplane invoice list --state past_due")(list_invoices)
    command(group, "show", example="billplane invoice show inv_…")(show)
    command(
        group,
        "pdf",
        example="billplane invoice pdf inv_…\nbillplane invoice pdf 2026-000001 --file bill.pdf",
    )(pdf)
    command(group, "open", example="billplane invoice open 2026-000001")(open_pdf)
    command(group, "xml", example="billplane invoice xml 2026-000001 --syntax ubl")(xml)
    for act in (finalize, send, pay, void):
        name = act.__name__
        command(group, name, example=f"billplane invoice {name} inv_…")(act)
    command(group, "owed", example="billplane invoice owed --as-of 2026-03-31")(owed)
    app.add_typer(group, name="invoice")


def list_invoices(
    session: Session,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    subscription: Annotated[str | None, typer.Option(help="Only this subscription's.")] = None,
    state: Annotated[
        str | None, typer.Option(help="draft, finalized, paid, past_due, uncollectible, voided.")
    ] = None,
    limit: LimitOption = 50,
) -> None:
    """List invoices, the newest first."""
    query = {"customer_id": customer, "subscription_id": subscription, "state": state}
    found = session.client.pages("/v1/invoices", query, limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no invoices.")


def show(session: Session, invoice_id: str) -> None:
    """Show an invoice by id or number, with its lines."""
    show_invoice(session, session.client.get(path_of("v1", "invoices", invoice_id)))


def show_invoice(session: Session, invoice: dict[str, Any]) -> None:
    """Write an invoice, its lines below it in a table."""
    session.output.show(invoice, _TOTALS)
    if session.output.format == "table":
        currency = {"currency_code": invoice.get("currency_code")}
        lines = [{**currency, **line} for line in invoice.get("lines") or []]
        session.output.show_list(lines, _LINE_COLUMNS, "It has no lines.")


def pdf(
    session: Session,
    invoice_id: str,
    file: Annotated[
        Path | None, typer.Option("--file", help="Where to; else the number, or a pipe.")
    ] = None,
) -> None:
    """Save an invoice's PDF, or write it into a pipe."""
    if file is None and not session.output.is_terminal:
        session.output.raw_bytes(_content(session, invoice_id))
        return
    target = file or Path(_file_name(session, invoice_id))
    target.write_bytes(_content(session, invoice_id))
    session.output.say(f"Saved {target}.")


def xml(
    session: Session,
    invoice_id: str,
    syntax: Annotated[str, typer.Option(help="cii or ubl.")] = "cii",
    file: Annotated[Path | None, typer.Option("--file", help="Where to; else a pipe.")] = None,
) -> None:
    """Write an issued invoice as an e-invoice of EN 16931."""
    path = path_of("v1", "invoices", invoice_id, "xml")
    content = session.client.request("GET", path, query={"format": syntax}).content
    if file is None:
        session.output.raw_bytes(content)
        return
    file.write_bytes(content)
    session.output.say(f"Saved {file}.")


def finalize(session: Session, invoice_id: str) -> None:
    """Number and freeze a draft."""
    show_invoice(session, session.client.post(path_of("v1", "invoices", f"{invoice_id}:finalize")))


def send(
    session: Session,
    invoice_id: str,
    to: Annotated[str, typer.Option(help="An address; else the customer's.")] = "",
) -> None:
    """Send an issued invoice by e-mail, its PDF along with it."""
    sent = session.client.post(path_of("v1", "invoices", f"{invoice_id}:send"), {"to": to})
    session.output.say(f"Sent {sent['number']}.")


def pay(session: Session, invoice_id: str) -> None:
    """Collect an issued invoice now."""
    done = session.client.post(path_of("v1", "invoices", f"{invoice_id}:pay"))
    session.output.show(done, _COLLECTED)


def void(
    session: Session,
    invoice_id: str,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Void an issued invoice that nobody has paid."""
    path = path_of("v1", "invoices", f"{invoice_id}:void")
    show_invoice(session, session.client.post(path, {"note": note}))


def owed(
    session: Session,
    as_of: Annotated[str | None, typer.Option(help="A day; else today.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List what customers owe, by how long it is past due."""
    found = session.client.pages(
        "/v1/receivables", {"as_of": as_of, "order": "asc"}, limit=limit or None
    )
    session.output.show_list(found, _OWED, "Nobody owes anything.")


def open_pdf(session: Session, invoice_id: str) -> None:
    """Open an invoice's PDF in this machine's viewer."""
    directory = Path(tempfile.mkdtemp(prefix="billplane-"))
    target = directory / _file_name(session, invoice_id)
    target.write_bytes(_content(session, invoice_id))
    if webbrowser.open(target.as_uri()):
        session.output.say(f"Opened {target}.")
    else:
        session.output.warn(f"There is no viewer here; the document is {target}.")


def _content(session: Session, invoice_id: str) -> bytes:
    path = path_of("v1", "invoices", invoice_id, "pdf")
    content = session.client.request("GET", path, headers={"Accept": "application/pdf"}).content
    if not content.startswith(b"%PDF"):
        raise CliError("The server answered with something that is no PDF.")
    return content


def _file_name(session: Session, invoice_id: str) -> str:
    invoice: dict[str, Any] = session.client.get(path_of("v1", "invoices", invoice_id))
    name = str(invoice.get("number") or invoice.get("id") or "")
    # It becomes a path, and a tenant may choose the prefix of its numbers.
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name).strip(".")
    if not safe:
        raise CliError("The invoice has no number.", exit_code=ExitCode.FAILED)
    return f"{safe}.pdf"
