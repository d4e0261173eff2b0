"""`python -m billplane_operator`: makes the services run the resources that people wrote.

`run` in a cluster, `local` over a folder; the other commands are for Jobs of an install.
"""

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from billplane.chassis import logging
from billplane.chassis.errors import BillplaneError
from billplane.chassis.settings import SettingsError

from billplane_operator.settings import OperatorSettings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="billplane_operator", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "run",
        help="reconcile the cluster that the pod runs in, or that KUBECONFIG names",
        description="""Watch our resources and make the services run them until SIGTERM, then end
        what is in hand. Settings come from BILLPLANE_OPERATOR_…; /health/live, /health/ready and
        /metrics answer on port 8080.""",
    )
    _add_local(commands)
    _add_bootstrap_secrets(commands)
    _add_bootstrap_tenant(commands)
    _add_drain(commands)
    return made


def _add_local(commands: Any) -> None:
    local = commands.add_parser("local", help="reconcile a folder of manifests")
    local.add_argument("folder", type=Path, metavar="DIR")
    local.add_argument("--once", action="store_true", help="apply what is there, then end")
    local.add_argument("--interval", type=float, default=0.5, help="seconds between looks")
    local.add_argument("--timeout", type=float, default=60, help="seconds that --once may take")
    local.add_argument("--status", type=Path, help="where status goes; beside DIR when watching")


def _add_bootstrap_secrets(commands: Any) -> None:
    made = commands.add_parser(
        "bootstrap-secrets",
        help="make the install's Secrets with random values, each only if it is absent",
        description="""Make the Secrets of an install, each only if it is absent; run again, or
        twice at once, it changes nothing. PREFIX-people: jwt-secret, admin-key (made unless
        --people names another, which must hold jwt-secret). PREFIX-internal: internal-seed,
        derived from jwt-secret and kept in step with it; pods other than identity mount this.
        PREFIX-postgres: postgres-password, username, password, database-url, admin-database-url.
        PREFIX-redis: password, redis-url. PREFIX-rabbitmq: username, password, erlang-cookie,
        rabbitmq-url. PREFIX-kafka: username, password, cluster-id, kafka-bootstrap-servers.""",
    )
    _add_install(made)
    made.add_argument(
        "--store",
        action="append",
        default=[],
        metavar="NAME[=HOST[:PORT]]",
        help="a bundled store: postgres, redis, rabbitmq or kafka; its host is PREFIX-NAME unless "
        "given; repeat for each",
    )
    made.add_argument(
        "--people",
        default="",
        metavar="SECRET",
        help="an existing Secret of what people set; without it PREFIX-people is made",
    )


def _add_bootstrap_tenant(commands: Any) -> None:
    made = commands.add_parser(
        "bootstrap-tenant",
        help="make the default tenant and its first test key, in the Secret PREFIX-first-key",
        description="""Make the tenant unless it is there, and a test key with every scope, kept
        in the Secret PREFIX-first-key (keys: api-key, key-id, tenant); nothing is made when that
        Secret is there. Identity is asked by gRPC and waited for.""",
    )
    _add_install(made)
    made.add_argument(
        "--tenant", default="", help="the tenant's id; the default tenant of settings"
    )
    made.add_argument("--timeout", type=float, default=300, help="seconds to wait for identity")


def _add_drain(commands: Any) -> None:
    made = commands.add_parser(
        "drain-finalizers",
        help="before an uninstall: take our finalizer off every resource",
        description="""Tell the running operator to add finalizers no more, let it clean up after
        resources that are being deleted for as long as --timeout allows, then take our finalizer
        off every resource; the resources stay. Exit code 0 also when some were not cleaned up
        after: the log tells how many.""",
    )
    made.add_argument("--timeout", type=float, default=60, help="seconds to wait for cleaning up")


def _add_install(command: Any) -> None:
    command.add_argument(
        "--prefix", required=True, help="what names of Secrets begin with: the release's full name"
    )
    command.add_argument(
        "--namespace", default="", help="where Secrets are; default: the pod's own"
    )
    command.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="label of the Secrets that are made; repeat for each",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    try:
        settings = OperatorSettings.load("operator")
        logging.configure(settings.log_level, settings.log_format)
        return _run(options, settings)
    except (SettingsError, ValueError) as error:
        sys.stderr.write(f"billplane_operator: {error}\n")
        return 2
    except BillplaneError as error:
        sys.stderr.write(f"billplane_operator: {error.detail} ({error.reason})\n")
        return 1


def _run(options: argparse.Namespace, settings: OperatorSettings) -> int:
    # What a command needs is imported when it runs: a laptop's operator holds no cluster client.
    if options.command == "local":
        return _local(options, settings)
    if options.command == "run":
        import uvloop  # noqa: PLC0415

        from billplane_operator import cluster_run  # noqa: PLC0415

        return uvloop.run(cluster_run.run(settings))
    from billplane_operator import jobs  # noqa: PLC0415

    work: Coroutine[Any, Any, int]
    if options.command == "bootstrap-secrets":
        work = jobs.bootstrap_secrets(options)
    elif options.command == "bootstrap-tenant":
        work = jobs.bootstrap_tenant(options, settings)
    else:
        work = jobs.drain_finalizers(options, settings)
    return asyncio.run(work)


def _local(options: argparse.Namespace, settings: OperatorSettings) -> int:
    from billplane_operator.local import Folder  # noqa: PLC0415
    from billplane_operator.local_run import apply_once, watch  # noqa: PLC0415

    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is no folder")
    if options.once:
        folder = Folder(options.folder, options.status, loose=True)
        return asyncio.run(apply_once(folder, settings, options.timeout))
    status = options.status or options.folder.resolve().parent / "status"
    asyncio.run(watch(Folder(options.folder, status), settings, options.interval))
    return 0


if __name__ == "__main__":
    sys.exit(main())
