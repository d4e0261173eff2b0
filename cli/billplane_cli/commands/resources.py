"""`apply`, `delete`, `get` and `describe`: the resources of this machine's platform."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.home import laptop_home
from billplane_cli.manifests import (
    Manifest,
    check_name,
    check_namespace,
    kind_of,
    read_manifests,
)
from billplane_cli.output import Column
from billplane_cli.resource_folder import (
    Address,
    ResourceFolder,
    conditions,
    describe_text,
    is_decided,
    ready,
)
from billplane_cli.session import Session, command

if TYPE_CHECKING:
    from billplane_cli.cluster_resources import ClusterResources

DEFAULT_NAMESPACE = "default"

FilesOption = Annotated[
    list[str] | None,
    typer.Option("--filename", "-f", help="File or directory; `-` for a pipe."),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; each is a tenant of its own."),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        envvar="BILLPLANE_CONTEXT",
        help="Context of the kubeconfig: work on that cluster, and not on this machine's platform.",
    ),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", help="How long to wait for the platform, in seconds.")
]
_CONDITION_COLUMNS = [
    Column("CONDITION", "type"),
    Column("STATUS", "status"),
    Column("REASON", "reason"),
    Column("MESSAGE", "message"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(
        app,
        "apply",
        example="billplane apply -f examples/quickstart/\nbillplane apply -f plan.yaml",
    )(apply)
    command(
        app,
        "delete",
        example="billplane delete -f plan.yaml\nbillplane delete billingplan pro",
    )(delete)
    command(app, "get", example="billplane get plans\nbillplane get meter api-calls -o yaml")(get)
    command(app, "describe", example="billplane describe plan pro")(describe)


def apply(
    session: Session,
    filename: FilesOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    wait: Annotated[bool, typer.Option(help="Wait until the platform runs them.")] = True,
    timeout: TimeoutOption = 30,
) -> None:
    """Make the platform run the resources of some files; the same files again change nothing."""
    folder = resources_of(context)
    filed = [
        (_address(session, folder, manifest, namespace), manifest)
        for manifest in read_manifests(_files(filename))
    ]
    changes = [(address, folder.apply(address, manifest)) for address, manifest in filed]
    rows = []
    with session.output.working("Applying …") as say:
        for address, change in changes:
            say(f"Waiting for {address.kind} {address.name} …")
            found = folder.wait(address, timeout if wait else 0)
            rows.append({**_row(address, found), "change": change, "decided": is_decided(found)})
    session.output.show_list(rows, [_KIND, _NAME, _NAMESPACE, Column("CHANGE", "change"), *_READY])
    if wait:
        _require_ready(rows)


def delete(
    session: Session,
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND NAME…]", help="Such as: meter api-calls")
    ] = None,
    filename: FilesOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    timeout: TimeoutOption = 30,
) -> None:
    """Take resources away; what they made stays or goes as their deletionPolicy says."""
    folder = resources_of(context)
    if filename:
        addresses = [
            _address(session, folder, found, namespace) for found in read_manifests(filename)
        ]
    else:
        kind, names = _kind_and_names(what, names_needed=True)
        addresses = [
            Address(namespace_of(session, folder, namespace), kind, name) for name in names
        ]
    removed = [address for address in addresses if folder.remove(address)]
    with session.output.working("Deleting …"):
        gone = {address: folder.wait_gone(address, timeout) for address in removed}
    rows = [
        {**_place(address), "change": "deleted" if address in gone else "not found"}
        for address in addresses
    ]
    session.output.show_list(rows, [_KIND, _NAME, _NAMESPACE, Column("CHANGE", "change")])
    if len(removed) < len(addresses):
        raise typer.Exit(ExitCode.NOT_FOUND)
    if not all(gone.values()):
        raise CliError(f"The platform has not cleaned up within {timeout:.0f} s.")


def get(
    session: Session,
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND [NAME…]]", help="Nothing for all kinds.")
    ] = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
) -> None:
    """List resources and whether the platform runs them."""
    folder = resources_of(context)
    kind, names = (None, []) if what in (None, ["all"]) else _kind_and_names(what)
    chosen = None if all_namespaces else namespace_of(session, folder, namespace)
    if kind is not None and names and chosen is not None:
        addresses = [Address(chosen, kind, name) for name in names]
    else:
        addresses = folder.addresses(chosen, kind)
    found = [(address, folder.get(address)) for address in addresses]
    if session.output.format != "table":
        documents = [document for _, document in found]
        if len(names) == 1 and documents:
            session.output.show(documents[0])
        else:
            session.output.show_list(documents, [])
        return
    rows = [_row(address, document) for address, document in found]
    session.output.show_list(rows, [_KIND, _NAME, _NAMESPACE, *_READY], "No resources found.")


def describe(
    session: Session,
    kind: str,
    name: str,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Show one resource, what became of it and why."""
    folder = resources_of(context)
    found = folder.get(
        Address(namespace_of(session, folder, namespace), kind_of(kind), check_name(name, kind))
    )
    if session.output.format != "table":
        session.output.show(found)
        return
    shown = {key: value for key, value in found.items() if key != "status"}
    status = {k: v for k, v in (found.get("status") or {}).items() if k != "conditions"}
    session.output.raw(describe_text({**shown, "status": status} if status else shown) + "\n")
    session.output.show_list(conditions(found), _CONDITION_COLUMNS)


