"""The services, by name; nothing is imported until it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billplane.chassis.app import ServiceApp

SERVICES = (
    "admin",
    "billing_core",
    "discount",
    "exchange_rate",
    "gateway",
    "identity",
    "invoice",
    "ledger",
    "listener",
    "metering",
    "notification",
    "payment",
    "pricing",
    "subscription",
    "tax",
    "utility_provider",
)
# Programs of the same image that are no services: each stands for a system of somebody else, with
# no tenant, no store and no credential of ours, and runs alone. What every service promises is not
# asked of them; their own tests say what they promise.
STAND_ALONE = ("provider_simulator",)


def load(name: str) -> "ServiceApp":
    """Import one service's declaration.

    Raises: KeyError when the catalog has no such service.
    """
    if name not in SERVICES:
        raise KeyError(f"no service {name!r}; there are {', '.join(SERVICES)}")
    app: ServiceApp = import_module(f"billplane.{name}.app").app
    return app


def run_alone(name: str) -> int:
    """Run a program that is no service until a signal; return its exit code.

    Raises: SettingsError.
    """
    code: int = import_module(f"billplane.{name}.app").run()
    return code


def names_of(arguments: list[str]) -> list[str]:
    """Turn command-line arguments into service names; `all` or nothing means every service.

    Raises: KeyError naming what is unknown.
    """
    if not arguments or "all" in arguments:
        return list(SERVICES)
    for name in arguments:
        if name in STAND_ALONE:
            raise KeyError(f"{name} runs alone: `run {name}` and no other name")
        if name not in SERVICES:
            raise KeyError(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return arguments
