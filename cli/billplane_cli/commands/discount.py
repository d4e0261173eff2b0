"""`coupon` and `discount-rule`: what is taken off, with a code or without."""

from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption, given, minor_units
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_OFF = Column(
    "OFF",
    lambda item: (
        f"{item['percent']} %"
        if item.get("percent")
        else f"{item.get('amount_minor')} {item.get('currency_code')} minor"
    ),
)
_COUPONS = [
    Column("ID", "id"),
    Column("CODE", "code"),
    _OFF,
    Column("DURATION", "duration"),
    Column("REDEEMED", "redemptions"),
    Column("AT MOST", "redemptions_max"),
    Column("UNTIL", "valid_until"),
    Column("STATE", "state"),
]
_RULES = [
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("USER TYPES", lambda rule: " ".join(rule.get("user_types") or [])),
    Column("FROM MINOR", "minimum_minor"),
    Column("PER", "per"),
    _OFF,
    Column("UNTIL", "valid_until"),
    Column("STATE", "state"),
]
PercentOption = Annotated[str | None, typer.Option(help="Such as 10 or 12.5.")]
AmountOption = Annotated[str | None, typer.Option(help="Such as 5.00, with --currency.")]
CurrencyOption = Annotated[str | None, typer.Option(help="ISO 4217, such as EUR.")]
CapOption = Annotated[str | None, typer.Option(help="Takes off at most this, with --currency.")]
NameOption = Annotated[str | None, typer.Option(help="As on the invoice.")]
PriorityOption = Annotated[int | None, typer.Option(help="The higher goes first.")]
AloneOption = Annotated[bool, typer.Option("--alone", help="Goes with no other discount.")]
FromOption = Annotated[str | None, typer.Option(help="Such as 2027-01-01T00:00:00Z.")]
UntilOption = Annotated[str | None, typer.Option(help="Such as 2027-02-01T00:00:00Z.")]
PlanOption = Annotated[list[str] | None, typer.Option(help="Only of this plan; several times.")]
ChargeOption = Annotated[list[str] | None, typer.Option(help="Only on this charge; several times.")]
MeterOption = Annotated[list[str] | None, typer.Option(help="Only on this meter; several times.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    coupon = typer.Typer(no_args_is_help=True, help="Codes that lower what is charged.")
    command(coupon, "list", example="billplane coupon list")(list_coupons)
    command(coupon, "show", example="billplane coupon show WELCOME")(show_coupon)
    command(
        coupon,
        "create",
        example="billplane coupon create WELCOME --percent 10 --duration repeating --periods 3\n"
        "billplane coupon create FIVE --amount 5 --currency EUR --redemptions-max 100",
    )(create_coupon)
    command(coupon, "archive", example="billplane coupon archive WELCOME")(archive_coupon)
    app.add_typer(coupon, name="coupon")
    rule = typer.Typer(no_args_is_help=True, help="Discounts that need no code.")
    command(rule, "list", example="billplane discount-rule list --kind threshold")(list_rules)
    command(rule, "show", example="billplane discount-rule show dsr_…")(show_rule)
    command(
        rule,
        "create",
        example="billplane discount-rule create --user-type vip --percent 10\n"
        "billplane discount-rule create --from 1000 --currency EUR --per period --percent 5",
    )(create_rule)
    command(rule, "archive", example="billplane discount-rule archive dsr_…")(archive_rule)
    app.add_typer(rule, name="discount-rule")


def list_coupons(session: Session, limit: LimitOption = 50) -> None:
    """List coupons, archived ones too."""
    found = session.client.pages("/v1/coupons", limit=limit or None)
    session.output.show_list(found, _COUPONS, "There are no coupons.")


def show_coupon(session: Session, coupon: str) -> None:
    """Show a coupon by its id or code."""
    session.output.show(session.client.get(path_of("v1", "coupons", coupon)))


def create_coupon(
    session: Session,
    code: Annotated[str, typer.Argument(help="What the customer types.")],
    percent: PercentOption = None,
    amount: AmountOption = None,
    currency: CurrencyOption = None,
    name: NameOption = None,
    duration: Annotated[str, typer.Option(help="once, repeating or forever.")] = "once",
    periods: Annotated[int | None, typer.Option(help="How many, of a repeating one.")] = None,
    redemptions_max: Annotated[int | None, typer.Option(help="In all.")] = None,
    per_customer_max: Annotated[int | None, typer.Option(help="By one customer.")] = None,
    cap: CapOption = None,
    priority: PriorityOption = None,
    alone: AloneOption = False,
    valid_from: FromOption = None,
    valid_until: UntilOption = None,
    plan: PlanOption = None,
    charge: ChargeOption = None,
    meter: MeterOption = None,
) -> None:
    """Create a coupon."""
    body = given(
        code=code,
        name=name,
        duration=duration,
        duration_periods=periods,
        redemptions_max=redemptions_max,
        redemptions_per_customer_max=per_customer_max,
        **_off(percent, amount, currency, cap),
        **_bounds(priority, alone, valid_from, valid_until),
        **_where(plan, charge, meter),
    )
    session.output.show(session.client.post("/v1/coupons", body))


def archive_coupon(session: Session, coupon: str) -> None:
    """Archive a coupon: nobody else may redeem it."""
    session.client.delete(path_of("v1", "coupons", coupon))
    session.output.say(f"{coupon} is archived.")


def list_rules(
    session: Session,
    kind: Annotated[str | None, typer.Option(help="user_type or threshold.")] = None,
    limit: LimitOption = 50,
) -> None:
    """List rules, archived ones too."""
    found = session.client.pages("/v1/discount_rules", given(kind=kind), limit=limit or None)
    session.output.show_list(found, _RULES, "There are no rules.")


def show_rule(session: Session, rule_id: str) -> None:
    """Show a rule."""
    session.output.show(session.client.get(path_of("v1", "discount_rules", rule_id)))


def create_rule(
    session: Session,
    user_type: Annotated[
        list[str] | None, typer.Option(help="For customers of this type; several times.")
    ] = None,
    minimum: Annotated[
        str | None, typer.Option("--from", help="For amounts from this on, with --currency.")
    ] = None,
    per: Annotated[str, typer.Option(help="What --from counts: invoice or period.")] = "invoice",
    percent: PercentOption = None,
    amount: AmountOption = None,
    currency: CurrencyOption = None,
    name: NameOption = None,
    cap: CapOption = None,
    priority: PriorityOption = None,
    alone: AloneOption = False,
    valid_from: FromOption = None,
    valid_until: UntilOption = None,
    plan: PlanOption = None,
    charge: ChargeOption = None,
    meter: MeterOption = None,
) -> None:
    """Create a discount for customers of some types, or from an amount on."""
    if bool(user_type) == bool(minimum):
        raise CliError("Give either --user-type or --from.", exit_code=ExitCode.USAGE)
    body = given(
        kind="user_type" if user_type else "threshold",
        name=name,
        user_types=user_type,
        minimum_minor=_minor(minimum, currency, "--from"),
        per=per,
        **_off(percent, amount, currency, cap),
        **_bounds(priority, alone, valid_from, valid_until),
        **_where(plan, charge, meter),
    )
    session.output.show(session.client.post("/v1/discount_rules", body))


def archive_rule(session: Session, rule_id: str) -> None:
    """Archive a rule: it lowers no further document."""
    session.client.delete(path_of("v1", "discount_rules", rule_id))
    session.output.say(f"{rule_id} is archived.")


def _off(
    percent: str | None, amount: str | None, currency: str | None, cap: str | None
) -> dict[str, Any]:
    if bool(percent) == bool(amount):
        raise CliError("Give either --percent or --amount.", exit_code=ExitCode.USAGE)
    return {
        "percent": percent,
        "amount_minor": _minor(amount, currency, "--amount"),
        "currency_code": currency,
        "cap_minor": _minor(cap, currency, "--cap"),
    }


def _minor(text: str | None, currency: str | None, option: str) -> int | None:
    if text is None:
        return None
    if currency is None:
        raise CliError(f"{option} needs --currency.", exit_code=ExitCode.USAGE)
    return minor_units(text, currency)


def _bounds(
    priority: int | None, alone: bool, valid_from: str | None, valid_until: str | None
) -> dict[str, Any]:
    return {
        "priority": priority,
        "stackable": False if alone else None,
        "valid_from": valid_from,
        "valid_until": valid_until,
    }


def _where(
    plan: list[str] | None, charge: list[str] | None, meter: list[str] | None
) -> dict[str, Any]:
    return {"plans": plan, "charges": charge, "meters": meter}
