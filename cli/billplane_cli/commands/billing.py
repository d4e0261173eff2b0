"""`bill` and `clock`: bill what has ended, and move test time to make it end."""

import time
from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.commands.arguments import LimitOption
from billplane_cli.errors import CliError
from billplane_cli.output import Column
from billplane_cli.session import Session, command

POLL_SECONDS = 0.2

_RUN_COLUMNS = [
    Column("Run", "id"),
    Column("State", "state"),
    Column("Periods", "periods"),
    Column("Invoiced", "invoiced"),
    Column("Failed", "failed"),
    Column("Errors", lambda run: [_error(error) for error in run.get("errors") or []]),
]
_CLOCK_COLUMNS = [Column("ID", "id"), Column("NAME", "name"), Column("NOW", "now")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(app, "bill", example="billplane bill\nbillplane bill --customer cus_… --draft")(bill)
    group = typer.Typer(no_args_is_help=True, help="Time of test customers, moved by hand.")
    command(
        group, "create", example="billplane clock create --now 2026-01-01T00:00:00Z --name demo"
    )(create_clock)
    command(group, "list", example="billplane clock list")(list_clocks)
    command(group, "show", example="billplane clock show clk_…")(show_clock)
    command(group, "advance", example="billplane clock advance clk_… 2026-02-01T00:00:00Z")(
        advance_clock
    )
    app.add_typer(group, name="clock")


def bill(
    session: Session,
    customer: Annotated[
        list[str] | None, typer.Option(help="Only this customer's; several times.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Periods that ended by then; else by now.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Leave the invoices drafts.")] = False,
    timeout: Annotated[float, typer.Option(help="How long to wait for it, in seconds.")] = 60,
) -> None:
    """Bill every period that has ended, and wait for it; twice bills nothing twice."""
    body: dict[str, Any] = {"finalize": not draft}
    body |= {key: value for key, value in {"at": at, "customer_ids": customer}.items() if value}
    run = session.client.post("/v1/billing_runs", body)
    deadline = time.monotonic() + timeout
    with session.output.working("Billing …") as say:
        while not run.get("finished_at") and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            run = session.client.get(path_of("v1", "billing_runs", run["id"]))
            say(f"Billing … {run['invoiced']} of {run['periods']} periods")
    session.output.show(run, _RUN_COLUMNS)
    if not run.get("finished_at"):
        raise CliError(f"{run['id']} has not ended within {timeout:.0f} s; it goes on.")
    if run["failed"]:
        raise CliError(f"{run['failed']} periods could not be billed; they stay due.")


def create_clock(
    session: Session,
    now: Annotated[str, typer.Option(help="What time it shows, such as 2026-01-01T00:00:00Z.")],
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Create a test clock; customers are put on it when they are created."""
    body = {"now": now, "name": name} if name else {"now": now}
    session.output.show(session.client.post("/v1/test_clocks", body))


def list_clocks(session: Session, limit: LimitOption = 50) -> None:
    """List test clocks, the newest first."""
    clocks = session.client.pages("/v1/test_clocks", limit=limit or None)
    session.output.show_list(clocks, _CLOCK_COLUMNS, "There are no test clocks.")


def show_clock(session: Session, clock_id: str) -> None:
    """Show a test clock."""
    session.output.show(session.client.get(path_of("v1", "test_clocks", clock_id)))


def advance_clock(
    session: Session,
    clock_id: str,
    to: Annotated[str, typer.Argument(help="Such as 2026-02-01T00:00:00Z; only forward.")],
) -> None:
    """Move a test clock forward; renewals and reminders on the way happen."""
    path = path_of("v1", "test_clocks", f"{clock_id}:advance")
    session.output.show(session.client.post(path, {"to": to}))


def _error(error: dict[str, Any]) -> str:
    return f"{error.get('subscription_id')}: {error.get('detail')} ({error.get('reason')})"
