"""`wallet`: prepaid balances of customers."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, minor_units
from billplane_cli.output import Column, money
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("ID", "id"),
    Column("CUSTOMER", "customer_id"),
    Column("STATE", "state"),
    Column("POSTED", money("balance.posted_minor"), right=True),
    Column("RESERVED", money("balance.reserved_minor"), right=True),
    Column("AVAILABLE", money("balance.available_minor"), right=True),
]
_CREDIT_COLUMNS = [
    Column("CREDIT", "id"),
    Column("KIND", "kind"),
    Column("PRIORITY", "priority", right=True),
    Column("GRANTED", money("granted_minor"), right=True),
    Column("LEFT", money("remaining_minor"), right=True),
    Column("ENDS", "expires_at"),
]
_OPERATION_COLUMNS = [
    Column("ID", "id"),
    Column("KIND", "kind"),
    Column("AMOUNT", money("amount_minor"), right=True),
    Column("REFERENCE", "reference"),
    Column("AT", "created_at"),
]
AmountArgument = Annotated[str, typer.Argument(help="Such as 12.50, in the wallet's currency.")]
ReferenceOption = Annotated[str, typer.Option(help="A word of yours, to find it again.")]
KindOption = Annotated[str, typer.Option(help="promotional or purchased.")]
PriorityOption = Annotated[int | None, typer.Option(min=0, help="The lower, the sooner used.")]
ExpiresOption = Annotated[
    str | None, typer.Option(help="When it ends, such as 2027-01-01T00:00:00Z.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Prepaid balances of customers.")
    command(group, "list", example="billplane wallet list --customer cus_…")(list_wallets)
    command(group, "show", example="billplane wallet show wal_…")(show)
    command(
        group,
        "open",
        example="billplane wallet open cus_… EUR\n"
        "billplane wallet open cus_… EUR --low-balance 5 --fill-below 10 --fill-by 50",
    )(open_wallet)
    command(
        group,
        "top-up",
        example="billplane wallet top-up wal_… 50 --reason 'bank transfer'\n"
        "billplane wallet top-up wal_… 50 --payment pi_…",
    )(top_up)
    command(
        group,
        "grant",
        example="billplane wallet grant wal_… 25 --expires-at 2027-01-01T00:00:00Z",
    )(grant)
    command(group, "charge", example="billplane wallet charge wal_… 3.20")(charge)
    command(group, "operations", example="billplane wallet operations wal_…")(operations)
    app.add_typer(group, name="wallet")


def list_wallets(
    session: Session,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List wallets with what they hold, the newest first."""
    found = session.client.pages("/v1/wallets", {"customer_id": customer}, limit=limit or None)
    session.output.show_list(map(_with_currency, found), _COLUMNS, "There are no wallets.")


def show(session: Session, wallet_id: str) -> None:
    """Show a wallet, its credits below it in the order in which they are used."""
    wallet = session.client.get(path_of("v1", "wallets", wallet_id))
    if session.output.format != "table":
        session.output.show(wallet)
        return
    session.output.show_list([_with_currency(wallet)], _COLUMNS, "")
    currency = {"currency_code": wallet["currency_code"]}
    credits_left = [{**currency, **item} for item in wallet["balance"]["credits"]]
    session.output.show_list(credits_left, _CREDIT_COLUMNS, "It has no credits.")


def open_wallet(
    session: Session,
    customer: str,
    currency: Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")],
    overdraft: Annotated[
        str | None, typer.Option(help="How far a charge may go below zero.")
    ] = None,
    low_balance: Annotated[
        str | None, typer.Option(help="Below what the customer is told.")
    ] = None,
    fill_below: Annotated[
        str | None, typer.Option(help="Below what it is filled by the customer's card.")
    ] = None,
    fill_by: Annotated[str | None, typer.Option(help="By how much it is filled.")] = None,
) -> None:
    """Open a wallet, or show the one that the customer has in the currency."""
    body: dict[str, Any] = {"customer_id": customer, "currency_code": currency}
    for name, text in (("overdraft_minor", overdraft), ("low_balance_minor", low_balance)):
        if text is not None:
            body[name] = minor_units(text, currency)
    if fill_below is not None or fill_by is not None:
        body["auto_top_up"] = {
            "below_minor": minor_units(fill_below or "0", currency),
            "amount_minor": minor_units(fill_by or "0", currency),
        }
    session.output.show(session.client.post("/v1/wallets", body))


def top_up(
    session: Session,
    wallet_id: str,
    amount: AmountArgument,
    payment: Annotated[str | None, typer.Option(help="The payment that brought it.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is added by hand.")] = None,
    reference: ReferenceOption = "",
) -> None:
    """Add money that was paid."""
    body = {
        "amount_minor": _amount(session, wallet_id, amount),
        "payment_intent_id": payment or "",
        "manual_reason": reason or "",
        "reference": reference,
    }
    session.output.show(session.client.post(f"{path_of('v1', 'wallets', wallet_id)}:top_up", body))


def grant(
    session: Session,
    wallet_id: str,
    amount: AmountArgument,
    kind: KindOption = "promotional",
    priority: PriorityOption = None,
    expires_at: ExpiresOption = None,
    reference: ReferenceOption = "",
) -> None:
    """Give credit, which is used before money that was paid."""
    body = credit_body(_amount(session, wallet_id, amount), kind, priority, expires_at, reference)
    session.output.show(session.client.post(f"{path_of('v1', 'wallets', wallet_id)}:grant", body))


def charge(
    session: Session,
    wallet_id: str,
    amount: AmountArgument,
    reference: ReferenceOption = "",
) -> None:
    """Take an amount."""
    body = {"amount_minor": _amount(session, wallet_id, amount), "reference": reference}
    session.output.show(session.client.post(f"{path_of('v1', 'wallets', wallet_id)}:charge", body))


def operations(session: Session, wallet_id: str, limit: LimitOption = 50) -> None:
    """List what moved a wallet's balance, the newest first."""
    path = path_of("v1", "wallets", wallet_id, "operations")
    found = session.client.pages(path, limit=limit or None)
    session.output.show_list(found, _OPERATION_COLUMNS, "Nothing has moved its balance.")


def credit_body(
    amount_minor: int, kind: str, priority: int | None, expires_at: str | None, reference: str
) -> dict[str, Any]:
    """Return the request that gives credit."""
    body: dict[str, Any] = {"amount_minor": amount_minor, "kind": kind, "reference": reference}
    if priority is not None:
        body["priority"] = priority
    if expires_at is not None:
        body["expires_at"] = expires_at
    return body


def _amount(session: Session, wallet_id: str, text: str) -> int:
    wallet = session.client.get(path_of("v1", "wallets", wallet_id))
    return minor_units(text, wallet["currency_code"])


def _with_currency(wallet: dict[str, Any]) -> dict[str, Any]:
    balance = wallet["balance"]
    return {**wallet, **{f"balance.{name}": value for name, value in balance.items()}}
