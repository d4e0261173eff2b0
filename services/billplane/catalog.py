"""The services, by name; nothing is imported until it is asked for."""

from importlib import import_module

from billplane.chassis.app import ServiceApp

SERVICES = (
    "discount",
    "exchange_rate",
    "gateway",
    "identity",
    "invoice",
    "metering",
    "pricing",
    "subscription",
    "tax",
    "utility_provider",
)


def load(name: str) -> ServiceApp:
    """Import one service's declaration.

    Raises: KeyError when the catalog has no such service.
    """
    if name not in SERVICES:
        raise KeyError(f"no service {name!r}; there are {', '.join(SERVICES)}")
    app: ServiceApp = import_module(f"billplane.{name}.app").app
    return app


def names_of(arguments: list[str]) -> list[str]:
    """Turn command-line arguments into service names; `all` or nothing means every service.

    Raises: KeyError naming what is unknown.
    """
    if not arguments or "all" in arguments:
        return list(SERVICES)
    for name in arguments:
        if name not in SERVICES:
            raise KeyError(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return arguments
