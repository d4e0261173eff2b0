"""Options that several commands share."""

from collections.abc import Iterable
from typing import Annotated

import typer

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

LimitOption = Annotated[
    int, typer.Option("--limit", min=0, help="How many at most; 0 for all of them.")
]
MetadataOption = Annotated[
    list[str] | None, typer.Option("--metadata", help="KEY=VALUE of yours; several times.")
]


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
