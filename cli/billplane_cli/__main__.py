"""The command `billplane`, also installed as `micro`."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values

from billplane_cli.commands import (
    account,
    billing,
    cluster,
    credit_note,
    customer,
    discount,
    exchange_rate,
    export,
    external_price,
    invoice,
    ledger,
    listen,
    payment,
    plan,
    platform,
    quote,
    reactions,
    resources,
    staff,
    subscription,
    tax,
    usage,
    wallet,
)
from billplane_cli.exit_codes import MEANINGS
from billplane_cli.output import Output

_CODES = "  ".join(f"[bold]{int(code)}[/bold] {meaning}." for code, meaning in MEANINGS.items())

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Run and use Billplane: metering, pricing, invoices and payments from resources.",
    epilog=f"Exit codes: {_CODES}",
)
for group in (
    platform,
    cluster,
    resources,
    export,
    account,
    customer,
    plan,
    subscription,
    usage,
    billing,
    invoice,
    credit_note,
    ledger,
    wallet,
    payment,
    listen,
    quote,
    reactions,
    discount,
    tax,
    exchange_rate,
    external_price,
    staff,
):
    group.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        Output().raw(version("billplane") + "\n")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run and use Billplane: metering, pricing, invoices and payments from resources."""


def main() -> None:
    """Run the command line."""
    if os.access(".env", os.R_OK):
        for name, value in dotenv_values(Path(".env")).items():
            if value is not None:
                os.environ.setdefault(name, value)
    app(prog_name=Path(sys.argv[0]).name if sys.argv[0].endswith("micro") else "billplane")


if __name__ == "__main__":
    main()
