"""`subscribe` and `subscription`: which customer is on which plan."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, pairs
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("CUSTOMER", "customer_id"),
    Column("PLAN", "plan_id"),
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
        example="billplane subscription cancel sub_… --at-period-end",
    )(cancel)
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
    limit: LimitOption = 50,
) -> None:
    """List subscriptions, the newest first."""
    query = {"customer_id": customer}
    found = session.client.pages("/v1/subscriptions", query, limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no subscriptions.")


def show(session: Session, subscription_id: str) -> None:
    """Show a subscription."""
    session.output.show(session.client.get(path_of("v1", "subscriptions", subscription_id)))


def cancel(
    session: Session,
    subscription_id: str,
    at_period_end: Annotated[
        bool, typer.Option("--at-period-end", help="When its period ends, not now.")
    ] = False,
) -> None:
    """End a subscription, now or when its period ends."""
    path = path_of("v1", "subscriptions", f"{subscription_id}:cancel")
    session.output.show(session.client.post(path, {"at_period_end": at_period_end}))
