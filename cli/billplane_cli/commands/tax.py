"""`tax` and `tax-rule`: where the tenant is established, and rates of its own."""

from typing import Annotated

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, given
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_RULES = [
    Column("ID", "id"),
    Column("ORIGIN", "origin"),
    Column("COUNTRY", "country"),
    Column("REGION", "region"),
    Column("CITY", "city"),
    Column("CATEGORY", "category"),
    Column("TREATMENT", "treatment"),
    Column("RATE", "rate"),
    Column("FROM", "valid_from"),
    Column("UNTIL", "valid_until"),
    Column("LABEL", "label"),
]
TreatmentOption = Annotated[
    str | None, typer.Option(help="STANDARD, REDUCED, ZERO, EXEMPT … as on the invoice.")
]
LabelOption = Annotated[str | None, typer.Option(help="As on the invoice, such as VAT.")]
RateArgument = Annotated[str, typer.Argument(help="A fraction: 0.19 is 19 %.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    tax = typer.Typer(no_args_is_help=True, help="Where you are established; ids of buyers.")
    command(tax, "country", example="billplane tax country\nbillplane tax country DE")(country)
    command(tax, "check-id", example="billplane tax check-id eu_vat ATU12345675")(check_id)
    app.add_typer(tax, name="tax")
    rule = typer.Typer(no_args_is_help=True, help="Tax rates, the shipped ones and yours.")
    command(rule, "list", example="billplane tax-rule list --country DE")(list_rules)
    command(rule, "show", example="billplane tax-rule show txr_…")(show)
    command(
        rule,
        "create",
        example="billplane tax-rule create DE 0.07 --category Reduced --valid-from 2026-01-01\n"
        "billplane tax-rule create US 0.0875 --region NY --city 'New York' --stacked "
        "--valid-from 2026-01-01",
    )(create)
    command(
        rule, "replace", example="billplane tax-rule replace txr_… 0.08 --valid-from 2027-01-01"
    )(replace)
    command(rule, "delete", example="billplane tax-rule delete txr_…")(delete)
    app.add_typer(rule, name="tax-rule")


def country(
    session: Session,
    code: Annotated[str | None, typer.Argument(help="ISO 3166, such as DE; else shown.")] = None,
) -> None:
    """Show or say where you are established."""
    path = "/v1/tax_settings"
    told = session.client.put(path, {"country": code}) if code else session.client.get(path)
    session.output.show(told)


def check_id(
    session: Session,
    kind: Annotated[str, typer.Argument(help="Such as eu_vat, gb_vat or us_ein.")],
    value: Annotated[str, typer.Argument(help="The id itself.")],
) -> None:
    """Tell whether a tax id is well formed; nobody is asked whether it is in use."""
    found = session.client.post("/v1/tax_ids:validate", {"type": kind, "value": value})
    session.output.show(found)


def list_rules(
    session: Session,
    of: Annotated[str | None, typer.Option("--country", help="ISO 3166, such as DE.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List your rules, then the shipped ones."""
    found = session.client.pages("/v1/tax_rules", given(country=of), limit=limit or None)
    session.output.show_list(found, _RULES, "There are no rules.")


def show(session: Session, rule_id: str) -> None:
    """Show a rule, yours or a shipped one."""
    session.output.show(session.client.get(path_of("v1", "tax_rules", rule_id)))


def create(
    session: Session,
    of: Annotated[str, typer.Argument(metavar="COUNTRY", help="ISO 3166, such as DE.")],
    rate: RateArgument,
    valid_from: Annotated[str, typer.Option(help="The first day, such as 2026-01-01.")],
    valid_until: Annotated[str | None, typer.Option(help="The first day without it.")] = None,
    region: Annotated[str | None, typer.Option(help="State or province.")] = None,
    county: Annotated[str | None, typer.Option()] = None,
    city: Annotated[str | None, typer.Option()] = None,
    postal_prefix: Annotated[str | None, typer.Option(help="Codes that begin so.")] = None,
    level: Annotated[
        str | None, typer.Option(help="state, county, city …: one of each adds up.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="As a plan's charges name it.")] = None,
    plan: Annotated[str | None, typer.Option(help="Id or name; else every plan.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
    tax_type: Annotated[str | None, typer.Option(help="consumer or business.")] = None,
    treatment: TreatmentOption = None,
    stacked: Annotated[bool, typer.Option("--stacked", help="Adds to other rules.")] = False,
    label: LabelOption = None,
) -> None:
    """Add a rule of your own; what is not given matches everything."""
    body = given(
        country=of,
        rate=rate,
        valid_from=valid_from,
        valid_until=valid_until,
        region=region,
        county=county,
        city=city,
        postal_prefix=postal_prefix,
        level=level,
        category=category,
        plan=plan,
        customer_id=customer,
        tax_type=tax_type,
        treatment=treatment,
        stacked=stacked or None,
        label=label,
    )
    session.output.show(session.client.post("/v1/tax_rules", body))


def replace(
    session: Session,
    rule_id: str,
    rate: RateArgument,
    valid_from: Annotated[str, typer.Option(help="The first day of the next version.")],
    treatment: TreatmentOption = None,
    label: LabelOption = None,
) -> None:
    """End a rule of yours on a day and begin its next version on it."""
    body = given(rate=rate, valid_from=valid_from, treatment=treatment, label=label)
    path = f"{path_of('v1', 'tax_rules', rule_id)}:replace"
    session.output.show(session.client.post(path, body))


def delete(session: Session, rule_id: str) -> None:
    """Remove a rule of yours; what was taxed by it stays."""
    session.client.delete(path_of("v1", "tax_rules", rule_id))
    session.output.say(f"{rule_id} is removed.")
