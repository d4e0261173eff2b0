"""`exchange-rate` and `currency`: what money is worth in other money."""

from typing import Annotated

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, given, minor_units
from billplane_cli.output import Column
from billplane_cli.session import Session, command

RATES = "/v1/exchange_rates"
_RATES = [
    Column("ID", "id"),
    Column("PAIR", lambda rate: f"{rate['base']}/{rate['quote']}"),
    Column("RATE", "rate"),
    Column("AS OF", "as_of"),
    Column("UNTIL", "until"),
    Column("STATE", "state"),
    Column("FEED", "feed_id"),
    Column("BY", "actor"),
    Column("REASON", "reason"),
]
_CURRENCIES = [
    Column("CODE", "code"),
    Column("NAME", "name"),
    Column("MINOR UNITS", "minor_units"),
    Column("ENABLED", "enabled"),
    Column("DEFAULT", "default"),
]
BaseArgument = Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")]
QuoteArgument = Annotated[str, typer.Argument(help="What one unit of the base costs is told in.")]
AsOfOption = Annotated[str | None, typer.Option(help="A day, such as 2026-03-31; else today.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for whoever reads it later.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What money is worth in other money.")
    command(
        group,
        "list",
        example="billplane exchange-rate list\nbillplane exchange-rate list --held-back",
    )(list_rates)
    command(
        group,
        "show",
        example="billplane exchange-rate show EUR USD --as-of 2026-03-31",
    )(show)
    command(
        group,
        "set",
        example="billplane exchange-rate set EUR USD 1.0845 --reason 'contract of March'\n"
        "billplane exchange-rate set EUR USD 1.6 --reason 'crash' --propose",
    )(record)
    command(group, "approve", example="billplane exchange-rate approve xr_…")(approve)
    command(
        group, "withdraw", example="billplane exchange-rate withdraw xr_… --reason 'was a typo'"
    )(withdraw)
    command(group, "convert", example="billplane exchange-rate convert 12.50 EUR --to USD -o json")(
        convert
    )
    command(group, "refresh", example="billplane exchange-rate refresh ecb")(refresh)
    app.add_typer(group, name="exchange-rate")
    money = typer.Typer(no_args_is_help=True, help="Which currencies are used.")
    command(money, "list", example="billplane currency list --enabled")(list_currencies)
    command(money, "enable", example="billplane currency enable JPY")(enable)
    command(money, "disable", example="billplane currency disable JPY")(disable)
    command(money, "default", example="billplane currency default EUR")(make_default)
    app.add_typer(money, name="currency")


def list_rates(
    session: Session,
    base: Annotated[str | None, typer.Option(help="ISO 4217, such as EUR.")] = None,
    quote: Annotated[str | None, typer.Option(help="ISO 4217, such as USD.")] = None,
    held_back: Annotated[
        bool, typer.Option("--held-back", help="Only those that wait for an approval.")
    ] = False,
    limit: LimitOption = 50,
) -> None:
    """List stored rates, of feeds and by hand."""
    query = given(base=base, quote=quote, held_back="true" if held_back else None)
    rates = session.client.pages(RATES, query, limit=limit or None)
    session.output.show_list(rates, _RATES, "There are no rates.")


def show(
    session: Session, base: BaseArgument, quote: QuoteArgument, as_of: AsOfOption = None
) -> None:
    """Show the rate that a pair is converted by, and the stored rates that it comes from."""
    path = path_of("v1", "exchange_rates", base, quote)
    session.output.show(session.client.get(path, given(as_of=as_of)))


def record(
    session: Session,
    base: BaseArgument,
    quote: QuoteArgument,
    rate: Annotated[str, typer.Argument(help="Units of quote for one unit of base.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")],
    as_of: AsOfOption = None,
    until: Annotated[
        str | None, typer.Option(help="The first day on which it counts no more.")
    ] = None,
    propose: Annotated[
        bool,
        typer.Option(
            "--propose", help="Where it deviates too far, let it wait for somebody else's approval."
        ),
    ] = False,
) -> None:
    """Record a rate by hand, which wins over feeds."""
    body = given(base=base, quote=quote, rate=rate, reason=reason, as_of=as_of, until=until)
    found = session.client.post(RATES, body | ({"propose": True} if propose else {}))
    session.output.show(found)
    if found["held_back"]:
        session.output.warn(
            f"Somebody else approves it: billplane exchange-rate approve {found['id']}"
        )


def approve(session: Session, rate_id: str, reason: ReasonOption = None) -> None:
    """Have a rate used that was held back; not by who proposed it."""
    path = f"{path_of('v1', 'exchange_rates', rate_id)}:approve"
    session.output.show(session.client.post(path, given(reason=reason)))


def withdraw(session: Session, rate_id: str, reason: ReasonOption = None) -> None:
    """Have a rate by hand used no more, from today on."""
    path = f"{path_of('v1', 'exchange_rates', rate_id)}:withdraw"
    session.output.show(session.client.post(path, given(reason=reason)))


def convert(
    session: Session,
    amount: Annotated[str, typer.Argument(help="Such as 12.50.")],
    currency: Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")],
    to: Annotated[str | None, typer.Option(help="Else the default currency.")] = None,
    as_of: AsOfOption = None,
    feed: Annotated[str | None, typer.Option(help="Of this feed alone.")] = None,
) -> None:
    """Convert an amount as of a day."""
    body = given(currency_code=currency, to=to, as_of=as_of, feed=feed)
    body["amount_minor"] = minor_units(amount, currency)
    session.output.show(session.client.post(f"{RATES}:convert", body))


def refresh(session: Session, feed: str) -> None:
    """Fetch a feed now."""
    path = f"{path_of('v1', 'exchange_rate_feeds', feed)}:refresh"
    session.output.show(session.client.post(path))


def list_currencies(
    session: Session,
    enabled: Annotated[bool, typer.Option("--enabled", help="Only those in use.")] = False,
) -> None:
    """List the currencies of ISO 4217, and which of them are used."""
    every = session.client.get("/v1/currencies")["data"]
    chosen = [currency for currency in every if currency["enabled"] or not enabled]
    session.output.show_list(chosen, _CURRENCIES, "No currency is in use.")


def enable(session: Session, code: str) -> None:
    """Use a currency."""
    _change(session, code, "enabled", True)


def disable(session: Session, code: str) -> None:
    """Use a currency no more for what is new."""
    _change(session, code, "enabled", False)


def make_default(session: Session, code: str) -> None:
    """Make a currency the one that is meant where none is named."""
    _change(session, code, "default", True)


def _change(session: Session, code: str, name: str, value: bool) -> None:
    session.output.show(session.client.patch(path_of("v1", "currencies", code), {name: value}))
