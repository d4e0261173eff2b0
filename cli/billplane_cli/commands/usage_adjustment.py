"""`usage void`, `usage correct` and what usage is in doubt."""

from typing import Annotated, Any

import typer

from billplane_cli.commands.arguments import LimitOption, given, pairs
from billplane_cli.output import Column
from billplane_cli.session import Session, command

PATH = "/v1/usage_events"
_ADJUSTMENTS = [
    Column("ID", "id"),
    Column("KIND", "kind"),
    Column("SOURCE", "source"),
    Column("EVENT", "event_id"),
    Column("SUBJECT", "subject"),
    Column("TIME", "time"),
    Column("QUANTITY", "quantity"),
    Column("BY", "actor"),
    Column("REASON", "reason"),
]
EventArgument = Annotated[str, typer.Argument(help="The event's id.")]
SourceOption = Annotated[str, typer.Option(help="The event's source, where ids are unique.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for whoever reads it later.")]


def add_to(group: typer.Typer) -> None:
    """Add these commands to `usage`."""
    command(
        group,
        "void",
        example="billplane usage void request-17 --reason 'a test run'",
    )(void)
    command(
        group,
        "correct",
        example="billplane usage correct request-17 --quantity 4.5 --reason 'read wrong'\n"
        "billplane usage correct request-17 --data units=4 --data region=eu",
    )(correct)
    command(group, "adjustments", example="billplane usage adjustments --customer cus_…")(
        list_adjustments
    )
    command(group, "conflicts", example="billplane usage conflicts")(list_conflicts)
    command(group, "unattributed", example="billplane usage unattributed")(list_unattributed)


def void(
    session: Session,
    event_id: EventArgument,
    source: SourceOption = "cli",
    reason: ReasonOption = None,
) -> None:
    """Have an event count no more; what was billed is put right on the next invoice."""
    body = given(source=source, id=event_id, reason=reason)
    session.output.show(session.client.post(f"{PATH}:void", body))


def correct(
    session: Session,
    event_id: EventArgument,
    source: SourceOption = "cli",
    quantity: Annotated[
        str | None, typer.Option(help="For every meter that counts the event.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="NAME=VALUE, all of it; several times.")
    ] = None,
    reason: ReasonOption = None,
) -> None:
    """Have an event count for something else; what was billed is put right later."""
    body: dict[str, Any] = given(source=source, id=event_id, quantity=quantity, reason=reason)
    if data:
        body["data"] = pairs(data, "--data")
    session.output.show(session.client.post(f"{PATH}:correct", body))


def list_adjustments(
    session: Session,
    event_id: Annotated[str | None, typer.Option("--event", help="The event's id.")] = None,
    customer: Annotated[
        str | None, typer.Option(help="The subject, as the event named it.")
    ] = None,
    limit: LimitOption = 50,
) -> None:
    """List voids and corrections, the newest first."""
    query = given(id=event_id, customer_id=customer)
    found = session.client.pages(f"{PATH}/adjustments", query, limit=limit or None)
    session.output.show_list(found, _ADJUSTMENTS, "Nothing was voided or corrected.")


def list_conflicts(session: Session, limit: LimitOption = 50) -> None:
    """List events whose id had been used for other content; the first one counts."""
    columns = [
        *(Column("SOURCE", "source"), Column("EVENT", "id"), Column("TYPE", "type")),
        *(Column("SUBJECT", "subject"), Column("TIME", "time")),
    ]
    found = session.client.pages(f"{PATH}/conflicts", limit=limit or None)
    session.output.show_list(found, columns, "There are no conflicts.")


def list_unattributed(session: Session, limit: LimitOption = 50) -> None:
    """List subjects of usage that are no customer's id or external id."""
    found = list(session.client.pages("/v1/usage/unattributed", limit=limit or None))
    columns = [Column(name.replace("_", " ").upper(), name) for name in (found[0] if found else ())]
    session.output.show_list(found, columns, "All usage is some customer's.")
