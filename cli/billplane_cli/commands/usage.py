"""`usage`: send events, one at a time or from a file."""

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from billplane_cli.commands import usage_adjustment
from billplane_cli.commands.arguments import pairs
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.session import Session, command
from billplane_cli.usage_import import ImportState, Rejection, UsageImport
from billplane_cli.usage_mapping import EventMapping
from billplane_cli.usage_rows import OpenRows, RowSource

PATH = "/v1/usage_events"
BATCH_TYPE = "application/cloudevents-batch+json"
# An import goes on over a restart of the platform.
PATIENCE_SECONDS = 120.0
_REJECTIONS_SHOWN = 10


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What customers used.")
    command(
        group,
        "send",
        example="billplane usage send cus_… --type api.request --data units=5\n"
        "billplane usage send cus_… --type api.request --id request-17 --data region=eu",
    )(send)
    command(
        group,
        "import",
        example="billplane usage import calls.csv --type api.request --map subject=customer "
        "--map time=at --map data.units=calls\n"
        "billplane usage import flights.csv.zip --type flight.scheduled --map subject=carrier "
        "--map 'id={carrier}-{flight}-{origin}-{year}{month:02}{day:02}' --map time=time_hour\n"
        "gunzip -c huge.csv.gz | billplane usage import - --type kwh --map id=reading",
    )(import_file)
    usage_adjustment.add_to(group)
    app.add_typer(group, name="usage")


def send(
    session: Session,
    subject: Annotated[str, typer.Argument(help="The customer: our id or yours.")],
    event_type: Annotated[str, typer.Option("--type", help="The meter's eventType.")],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="NAME=VALUE; several times.")
    ] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="Yours; the same id again counts once.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where ids are unique.")] = "cli",
    at: Annotated[str | None, typer.Option("--time", help="When; else now.")] = None,
) -> None:
    """Send one usage event."""
    moment = at or datetime.now(UTC).isoformat().replace("+00:00", "Z")
    values = pairs(data, "--data")
    made = hashlib.sha256(f"{subject}\0{time.time_ns()}\0{values}".encode()).hexdigest()[:32]
    event = {
        "specversion": "1.0",
        "type": event_type,
        "source": source,
        "id": event_id or made,
        "subject": subject,
        "time": moment,
        "data": values,
    }
    answer = _post(session, json.dumps([event], ensure_ascii=False).encode())
    session.output.show({**answer["results"][0], "subject": subject, "time": moment})


def import_file(
    session: Session,
    file: Annotated[str, typer.Argument(help="CSV or JSON lines, also .gz or .zip; `-` a pipe.")],
    event_type: Annotated[
        str, typer.Option("--type", help="The meter's eventType, the same for all rows.")
    ] = "",
    source: Annotated[
        str, typer.Option("--source", help="Where ids are unique, the same for all rows.")
    ] = "",
    rules: Annotated[
        list[str] | None,
        typer.Option("--map", help="TARGET=COLUMN; several times. See the examples."),
    ] = None,
    member: Annotated[str | None, typer.Option(help="Which file of a .zip.")] = None,
    delimiter: Annotated[str, typer.Option(help="Between columns.")] = ",",
    json_lines: Annotated[
        bool | None, typer.Option("--json-lines/--csv", help="Else as the name says.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Of times that name none.")] = "UTC",
    now: Annotated[bool, typer.Option("--now", help="All of it is used now.")] = False,
    rejected: Annotated[
        Path | None, typer.Option("--rejected", help="File for refused rows and why.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget where an interrupted import was.")
    ] = False,
) -> None:
    """Import usage from a file of any size; after an interruption, run the same again."""
    rows = RowSource(file, member, delimiter, json_lines)
    with session.output.working("Reading …"):
        identity = rows.digest() if rows.is_file else ""
    mapping = EventMapping(
        rules or [],
        event_type=event_type,
        source=source,
        zone=_zone(time_zone),
        identity=identity,
        time_is_now=now,
    )
    parameters = [identity, rules, event_type, source, time_zone, now, session.url]
    parameters += [session.options.live, str(rejected)]
    shown: list[Rejection] = []

    def on_rejection(rejection: Rejection) -> None:
        if len(shown) < _REJECTIONS_SHOWN:
            shown.append(rejection)

    session.client.patience_seconds = PATIENCE_SECONDS
    importing = UsageImport(
        rows,
        mapping,
        lambda content: _post(session, content),
        import_id=hashlib.sha256(json.dumps(parameters).encode()).hexdigest(),
        rejected_path=rejected,
        on_rejection=on_rejection,
    )
    if restart and importing.checkpoint_path is not None:
        importing.checkpoint_path.unlink(missing_ok=True)
    if importing.resume():
        session.output.say(f"Going on after line {importing.state.line}.")
    state = _run(session, importing, file)
    _finish(session, file, state, shown, rejected)


def _run(session: Session, importing: UsageImport, file: str) -> ImportState:
    started_at, before = time.monotonic(), importing.state
    total = Path(file).stat().st_size if Path(file).is_file() else None
    with session.output.progress(f"Importing {Path(file).name}", total) as meter:

        def on_progress(opened: OpenRows, state: ImportState) -> None:
            done = _events(state) - _events(before)
            rate = done / max(time.monotonic() - started_at, 0.001)
            position = opened.position()
            if opened.total and total:
                position = position * total // opened.total
            meter(position, f"{_events(state):,} events, {rate:,.0f}/s")

        try:
            return importing.run(on_progress)
        except (CliError, KeyboardInterrupt):
            if importing.checkpoint_path is not None and importing.state.line:
                session.output.warn(
                    f"Stopped after line {importing.state.line}. Run the same command again to "
                    "go on from there."
                )
            raise


def _finish(
    session: Session, file: str, state: ImportState, shown: list[Rejection], rejected: Path | None
) -> None:
    session.output.show(
        {
            "file": file,
            "accepted": state.accepted,
            "duplicates": state.duplicates,
            "rejected": state.rejected,
            "last_line": state.line,
        }
    )
    if not state.rejected:
        return
    if rejected is not None:
        session.output.warn(f"{state.rejected:,} rows were refused; {rejected} says why.")
    else:
        for rejection in shown:
            field = f" {rejection.field}" if rejection.field else ""
            session.output.warn(
                f"line {rejection.line}:{field} {rejection.detail} ({rejection.reason})"
            )
        if state.rejected > len(shown):
            session.output.warn("See all of them with --rejected FILE.")
    raise typer.Exit(ExitCode.PARTLY_REJECTED)


def _post(session: Session, content: bytes) -> dict[str, Any]:
    # The ids of the events make it safe to repeat; no other key is needed.
    headers = {"Content-Type": BATCH_TYPE}
    answer: dict[str, Any] = session.client.request(
        "POST", PATH, body=content, headers=headers
    ).json()
    return answer


def _events(state: ImportState) -> int:
    return state.accepted + state.duplicates + state.rejected


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:
        raise CliError(f"There is no time zone {name!r}.", exit_code=ExitCode.USAGE) from error
