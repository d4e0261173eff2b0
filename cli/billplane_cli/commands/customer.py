"""`customer`: who is billed."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, pairs
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("EXTERNAL ID", "external_id"),
    Column("NAME", "name"),
    Column("E-MAIL", "email"),
    Column("COUNTRY", "address.country"),
    Column("CURRENCY", "currency_code"),
    Column("CREATED", "created_at"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Who is billed.")
    command(group, "list", example="billplane customer list --limit 100")(list_customers)
    command(group, "show", example="billplane customer show cus_…")(show)
    command(
        group,
        "create",
        example="billplane customer create --name 'Ada GmbH' --country DE --currency EUR\n"
        "billplane customer create --name Bo --external-id 8f14e45f --metadata team=blue",
    )(create)
    app.add_typer(group, name="customer")


def list_customers(session: Session, limit: LimitOption = 50) -> None:
    """List customers, the newest first."""
    customers = session.client.pages("/v1/customers", limit=limit or None)
    session.output.show_list(customers, _COLUMNS, "There are no customers.")


def show(session: Session, customer_id: str) -> None:
    """Show a customer by our id or by yours."""
    session.output.show(session.client.get(path_of("v1", "customers", customer_id)))


def create(
    session: Session,
    name: Annotated[str, typer.Option(help="As on the invoice.")],
    currency: Annotated[str | None, typer.Option(help="ISO 4217, such as EUR.")] = None,
    email: Annotated[str | None, typer.Option(help="Where invoices go.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own id, unique.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1, such as DE.")] = None,
    line1: Annotated[str | None, typer.Option(help="Street and number.")] = None,
    city: Annotated[str | None, typer.Option()] = None,
    postal_code: Annotated[str | None, typer.Option()] = None,
    region: Annotated[str | None, typer.Option(help="State or province.")] = None,
    tax_type: Annotated[str | None, typer.Option(help="consumer or business.")] = None,
    user_type: Annotated[str | None, typer.Option(help="A word of yours, for discounts.")] = None,
    locale: Annotated[str | None, typer.Option(help="Such as de-DE.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    metadata: MetadataOption = None,
) -> None:
    """Create a customer."""
    address = {
        "line1": line1,
        "city": city,
        "postal_code": postal_code,
        "region": region,
        "country": country,
    }
    given: dict[str, Any] = {
        "name": name,
        "currency_code": currency,
        "email": email,
        "external_id": external_id,
        "address": _given(address),
        "tax_type": tax_type,
        "user_type": user_type,
        "locale": locale,
        "time_zone": time_zone,
        "metadata": pairs(metadata),
    }
    session.output.show(session.client.post("/v1/customers", _given(given)))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
