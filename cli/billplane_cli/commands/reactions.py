"""`reactions`: what is done when something happens, what failed, and doing it again."""

from typing import Annotated

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.session import Session, command

_COLUMNS = [
    Column("REACTION", "name"),
    Column("MESSAGE", "message"),
    Column("CONDITION", "condition"),
    Column("TASK", "task"),
    Column("ENABLED", "enabled"),
]
_LETTER_COLUMNS = [
    Column("ID", "id"),
    Column("REACTION", "reaction"),
    Column("MESSAGE", "message"),
    Column("ABOUT", "aggregate_id"),
    Column("REASON", "reason"),
    Column("ATTEMPTS", "attempts", right=True),
    Column("CREATED", "created_at"),
]

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[DEAD LETTERS]", help="Their ids.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What is done when something happens.")
    command(
        group,
        "list",
        example="billplane reactions list\nbillplane reactions list --failed",
    )(list_reactions)
    command(
        group,
        "replay",
        example="billplane reactions replay dlq_…\nbillplane reactions replay --all",
    )(replay)
    app.add_typer(group, name="reactions")


def list_reactions(
    session: Session,
    failed: Annotated[
        bool, typer.Option("--failed", help="The dead letters: what a reaction failed on.")
    ] = False,
    limit: LimitOption = 50,
) -> None:
    """List reactions, or what they failed on for good, the newest first."""
    if failed:
        letters = session.client.pages("/v1/dead_letters", limit=limit or None)
        session.output.show_list(letters, _LETTER_COLUMNS, "No reaction has failed.")
        return
    found = session.client.pages("/v1/reactions", limit=limit or None)
    session.output.show_list(found, _COLUMNS, "There are no reactions.")


def replay(
    session: Session,
    dead_letter_ids: IdsArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every dead letter, the oldest first.")
    ] = False,
) -> None:
    """Do reactions again that failed; each that succeeds is gone from the list."""
    if bool(dead_letter_ids) == everything:
        raise CliError("Name dead letters, or say --all.", exit_code=ExitCode.USAGE)
    chosen = dead_letter_ids or [
        str(letter["id"]) for letter in session.client.pages("/v1/dead_letters", {"order": "asc"})
    ]
    done, left = [], 0
    for letter_id in chosen:
        try:
            done.append(session.client.post(path_of("v1", "dead_letters", f"{letter_id}:replay")))
        except CliError as error:
            if not everything:
                raise
            left += 1
            session.output.warn(f"{letter_id}: {error}")
    session.output.show_list(done, _LETTER_COLUMNS, "There was nothing to do again.")
    if left:
        raise CliError(f"{left} failed again and stay.", exit_code=ExitCode.FAILED)
