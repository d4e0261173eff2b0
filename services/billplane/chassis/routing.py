"""Which service a request is for: by its path, and by the dialect that it speaks."""

from collections.abc import Iterable, Mapping
from typing import Any

from billplane.chassis.app import Route
from billplane.chassis.stripe_dialect.answers import refusal
from billplane.chassis.stripe_dialect.routes import FORM

_FORM = FORM.encode()


class RoutingTable:
    """The routes of some services.

    Where two services answer a prefix, each in a dialect of its own, the request's decides. What
    names Stripe's version wants Stripe's shapes and finds nothing where there are none.
    """

    def __init__(self, routes: Iterable[tuple[Route, str]]) -> None:
        self._rows: dict[str, dict[str, tuple[Route, str]]] = {}
        for route, service in routes:
            self._rows.setdefault(route.prefix, {})[route.dialect] = (route, service)

    def find(self, path: str, headers: Mapping[bytes, bytes]) -> tuple[Route, str] | None:
        """Return the longest prefix of a path, cut at slashes and verbs, and its service."""
        row = self._row(path)
        if row is None or (len(row) == 1 and b"stripe-version" not in headers):
            return None if row is None else next(iter(row.values()))
        return row.get("stripe" if speaks_stripe(headers) else "billplane")

    def _row(self, path: str) -> dict[str, tuple[Route, str]] | None:
        prefix = path.rstrip("/") or "/"
        while prefix:
            row = self._rows.get(prefix)
            if row is not None:
                return row
            prefix = prefix[: max(prefix.rfind("/"), prefix.rfind(":"), 0)]
        return None


def prepare_refusal(scope: Any, route: Route | None) -> None:
    """Have what fails from here on told in the dialect of the request, or of its route."""
    asked = b"stripe-version" in scope["billplane.headers"]
    if asked or (route is not None and route.dialect == "stripe"):
        scope["billplane.refusal"] = refusal


def speaks_stripe(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request is one of Stripe's SDKs, or one like theirs."""
    return b"stripe-version" in headers or headers.get(b"content-type", b"").startswith(_FORM)
