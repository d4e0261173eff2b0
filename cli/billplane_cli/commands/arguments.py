"""Options that several commands share."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import iso4217
import typer

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

LimitOption = Annotated[
    int, typer.Option("--limit", min=0, help="How many at most; 0 for all of them.")
]
MetadataOption = Annotated[
    list[str] | None, typer.Option("--metadata", help="KEY=VALUE of yours; several times.")
]


def given(**values: Any) -> dict[str, Any]:
    """Return what was given; zero and no are answers, an empty text or list is none."""
    return {
        name: value for name, value in values.items() if value is not None and value not in ("", [])
    }


def pairs(given: Iterable[str] | None, option: str = "--metadata") -> dict[str, str]:
    """Read KEY=VALUE options.

    Raises: CliError naming the one that is none.
    """
    found = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise CliError(f"{option} {text} is not KEY=VALUE.", exit_code=ExitCode.USAGE)
        found[key] = value
    return found


def minor_units(text: str, currency: str) -> int:
    """Read an amount of a currency as its minor units: 12.50, EUR → 1250.

    Raises: CliError where it is no amount of that currency.
    """
    try:
        minor = Decimal(text).scaleb(iso4217.Currency(currency).exponent or 0)
        if minor.is_finite() and minor == minor.to_integral_value():
            return int(minor)
    except (InvalidOperation, ValueError):
        pass
    raise CliError(f"{text} is no amount of {currency}.", exit_code=ExitCode.USAGE)
