"""`cluster up|down|load|status|forward`: the platform in a kind cluster of this machine."""

import time
from pathlib import Path
from typing import Annotated

import typer

from billplane_cli import cluster, process
from billplane_cli.cluster import GATEWAY_URL, NAMESPACE, Cluster, Source
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.session import Session, command

NameOption = Annotated[
    str,
    typer.Option("--name", envvar="BILLPLANE_CLUSTER_NAME", help="Name of the kind cluster."),
]
SourceOption = Annotated[
    Path | None,
    typer.Option("--source", help="Clone to build and install from; default: this one."),
]
_PODS = [
    Column("POD", "name"),
    Column("READY", "ready"),
    Column("RESTARTS", "restarts"),
    Column("STATE", "state"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The platform in a kind cluster.")
    for name, function, example in (
        (
            "up",
            up,
            "billplane cluster up\nbillplane cluster up --topology fleet\n"
            "billplane cluster up --node-image kindest/node:v1.34.4 --set rabbitmq.mode=external",
        ),
        ("load", load, "billplane cluster load\nbillplane cluster up --tag 0.1.0-1a2b3c4d5e6f"),
        ("status", status, "billplane cluster status -o json"),
        ("forward", forward, "billplane cluster forward tax"),
        ("down", down, "billplane cluster down"),
    ):
        command(group, name, remote=False, example=example)(function)
    app.add_typer(group, name="cluster")


def up(
    session: Session,
    name: NameOption = "billplane",
    node_image: Annotated[
        str,
        typer.Option(
            envvar="BILLPLANE_NODE_IMAGE", help="kind's node image; default: kind's own choice."
        ),
    ] = "",
    topology: Annotated[
        str, typer.Option(help="compact: few pods that host several services; fleet: one each.")
    ] = "compact",
    values: Annotated[
        list[Path] | None, typer.Option(help="Values file of the chart; repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Value of the chart: key=value; repeatable.")
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", help="Install this tag of the image; default: build it now."),
    ] = None,
    timeout: Annotated[int, typer.Option(help="Seconds to wait until all pods are ready.")] = 600,
    source: SourceOption = None,
) -> None:
    """Make a cluster, install the platform with its stores, and print its address and a key."""
    clone, started, here = Source.find(source), time.monotonic(), Cluster(name)
    with session.output.working("Looking for docker, kind, kubectl and helm …") as say:
        cluster.require_tools()
        if not here.exists():
            say(f"Making the cluster {name} …")
            here.create(clone.root / "kind-config.yaml", node_image)
        if tag is None:
            say("Building the image …")
        image = f"{cluster.RELEASE}:{tag}" if tag else cluster.build(clone)
        own = [image] if tag else [image, clone.image]
        here.load([*own, *cluster.images_of(clone)], say)
        say(f"Installing ({topology}) and waiting until all pods are ready …")
        chosen = [
            f"topology={topology}",
            f"image.tag={image.partition(':')[2]}",
            "gateway.nodePort.enabled=true",
            "rabbitmq.bundled.managementNodePort.enabled=true",
            *(settings or []),
        ]
        here.install(clone, values or [], chosen, timeout, say)
        say("Applying examples/quickstart …")
        quickstart = str(clone.root / "examples" / "quickstart")
        here.kubectl("apply", "--namespace", "default", "-f", quickstart)
        key = here.first_key()
    session.output.show(
        {
            "url": GATEWAY_URL,
            "docs": f"{GATEWAY_URL}/docs",
            "api_key": key,
            "context": here.context,
            "namespace": NAMESPACE,
            "seconds": round(time.monotonic() - started),
        }
    )
    session.output.say(
        f"Try: curl -H 'Authorization: Bearer {key}' {GATEWAY_URL}/v1/plans",
    )


def load(session: Session, name: NameOption = "billplane", source: SourceOption = None) -> None:
    """Build the image anew and bring it into the cluster; `up --tag` installs it."""
    clone = Source.find(source)
    with session.output.working("Building the image …") as say:
        image = cluster.build(clone)
        Cluster(name).load([image, clone.image], say)
    session.output.show({"image": image, "tag": image.partition(":")[2]})


def status(session: Session, name: NameOption = "billplane") -> None:
    """List the platform's pods; the exit code tells whether all are ready."""
    here = Cluster(name)
    if not here.exists():
        session.output.say(f"There is no cluster {name}; make it with `billplane cluster up`.")
        raise typer.Exit(ExitCode.UNREACHABLE)
    pods = here.pods()
    session.output.show_list(pods, _PODS, "Nothing is installed.")
    if not pods or not all(pod["ready"] for pod in pods):
        raise typer.Exit(ExitCode.FAILED)


def forward(
    session: Session,
    service: Annotated[str, typer.Argument(help="A service, such as tax.")],
    name: NameOption = "billplane",
) -> None:
    """Open a service's ports on this machine until Ctrl-C, each under its own number."""
    here, host = Cluster(name), service.replace("_", "-")
    found = here.kubectl("get", "service", host, "-o=jsonpath={.spec.ports[*].port}").split()
    session.output.say(f"{service} answers on {', '.join(f'localhost:{port}' for port in found)}.")
    own = ["kubectl", "--context", here.context, "--namespace", NAMESPACE]
    code = process.tool_here([*own, "port-forward", f"service/{host}", *found])
    raise typer.Exit(ExitCode.FAILED if code else ExitCode.OK)


def down(session: Session, name: NameOption = "billplane") -> None:
    """Remove the cluster and everything in it."""
    here = Cluster(name)
    with session.output.working(f"Removing the cluster {name} …"):
        there = here.exists()
        if there:
            here.remove()
    session.output.say("Removed." if there else "There was none.")
