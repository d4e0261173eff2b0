"""`staff`: people of the operating company, who act for tenants by their own log-in."""

import os
from typing import Annotated

import typer

from billplane_cli.client import Client, path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("USER", "user_id"),
    Column("E-MAIL", "email"),
    Column("ROLE", "role"),
    Column("GRANTED BY", "granted_by"),
    Column("GRANTED", "granted_at"),
]
TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        envvar="BILLPLANE_TENANT",
        help="In whose audit log the entry lands; the profile's tenant by default.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        help="People of the operating company. For staff of the role platform, and for whoever"
        " has the staff key in BILLPLANE_ADMIN_KEY: with it the first member is made.",
    )
    command(group, "list", example="billplane staff list")(list_staff)
    command(
        group,
        "grant",
        example="BILLPLANE_ADMIN_KEY=… billplane staff grant usr_… --role platform\n"
        "billplane staff grant usr_… --role support",
    )(grant)
    command(group, "revoke", example="billplane staff revoke usr_…")(revoke)
    app.add_typer(group, name="staff")


def list_staff(session: Session, limit: LimitOption = 50, tenant: TenantOption = None) -> None:
    """List the staff."""
    members = _client(session, tenant).pages("/admin/staff", limit=limit or None)
    session.output.show_list(members, _COLUMNS, "There is no staff.")


def grant(
    session: Session,
    user_id: Annotated[str, typer.Argument(help="As `billplane whoami` shows it to that user.")],
    role: Annotated[str, typer.Option(help="support, finance or platform.")],
    tenant: TenantOption = None,
) -> None:
    """Make a user a member of the staff, or change its role; it logs in again to act."""
    body = {"user_id": user_id, "role": role}
    session.output.show(_client(session, tenant).post("/admin/staff", body))


def revoke(session: Session, user_id: str, tenant: TenantOption = None) -> None:
    """End a user's membership of the staff, at once."""
    _client(session, tenant).delete(path_of("admin", "staff", user_id))
    session.output.say(f"{user_id} is not of the staff any more.")


def _client(session: Session, tenant: str | None) -> Client:
    key = os.environ.get("BILLPLANE_ADMIN_KEY", "")
    given = {"X-Admin-Key": key} if key else {}
    named = tenant or (session.profile.tenant_id if key else "")
    return session.client_with(given | ({"Billplane-Tenant": named} if named else {}))
