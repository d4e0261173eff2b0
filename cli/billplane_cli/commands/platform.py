"""`up`, `down`, `status`, `doctor`, and what passes on to the platform's own programs."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billplane_cli import process
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.session import Session, command

# What follows is the other program's, options and all.
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}

HomeOption = Annotated[
    str | None,
    typer.Option("--home", envvar="BILLPLANE_HOME", help="Directory that the platform lives in."),
]
PortOffsetOption = Annotated[
    int | None,
    typer.Option(
        "--port-offset", envvar="BILLPLANE_PORT_OFFSET", help="Added to every port: 100 → 8180."
    ),
]
ArgumentsArgument = Annotated[list[str] | None, typer.Argument(metavar="ARGUMENTS…")]
_TOOLS = {
    "docker": ("docker --version", "for `docker compose up` and for images"),
    "kubectl": ("kubectl version --client", "for a cluster"),
    "helm": ("helm version --short", "for the chart"),
    "kind": ("kind version", "for a cluster on this machine"),
}


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(app, "up", remote=False, example="billplane up\nbillplane up --foreground")(up)
    command(app, "down", remote=False, example="billplane down")(down)
    command(app, "status", remote=False, example="billplane status -o json")(status)
    command(app, "doctor", example="billplane doctor")(doctor)
    for name, function, example in (
        ("verify", verify, "billplane verify\nbillplane verify ledger invoice"),
        ("psql", psql, "billplane psql ledger\nbillplane psql ledger -c 'TABLE accounts'"),
        ("run", run, "billplane run tax --port 8001"),
        ("migrate", migrate, "billplane migrate all\nbillplane migrate tax --down 1"),
    ):
        passed = {"remote": False, "output": False, "context_settings": _PASS_ON}
        command(app, name, example=example, **passed)(function)  # type: ignore[arg-type]


def up(
    session: Session,
    foreground: Annotated[bool, typer.Option(help="Stay and log, until Ctrl-C.")] = False,
    home: HomeOption = None,
    port_offset: PortOffsetOption = None,
) -> None:
    """Start the whole platform on this machine and return when it is ready."""
    options = _home_options(home, port_offset)
    if foreground:
        process.laptop([*options, "up", "--foreground"], lambda _, event: _log(session, event))
        return
    with session.output.working("Starting …") as say:
        event = process.laptop([*options, "up"], lambda _, event: say(_phase(event)))
    tell_ready(session, event)


def tell_ready(session: Session, event: Mapping[str, Any]) -> None:
    """Tell where the platform answers that has just been started, or was running already."""
    if event["already_running"]:
        session.output.say("Billplane is already running.")
    session.output.show({"url": event["url"], "docs": f"{event['url']}/docs"})


def down(session: Session, home: HomeOption = None) -> None:
    """Stop the platform on this machine; its data stays."""
    with session.output.working("Stopping …"):
        event = process.laptop([*_home_options(home, None), "down"])
    stopped = event["was_running"] or event["orphans_ended"]
    session.output.say("Stopped." if stopped else "Nothing was running.")


def status(session: Session, home: HomeOption = None) -> None:
    """Tell whether the platform runs on this machine, and each of its processes."""
    event = dict(process.laptop([*_home_options(home, None), "status"]))
    del event["event"]
    session.output.show(event, [Column(name, name) for name in event if name != "parts"])
    if event["parts"] and session.output.format == "table":
        columns = [Column("PROCESS", "name"), Column("PID", "pid"), Column("RESTARTS", "restarts")]
        session.output.show_list(event["parts"], columns)
    if not event["running"]:
        raise typer.Exit(ExitCode.UNREACHABLE)


def doctor(session: Session, home: HomeOption = None) -> None:
    """Tell what is missing on this machine and how to mend it."""
    checks = list(process.laptop([*_home_options(home, None), "doctor"])["checks"])
    checks.append(_answers(session))
    for name, (version, purpose) in _TOOLS.items():
        found = process.installed(*version.split())
        # None of these is needed to run on a laptop.
        checks.append({"name": name, "ok": True, "detail": found or f"not installed ({purpose})"})
    columns = [Column("CHECK", "name"), Column("OK", "ok"), Column("DETAIL", "detail")]
    session.output.show_list(checks, columns)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(ExitCode.FAILED)


def verify(_session: Session, arguments: ArgumentsArgument = None) -> None:
    """Check every invariant: the ledger balances, invoices add up, nothing is billed twice."""
    _pass_on("verify", arguments)


def psql(_session: Session, service: str, arguments: ArgumentsArgument = None) -> None:
    """Open a read-only connection to the data of one service."""
    raise typer.Exit(process.psql([service, *(arguments or [])]))


def run(_session: Session, arguments: ArgumentsArgument = None) -> None:
    """Run services in this terminal, for development."""
    _pass_on("run", arguments)


def migrate(_session: Session, arguments: ArgumentsArgument = None) -> None:
    """Bring the schemas of services to a revision."""
    _pass_on("migrate", arguments)


def _pass_on(name: str, arguments: list[str] | None) -> None:
    raise typer.Exit(process.platform([name, *(arguments or [])]))


def _answers(session: Session) -> dict[str, Any]:
    try:
        session.anonymous.get("/health")
    except CliError as error:
        # Not running is no fault; what would keep it from starting is checked apart.
        return {"name": "gateway", "ok": True, "detail": error.message}
    return {"name": "gateway", "ok": True, "detail": f"{session.url} answers"}


def _home_options(home: str | None, port_offset: int | None) -> list[str]:
    options = ["--home", home] if home else []
    return options + (["--port-offset", str(port_offset)] if port_offset is not None else [])


def _phase(event: Mapping[str, Any]) -> str:
    words = str(event.get("detail") or event["event"])
    return words[:1].upper() + words[1:] + " …"


def _log(session: Session, event: Mapping[str, Any]) -> None:
    detail = event.get("url") or event.get("detail") or ""
    session.output.say(f"{event['event']}: {detail}")
