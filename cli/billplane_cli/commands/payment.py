"""`payment` and `refund`: what customers paid, and what goes back."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, minor_units, pairs
from billplane_cli.output import Column, format_money
from billplane_cli.session import Session, command

_INTENTS = "/v1/payment_intents"
AmountArgument = Annotated[str, typer.Argument(help="Such as 12.50.")]
PartArgument = Annotated[
    str | None, typer.Argument(help="Such as 12.50; all that is left when absent.")
]


def _amount(field: str) -> Any:
    def of(row: Mapping[str, Any]) -> str:
        minor = row.get(field)
        return "" if minor is None else format_money(int(minor), str(row["currency"]).upper())

    return of


_COLUMNS = [
    Column("ID", "id"),
    Column("STATE", "status"),
    Column("AMOUNT", _amount("amount"), right=True),
    Column("RECEIVED", _amount("amount_received"), right=True),
    Column("CUSTOMER", "customer"),
    Column("INVOICE", "invoice"),
    Column("WHY NOT", "last_payment_error.code"),
]
_ATTEMPT_COLUMNS = [
    Column("NUMBER", "number", right=True),
    Column("KIND", "kind"),
    Column("STATE", "status"),
    Column("AMOUNT", _amount("amount"), right=True),
    Column("PROCESSOR", "processor"),
    Column("CODE", "failure_code"),
    Column("DECLINE CODE", "decline_code"),
]
_REFUND_COLUMNS = [
    Column("ID", "id"),
    Column("STATE", "status"),
    Column("AMOUNT", _amount("amount"), right=True),
    Column("PAYMENT", "payment_intent"),
    Column("REASON", "reason"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What customers paid.")
    command(group, "list", example="billplane payment list --customer cus_…")(list_payments)
    command(group, "show", example="billplane payment show pi_…")(show)
    command(
        group,
        "create",
        example="billplane payment create 12.50 EUR --method pm_card_visa\n"
        "billplane payment create 12.50 EUR --customer cus_… --method pm_… --hold",
    )(create)
    command(group, "confirm", example="billplane payment confirm pi_… --method pm_card_visa")(
        confirm
    )
    command(group, "capture", example="billplane payment capture pi_… 5")(capture)
    command(group, "cancel", example="billplane payment cancel pi_…")(cancel)
    command(group, "attempts", example="billplane payment attempts pi_…")(attempts)
    app.add_typer(group, name="payment")
    refunds = typer.Typer(no_args_is_help=True, help="What goes back to customers.")
    command(refunds, "list", example="billplane refund list --payment pi_…")(list_refunds)
    command(
        refunds,
        "create",
        example="billplane refund create pi_…\n"
        "billplane refund create pi_… 2.50 --reason requested_by_customer",
    )(create_refund)
    app.add_typer(refunds, name="refund")


def list_payments(
    session: Session,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List payments, the newest first."""
    found = session.client.stripe_pages(_INTENTS, {"customer": customer}, limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no payments.")


def show(session: Session, payment_id: str) -> None:
    """Show a payment."""
    session.output.show(session.client.get(path_of("v1", "payment_intents", payment_id)))


def create(
    session: Session,
    amount: AmountArgument,
    currency: Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")],
    customer: Annotated[str | None, typer.Option(help="Who pays.")] = None,
    method: Annotated[
        str | None, typer.Option(help="By what; it is tried at once. In tests pm_card_visa, say.")
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Only authorize; `payment capture` takes it.")
    ] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    metadata: MetadataOption = None,
) -> None:
    """Create a payment, and try it where a method is named."""
    body: dict[str, Any] = {
        "amount": minor_units(amount, currency),
        "currency": currency,
        "capture_method": "manual" if hold else "automatic",
        "metadata": pairs(metadata),
    }
    said = {"customer": customer, "description": description}
    body |= {name: value for name, value in said.items() if value is not None}
    if method is not None:
        body |= {"payment_method": method, "confirm": True}
    session.output.show(session.client.post(_INTENTS, body))


def confirm(
    session: Session,
    payment_id: str,
    method: Annotated[str | None, typer.Option(help="By what.")] = None,
) -> None:
    """Try to collect a payment."""
    body = {} if method is None else {"payment_method": method}
    path = path_of("v1", "payment_intents", payment_id, "confirm")
    session.output.show(session.client.post(path, body))


def capture(session: Session, payment_id: str, amount: PartArgument = None) -> None:
    """Take what was authorized, or a part of it; the rest is given back."""
    intent = session.client.get(path_of("v1", "payment_intents", payment_id))
    body = {}
    if amount is not None:
        body["amount_to_capture"] = minor_units(amount, str(intent["currency"]).upper())
    path = path_of("v1", "payment_intents", payment_id, "capture")
    session.output.show(session.client.post(path, body))


def cancel(session: Session, payment_id: str) -> None:
    """Give a payment up; what was authorized is given back."""
    path = path_of("v1", "payment_intents", payment_id, "cancel")
    session.output.show(session.client.post(path, {}))


def attempts(session: Session, payment_id: str) -> None:
    """List what was tried for a payment, in order."""
    found = session.client.get(path_of("v1", "payment_intents", payment_id, "attempts"))
    session.output.show_list(found["data"], _ATTEMPT_COLUMNS, "Nothing was tried yet.")


def list_refunds(
    session: Session,
    payment: Annotated[str | None, typer.Option(help="Only this payment's.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List refunds, the newest first."""
    query = {"payment_intent": payment}
    found = session.client.stripe_pages("/v1/refunds", query, limit=limit or None)
    session.output.show_list(found, _REFUND_COLUMNS, "There are no refunds.")


def create_refund(
    session: Session,
    payment_id: str,
    amount: PartArgument = None,
    reason: Annotated[
        str | None, typer.Option(help="duplicate, fraudulent or requested_by_customer.")
    ] = None,
) -> None:
    """Give back what was captured, or a part of it."""
    body: dict[str, Any] = {"payment_intent": payment_id}
    if amount is not None:
        intent = session.client.get(path_of("v1", "payment_intents", payment_id))
        body["amount"] = minor_units(amount, str(intent["currency"]).upper())
    if reason is not None:
        body["reason"] = reason
    session.output.show(session.client.post("/v1/refunds", body))
