"""`listen` and `trigger`: hear of events, and cause them."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from billplane_cli.errors import ApiError, CliError
from billplane_cli.event_stream import EventStream
from billplane_cli.exit_codes import ExitCode
from billplane_cli.forwarding import Forwarder, Position, signing_secret
from billplane_cli.output import Format
from billplane_cli.session import Session, command
from billplane_cli.triggers import TRIGGERS, pull

NOW = "now"
_EXPIRED = "CURSOR_EXPIRED"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(
        app,
        "listen",
        example="billplane listen --forward-to localhost:4242/webhook\n"
        "billplane listen --events invoice.*,payment_intent.succeeded\n"
        "billplane listen --since 0 --output json",
    )(listen)
    command(
        app,
        "trigger",
        example="billplane trigger payment_intent.succeeded\nbillplane trigger --list",
    )(trigger)


def listen(
    session: Session,
    forward_to: Annotated[
        str | None,
        typer.Option("--forward-to", help="Post each event to this address, signed."),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option("--events", help="Types such as invoice.*,customer.created; else all."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="A cursor or an event's id; 0 the oldest kept, `now` what comes. "
            "Else where the same command ended.",
        ),
    ] = None,
) -> None:
    """Hear of events as they happen; after a disconnect or a restart nothing is left out."""
    credential = session.listen_credential()
    secret = signing_secret(credential)
    mode = "live" if session.options.live else "test"
    position = Position.of(session.url, secret, mode, forward_to or "", events or "")
    forwarder = Forwarder(forward_to, secret, session.output.warn) if forward_to else None
    stream = EventStream(
        session.url,
        credential=session.listen_credential,
        renew=session.renew,
        types=[name.strip() for name in (events or "").split(",") if name.strip()],
        livemode=session.options.live,
        tell=session.output.warn,
    )
    session.output.say(f"Ready. Your webhook signing secret is {secret} (the same each time).")
    after = _beginning(session, position, since)
    try:
        for frame in stream.frames(after):
            if frame.event is not None:
                outcome = forwarder.forward(frame.event) if forwarder else ""
                _tell(session, frame.cursor, frame.event, outcome)
            position.save(frame.cursor)
    except ApiError as error:
        if error.reason != _EXPIRED:
            raise
        raise CliError(
            error.detail, hint="Use --since 0 or --since now.", exit_code=ExitCode.CONFLICT
        ) from error
    finally:
        if forwarder:
            forwarder.close()


def trigger(
    session: Session,
    event: Annotated[str | None, typer.Argument(help="The type, such as invoice.paid.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the types there are.")] = False,
) -> None:
    """Cause an event in test mode, by really doing what it tells of."""
    if show or event is None:
        session.output.raw("".join(f"{name}\n" for name in sorted(TRIGGERS)))
        return
    if session.options.live:
        raise CliError("Events are caused in test mode alone.", exit_code=ExitCode.USAGE)
    if event not in TRIGGERS:
        raise CliError(
            f"{event} cannot be caused.",
            hint="`billplane trigger --list` shows what can.",
            exit_code=ExitCode.USAGE,
        )
    mark = f"{time.time_ns():x}"
    for step in pull(session.client, TRIGGERS[event], mark):
        session.output.say(step)
    session.output.say(f"Done: {event} is on its way.")


def _beginning(session: Session, position: Position, since: str | None) -> str:
    if since == NOW:
        return ""
    if since is not None:
        return since
    after = position.load()
    if after:
        session.output.say(
            f"Going on after {after}, where the last run ended (--since now: don't)."
        )
    return after


def _tell(session: Session, cursor: str, event: Mapping[str, Any], outcome: str) -> None:
    if session.options.output is Format.JSON:
        line = {"cursor": cursor, "event": event, "outcome": outcome or None}
        session.output.raw(json.dumps(line, ensure_ascii=False) + "\n")
        return
    at = datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    shown = f"  [{outcome}]" if outcome else ""
    session.output.raw(f"{at}  {event['type']}  {event['id']}{shown}\n")
