"""`plan diff` and `approve`: what a changed plan does to bills, and letting it."""

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from billplane_cli.commands.resources import (
    ContextOption,
    NamespaceOption,
    TimeoutOption,
    namespace_of,
    resources_of,
)
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.manifests import check_name, kind_of, read_manifests
from billplane_cli.output import Column, money
from billplane_cli.resource_folder import Address, conditions, is_decided, ready
from billplane_cli.session import Session, command

APPROVE_ANNOTATION = "billplane.io/approve"
APPROVAL_CHARACTERS = 12
POLL_SECONDS = 0.2


class _Loader(yaml.SafeLoader):
    """Reads a spec as the platform does: dates, times and fractions stay as they are written."""


_AS_TEXT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in _AS_TEXT]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_AS_TEXT[2], re.compile("^-?(0|[1-9][0-9]*)$"), list("-0123456789"))

_TOTALS = [
    Column("Plan", "plan"),
    Column("Subscriptions", "active_subscriptions"),
    Column("Billed periods", "periods"),
    Column("Customers", "customers"),
    Column("Pay more", "up"),
    Column("Pay less", "down"),
    Column("Pay the same", "same"),
    Column("Before", money("old_total_minor")),
    Column("After", money("new_total_minor")),
]
_EXAMPLES = [
    Column("CUSTOMER", "external_id"),
    Column("NAME", "name"),
    Column("BEFORE", money("old_minor"), right=True),
    Column("AFTER", money("new_minor"), right=True),
    Column("DIFFERENCE", money("difference_minor"), right=True),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="What a change of a plan does to bills.")
    command(group, "diff", example="billplane plan diff plan.yaml --periods 3")(diff)
    app.add_typer(group, name="plan")
    command(app, "approve", example="billplane approve billingplan pro")(approve)


def diff(
    session: Session,
    file: Annotated[str, typer.Argument(help="Manifest of the changed plan; `-` for a pipe.")],
    periods: Annotated[
        int, typer.Option(min=1, max=24, help="How many billed periods of each subscription.")
    ] = 1,
) -> None:
    """Rate billed usage by a changed plan: who would have paid more, who less."""
    if file != "-" and not Path(file).exists():
        raise CliError(f"There is no file {file}.", exit_code=ExitCode.USAGE)
    plans = [found for found in read_manifests([file]) if found.kind == "BillingPlan"]
    if not plans:
        raise CliError(f"{file} has no BillingPlan.", exit_code=ExitCode.INVALID)
    for manifest in plans:
        spec = yaml.load(manifest.text, _Loader)["spec"]  # noqa: S506  (a safe loader)
        body = {"plan": manifest.name, "spec": spec, "periods": periods}
        _show(session, manifest.name, session.client.post("/v1/plan_changes:preview", body))


def approve(
    session: Session,
    kind: str,
    name: str,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    timeout: TimeoutOption = 30,
) -> None:
    """Let existing subscribers have the version of a plan that waits for approval."""
    folder = resources_of(context)
    if kind_of(kind) != "BillingPlan":
        raise CliError("Only a billingplan is approved.", exit_code=ExitCode.USAGE)
    place = Address(namespace_of(session, folder, namespace), "BillingPlan", check_name(name, kind))
    found = folder.get(place)
    waiting = next((item for item in conditions(found) if item["type"] == "AwaitingApproval"), {})
    pending = str((found.get("status") or {}).get("pendingSpecHash", ""))
    if waiting.get("status") != "True" or not pending:
        raise CliError(f"BillingPlan {name} waits for no approval.", exit_code=ExitCode.INVALID)
    folder.annotate(place, APPROVE_ANNOTATION, pending[:APPROVAL_CHARACTERS])
    deadline = time.monotonic() + timeout
    with session.output.working(f"Waiting for BillingPlan {name} …"):
        found = folder.get(place)
        while not _approved(found) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            found = folder.get(place)
    status = found.get("status") or {}
    row = {"name": name, "version": status.get("version"), **ready(found)}
    session.output.show_list(
        [row],
        [
            Column("NAME", "name"),
            Column("READY", "status"),
            Column("REASON", "reason"),
            Column("VERSION", "version", right=True),
        ],
    )
    if not _approved(found):
        raise CliError(f"Not published within {timeout:.0f} s.", hint="See `billplane describe`.")


def _approved(found: dict[str, Any]) -> bool:
    return is_decided(found) and ready(found).get("status") == "True"


def _show(session: Session, plan: str, found: dict[str, Any]) -> None:
    currency = found["currency_code"]
    shown = {**found, "plan": plan, "currency_code": currency}
    session.output.show(shown, _TOTALS)
    if session.output.format != "table":
        return
    rows = [
        {
            **item,
            "currency_code": currency,
            "difference_minor": item["new_minor"] - item["old_minor"],
        }
        for item in found["examples"]
    ]
    session.output.show_list(rows, _EXAMPLES, "No period has been billed yet.")
