"""`subscribe` and `subscription`: which customer is on which plan."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, pairs
from billplane_cli.commands.invoice import show_invoice
from billplane_cli.output import Column
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
) -> None:
    """End a subscription when its period ends, or now."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:cancel")
    session.output.show(session.client.post(path, {"at_period_end": at_period_end}))
