"""`customer`: who is billed."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, MetadataOption, minor_units, pairs
from billplane_cli.commands.wallet import (
    ExpiresOption,
    KindOption,
    PriorityOption,
    ReferenceOption,
    credit_body,
)
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
    command(
        group,
        "update",
        example="billplane customer update cus_… --email billing@example.com",
    )(update)
    command(group, "delete", example="billplane customer delete cus_…")(delete)
    command(
        group,
        "credit",
        example="billplane customer credit cus_… 25 --currency EUR\n"
        "billplane customer credit cus_… 25 --currency EUR --expires-at 2027-01-01T00:00:00Z",
    )(give_credit)
    app.add_typer(group, name="customer")


def list_customers(session: Session, limit: LimitOption = 50) -> None:
    """List customers, the newest first."""
    customers = session.client.pages("/v1/customers", limit=limit or None)
    session.output.show_list(customers, _COLUMNS, "There are no customers.")


def show(session: Session, customer_id: str) -> None:
    """Show a customer by our id or by yours."""
    session.output.show(session.client.get(path_of("v1", "customers", customer_id)))


NameOption = Annotated[str | None, typer.Option(help="As on the invoice.")]
CurrencyOption = Annotated[str | None, typer.Option(help="ISO 4217, such as EUR.")]
EmailOption = Annotated[str | None, typer.Option(help="Where invoices go.")]
ExternalIdOption = Annotated[str | None, typer.Option(help="Your own id, unique.")]
CountryOption = Annotated[str | None, typer.Option(help="ISO 3166-1, such as DE.")]
Line1Option = Annotated[str | None, typer.Option(help="Street and number.")]
CityOption = Annotated[str | None, typer.Option(help="Town.")]
PostalCodeOption = Annotated[str | None, typer.Option(help="As the country writes it.")]
RegionOption = Annotated[str | None, typer.Option(help="State or province.")]
TaxTypeOption = Annotated[str | None, typer.Option(help="consumer or business.")]
TaxIdOption = Annotated[
    list[str] | None, typer.Option(help="TYPE=VALUE, such as eu_vat=ATU12345678; several times.")
]
UserTypeOption = Annotated[str | None, typer.Option(help="A word of yours, for discounts.")]
LocaleOption = Annotated[str | None, typer.Option(help="Language of documents, such as de.")]
TimeZoneOption = Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")]
TermsOption = Annotated[int | None, typer.Option(help="Days until an invoice is due.")]


def create(
    session: Session,
    name: Annotated[str, typer.Option(help="As on the invoice.")],
    currency: CurrencyOption = None,
    email: EmailOption = None,
    external_id: ExternalIdOption = None,
    country: CountryOption = None,
    line1: Line1Option = None,
    city: CityOption = None,
    postal_code: PostalCodeOption = None,
    region: RegionOption = None,
    tax_type: TaxTypeOption = None,
    tax_id: TaxIdOption = None,
    user_type: UserTypeOption = None,
    locale: LocaleOption = None,
    time_zone: TimeZoneOption = None,
    payment_terms_days: TermsOption = None,
    test_clock: Annotated[
        str | None, typer.Option(help="Whose time the customer lives in, in test mode.")
    ] = None,
    metadata: MetadataOption = None,
) -> None:
    """Create a customer."""
    body = _body(
        name=name,
        currency_code=currency,
        email=email,
        external_id=external_id,
        address=_address(line1, city, postal_code, region, country),
        tax_type=tax_type,
        tax_ids=_tax_ids(tax_id),
        user_type=user_type,
        locale=locale,
        time_zone=time_zone,
        payment_terms_days=payment_terms_days,
        test_clock_id=test_clock,
        metadata=pairs(metadata),
    )
    session.output.show(session.client.post("/v1/customers", body))


def update(
    session: Session,
    customer_id: str,
    name: NameOption = None,
    currency: CurrencyOption = None,
    email: EmailOption = None,
    external_id: ExternalIdOption = None,
    country: CountryOption = None,
    line1: Line1Option = None,
    city: CityOption = None,
    postal_code: PostalCodeOption = None,
    region: RegionOption = None,
    tax_type: TaxTypeOption = None,
    tax_id: TaxIdOption = None,
    user_type: UserTypeOption = None,
    locale: LocaleOption = None,
    time_zone: TimeZoneOption = None,
    payment_terms_days: TermsOption = None,
    metadata: MetadataOption = None,
) -> None:
    """Change a customer; what is not given stays, but an address is replaced whole."""
    body = _body(
        name=name,
        currency_code=currency,
        email=email,
        external_id=external_id,
        address=_address(line1, city, postal_code, region, country),
        tax_type=tax_type,
        tax_ids=_tax_ids(tax_id),
        user_type=user_type,
        locale=locale,
        time_zone=time_zone,
        payment_terms_days=payment_terms_days,
        metadata=pairs(metadata),
    )
    session.output.show(session.client.patch(path_of("v1", "customers", customer_id), body))


def delete(session: Session, customer_id: str) -> None:
    """Delete a customer who was never billed."""
    session.client.delete(path_of("v1", "customers", customer_id))
    session.output.say(f"{customer_id} is deleted.")


def give_credit(
    session: Session,
    customer_id: str,
    amount: Annotated[str, typer.Argument(help="Such as 25.00.")],
    currency: Annotated[str, typer.Option(help="ISO 4217, such as EUR.")],
    kind: KindOption = "promotional",
    priority: PriorityOption = None,
    expires_at: ExpiresOption = None,
    reference: ReferenceOption = "",
) -> None:
    """Give a customer credit, which invoices in the currency are settled with first."""
    minor = minor_units(amount, currency)
    wanted = {"customer_id": customer_id, "currency_code": currency}
    wallet = session.client.post("/v1/wallets", wanted)
    body = credit_body(minor, kind, priority, expires_at, reference)
    path = f"{path_of('v1', 'wallets', wallet['id'])}:grant"
    session.output.show(session.client.post(path, body))


def _body(**given: Any) -> dict[str, Any]:
    # Zero days are an answer; an empty text, list or object is none.
    return {name: value for name, value in given.items() if value or value == 0}


def _address(
    line1: str | None,
    city: str | None,
    postal_code: str | None,
    region: str | None,
    country: str | None,
) -> dict[str, Any]:
    return _body(line1=line1, city=city, postal_code=postal_code, region=region, country=country)


def _tax_ids(given: list[str] | None) -> list[dict[str, str]]:
    return [{"type": key, "value": value} for key, value in pairs(given, "--tax-id").items()]