_KIND = Column("KIND", "kind")
_NAME = Column("NAME", "name")
_NAMESPACE = Column("NAMESPACE", "namespace")
_READY = [Column("READY", "ready"), Column("REASON", "reason"), Column("MESSAGE", "message")]


def _place(address: Address) -> dict[str, Any]:
    return {"kind": address.kind, "name": address.name, "namespace": address.namespace}


def _row(address: Address, resource: dict[str, Any]) -> dict[str, Any]:
    condition = ready(resource)
    return {
        **_place(address),
        "ready": condition.get("status", "Unknown"),
        "reason": condition.get("reason", ""),
        "message": condition.get("message", ""),
    }


def _require_ready(rows: list[dict[str, Any]]) -> None:
    """Fail when something does not run as it was applied.

    Raises: CliError.
    """
    refused = [row for row in rows if row["decided"] and row["ready"] != "True"]
    late = [row for row in rows if not row["decided"]]
    if refused:
        names = ", ".join(f"{row['kind']} {row['name']}" for row in refused)
        raise CliError(f"Not running as applied: {names}.", exit_code=ExitCode.INVALID)
    if late:
        names = ", ".join(f"{row['kind']} {row['name']}" for row in late)
        raise CliError(
            f"Not decided in time: {names}.",
            hint="Is the platform running? See `billplane status` and `billplane describe`.",
        )


def _files(filename: list[str] | None) -> list[str]:
    if not filename:
        raise CliError("Nothing to apply.", hint="Name files with -f.", exit_code=ExitCode.USAGE)
    return filename


def _address(
    session: Session,
    folder: "ResourceFolder | ClusterResources",
    manifest: Manifest,
    namespace: str | None,
) -> Address:
    if namespace and manifest.namespace and namespace != manifest.namespace:
        raise CliError(
            f"{manifest.source}: {manifest.kind} {manifest.name} names the namespace "
            f"{manifest.namespace}, the command line {namespace}.",
            exit_code=ExitCode.INVALID,
        )
    chosen = manifest.namespace or namespace_of(session, folder, namespace)
    return Address(chosen, manifest.kind, manifest.name)


def namespace_of(
    session: Session, folder: "ResourceFolder | ClusterResources", given: str | None
) -> str:
    """Choose the namespace: the given one; else the context's, or that of the profile's tenant."""
    own = session.profile.tenant_id if isinstance(folder, ResourceFolder) else folder.namespace
    return check_namespace(given or own or DEFAULT_NAMESPACE)


def resources_of(context: str | None) -> "ResourceFolder | ClusterResources":
    """Return the resources of this machine's platform, or of a cluster."""
    if context is None:
        return ResourceFolder(laptop_home())
    # Loaded where it is asked for: most of a Kubernetes client is its models.
    from billplane_cli.cluster_resources import ClusterResources  # noqa: PLC0415

    return ClusterResources(context)


def _kind_and_names(what: list[str] | None, *, names_needed: bool = False) -> tuple[str, list[str]]:
    words = what or []
    if not words or (names_needed and len(words) == 1):
        raise CliError("Say which resources: KIND NAME, or -f FILE.", exit_code=ExitCode.USAGE)
    kind, names = words[0], words[1:]
    if "/" in kind and not names:
        kind, _, name = kind.partition("/")
        names = [name]
    return kind_of(kind), [check_name(name, "The name") for name in names]
