"""`export`: what was made by the API, as manifests."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.manifests import API_VERSION, kind_of
from billplane_cli.session import Session, command

_PATHS = {
    "Meter": "/v1/meters",
    "ExchangeRateFeed": "/v1/exchange_rate_feeds",
    "UtilityProvider": "/v1/utility_providers",
    "BillingPlan": "/v1/plans",
}


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    command(
        app,
        "export",
        example="billplane export > made-by-the-api.yaml\nbillplane export plans --file plans.yaml",
        output=False,
    )(export)


def export(
    session: Session,
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="KIND", help="Only these kinds; else all.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Where to; else it is shown.")] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace to write into the manifests.")
    ] = "",
) -> None:
    """Write what was made by the API as manifests, to keep it in files from now on.

    What a resource owns is in a file already, and is left out. The platform holds an object's name
    for the API: delete it there, or apply the files to another platform.
    """
    wanted = [kind_of(name) for name in kinds] if kinds else list(_PATHS)
    manifests = [
        _manifest(kind, item, namespace)
        for kind in wanted
        for item in reversed(list(session.client.pages(_PATHS[kind], limit=None)))
        if item["origin"] == "api" and item.get("state") != "archived"
    ]
    if not manifests:
        raise CliError("The API made nothing of that.", exit_code=ExitCode.NOT_FOUND)
    text = yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True, explicit_start=True)
    if file is None:
        session.output.raw(text)
        return
    file.write_text(text, encoding="utf-8")
    session.output.say(f"Wrote {len(manifests)} manifests to {file}.")


def _manifest(kind: str, item: dict[str, Any], namespace: str) -> dict[str, Any]:
    metadata = {"name": item["name"], **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": item["spec"]}
