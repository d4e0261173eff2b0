"""`subscribe` and `subscription`: which customer is on which plan."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, pairs
from billplane_cli.commands.invoice import show_invoice
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("CUSTOMER", "customer_id"),
    Column("PLAN", "plan_name"),
    Column("VERSION", "plan_version", right=True),
    Column("STATE", "state"),
    Column("PERIOD", "current_period_starts_at"),
    Column("UNTIL", "current_period_ends_at"),
]

_CHANGE_COLUMNS = [
    Column("Plan", "plan.plan_name"),
    Column("Version", "plan.plan_version"),
    Column("From", "effective_at"),
    Column("Credit", money("credit_minor")),
    Column("Charge", money("charge_minor")),
    Column("Total", money("total_minor")),
    Column("Billed", "billed"),
]
_ITEM_COLUMNS = [
    Column("CHARGE", "charge"),
    Column("DESCRIPTION", "description"),
    Column("FROM", "starts_at"),
    Column("UNTIL", "ends_at"),
    Column("AMOUNT", money("amount_minor"), right=True),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(
        app,
        "subscribe",
        example="billplane subscribe cus_… pro\nbillplane subscribe cus_… pro --coupon SPRING",
    )(subscribe)
    group = typer.Typer(no_args_is_help=True, help="Which customer is on which plan.")
    command(
        group,
        "list",
        example="billplane subscription list --customer cus_…",
    )(list_subscriptions)
    command(group, "show", example="billplane subscription show sub_…")(show)
    command(
        group,
        "cancel",
        example="billplane subscription cancel sub_…\nbillplane subscription cancel sub_… --now",
    )(cancel)
    command(group, "preview", example="billplane subscription preview sub_…")(preview)
    command(
        group,
        "change",
        example="billplane subscription change sub_… team --preview\n"
        "billplane subscription change sub_… team --at period_end",
    )(change)
    command(group, "pause", example="billplane subscription pause sub_…")(pause)
    command(group, "resume", example="billplane subscription resume sub_…")(resume)
    command(
        group,
        "add",
        example='billplane subscription add sub_… "Set-up" 15000',
    )(add_item)
    app.add_typer(group, name="subscription")


def subscribe(
    session: Session,
    customer_id: str,
    plan: Annotated[str, typer.Argument(help="Its id or name.")],
    starts_at: Annotated[
        str | None, typer.Option("--starts-at", help="Such as 2026-02-01T00:00:00Z; else now.")
    ] = None,
    coupon: Annotated[list[str] | None, typer.Option(help="Coupon code; several times.")] = None,
    metadata: MetadataOption = None,
) -> None:
    """Put a customer on a plan."""
    body: dict[str, Any] = {"customer_id": customer_id, "plan": plan}
    optional = {"starts_at": starts_at, "coupon_codes": coupon, "metadata": pairs(metadata)}
    body |= {name: value for name, value in optional.items() if value}
    session.output.show(session.client.post("/v1/subscriptions", body))


def list_subscriptions(
    session: Session,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    state: Annotated[str | None, typer.Option(help="Such as active, past_due, ended.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List subscriptions, the newest first."""
    query = {"customer_id": customer, "state": state}
    found = session.client.pages("/v1/subscriptions", query, limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no subscriptions.")


def show(session: Session, subscription_id: str) -> None:
    """Show a subscription."""
    session.output.show(session.client.get(path_of("v1", "subscriptions", subscription_id)))


def preview(session: Session, subscription_id: str) -> None:
    """Show the invoice of the current period as it would be now; nothing is stored."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:preview")
    show_invoice(session, session.client.get(path))


def cancel(
    session: Session,
    subscription_id: str,
    at_period_end: Annotated[
        bool, typer.Option("--at-period-end/--now", help="When its period ends, or at once.")
    ] = True,
    credit: Annotated[
        bool, typer.Option("--credit", help="With --now: credit what was paid for the rest.")
    ] = False,
) -> None:
    """End a subscription when its period ends, or now."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:cancel")
    body = {"at_period_end": at_period_end, "proration": "create" if credit else "none"}
    session.output.show(session.client.post(path, body))


def change(
    session: Session,
    subscription_id: str,
    plan: Annotated[str, typer.Argument(help="Its id or name; the newest version is taken.")],
    at: Annotated[str, typer.Option(help="now or period_end.")] = "now",
    proration: Annotated[
        str, typer.Option(help="create, none, or always_invoice to bill the difference at once.")
    ] = "create",
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what it credits and charges.")
    ] = False,
) -> None:
    """Move a subscription to another plan."""
    body = {"plan": plan, "at": at, "proration": proration}
    verb = "preview_change" if preview else "change"
    found = session.client.post(path_of("v1", "subscriptions", f"{subscription_id}:{verb}"), body)
    if not preview or session.output.format != "table":
        session.output.show(found)
        return
    currency = {"currency_code": found["currency_code"]}
    session.output.show(found, _CHANGE_COLUMNS)
    rows = [{**item, **currency} for item in found["items"]]
    session.output.show_list(rows, _ITEM_COLUMNS, "Nothing is credited or charged.")


def pause(
    session: Session,
    subscription_id: str,
    credit: Annotated[
        bool, typer.Option("--credit/--no-credit", help="Credit what was paid for the rest.")
    ] = True,
) -> None:
    """Stop a subscription: nothing is billed until it is resumed."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:pause")
    proration = "create" if credit else "none"
    session.output.show(session.client.post(path, {"proration": proration}))


def resume(session: Session, subscription_id: str) -> None:
    """Let a paused subscription go on."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:resume")
    session.output.show(session.client.post(path, None))


def add_item(
    session: Session,
    subscription_id: str,
    description: str,
    amount_minor: Annotated[
        int, typer.Argument(help="In minor units: 15000 is 150.00; below zero it is a credit.")
    ],
) -> None:
    """Put an amount on the next invoice of a subscription."""
    body = {
        "subscription_id": subscription_id,
        "description": description,
        "amount_minor": amount_minor,
    }
    session.output.show(session.client.post("/v1/invoice_items", body))
