"""Providers: applied, made, listed, probed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billplane.chassis import applied
from billplane.chassis.applied import Application
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError, FieldError, Invalid
from billplane.chassis.http_client import HttpClient
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.resources import UtilityProviderSpec
from billplane.utility_provider import domain, repository
from billplane.utility_provider.domain import CATEGORIES, Probe, Reachability
from billplane.utility_provider.errors import NoEndpoint, ProviderNotFound
from billplane.utility_provider.models import ProviderRow
from billplane.utility_provider.settings import UtilityProviderSettings

KIND = "UtilityProvider"
PREFIX = "prv"
ERROR_CHARACTERS_MAX = 1000


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider, the hash of the spec that is run and the address that is asked."""

    row: ProviderRow
    spec_hash: str
    endpoint: str


def fresh_columns(simulator_endpoint: str = "") -> dict[str, Any]:
    """Return the service's own columns of a new provider: nothing is known of it."""
    return {
        "simulator_endpoint": simulator_endpoint,
        "reachability": Reachability.UNKNOWN,
        "last_probe_at": None,
        "last_success_at": None,
        "last_error": "",
    }


async def apply_provider(
    tx: Transaction, application: Application, simulator_endpoint: str
) -> ProviderView:
    """Make the service run a provider's spec and ask the simulator that runs beside it.

    Raises: InternalOnly, Invalid, SpecHashDiffers, StaleGeneration, NameTaken.
    Idempotent by: uid, spec hash and simulator endpoint.
    """
    if simulator_endpoint and not domain.host_of(simulator_endpoint):
        detail = "expected an http or https address"
        raise Invalid([FieldError("simulator_endpoint", "URL_INVALID", detail)])
    before = await applied.by_uid(tx, ProviderRow, application.uid)
    asked = view(before).endpoint if before is not None else ""
    row, _, _ = await applied.apply(
        tx, KIND, ProviderRow, application, PREFIX, lambda: fresh_columns(simulator_endpoint)
    )
    if row.simulator_endpoint != simulator_endpoint:
        row.simulator_endpoint = simulator_endpoint
    _forget_probes(row, asked)
    return view(row)


async def remove_provider(tx: Transaction, uid: str, generation: int, epoch: int) -> None:
    """Take a provider out of use; its row stays, since accounts and bills name it.

    Raises: InternalOnly, StaleGeneration.
    """
    await applied.remove(tx, ProviderRow, uid, generation, epoch)


async def list_applied(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[ProviderView], str | None]:
    """Return a page of what the operator applied.

    Raises: InternalOnly.
    """
    tx.require_internal()
    return await _page(tx, page, origin=applied.RESOURCE)


async def create_provider(tx: Transaction, name: str, spec: Any) -> ProviderView:
    """Create a provider by the API.

    Raises: Invalid, NameTaken, ScopeMissing.
    """
    tx.authorize("utility_providers:write")
    row, _ = await applied.create(tx, KIND, ProviderRow, name, spec, PREFIX, **fresh_columns())
    return view(row)


async def update_provider(tx: Transaction, provider: str, merge: Any) -> ProviderView:
    """Merge a patch into a provider that the API made.

    Raises: ProviderNotFound, ManagedByResource, Invalid, ScopeMissing.
    """
    tx.authorize("utility_providers:write")
    row = await _row(tx, provider)
    asked = view(row).endpoint
    applied.change(KIND, row, merge)
    _forget_probes(row, asked)
    return view(row)


async def delete_provider(tx: Transaction, provider: str) -> None:
    """Take a provider that the API made out of use.

    Raises: ProviderNotFound, ManagedByResource, ScopeMissing.
    """
    tx.authorize("utility_providers:write")
    row = await _row(tx, provider)
    applied.refuse_managed(KIND, row)
    row.removed_at = tx.now


async def get_provider(tx: ReadTransaction, provider: str) -> ProviderView:
    """Return a provider by id or name.

    Raises: ProviderNotFound, ScopeMissing.
    """
    tx.authorize("utility_providers:read")
    return view(await _row(tx, provider))


async def list_providers(
    tx: ReadTransaction,
    page: Page,
    *,
    category: str | None = None,
    country: str | None = None,
    region: str | None = None,
) -> tuple[Sequence[ProviderView], str | None]:
    """Return a page of providers.

    Raises: Invalid, ScopeMissing.
    """
    tx.authorize("utility_providers:read")
    if category is not None and category not in CATEGORIES:
        detail = f"expected one of {', '.join(CATEGORIES)}"
        raise Invalid([FieldError("category", "CATEGORY_UNKNOWN", detail)])
    return await _page(tx, page, category=category, country=country, region=region)


async def probe_provider(call: Call, provider: str) -> tuple[ProviderView, bool]:
    """Ask a utility whether it is there; tell what was found and whether it was asked now.

    Within the time that the limits keep between probes, the last one's finding is told again.

    Raises: ProviderNotFound, NoEndpoint, ScopeMissing.
    """
    call.principal.require("utility_providers:write")
    settings: UtilityProviderSettings = call.runtime.settings  # type: ignore[assignment]
    async with call.writing() as tx:
        row = await _row(tx, provider)
        spec = spec_of(row)
        probe = domain.probe_of(spec, row.simulator_endpoint, settings.probe_timeout_seconds_max)
        if probe is None:
            raise NoEndpoint(f"no simulator of {row.name} runs yet, so there is nothing to ask")
        found, asked = view(row), row.id
        if not await repository.claim_probe(tx, row, tx.now - domain.probe_interval(spec)):
            return found, False
    error = await _ask(call.runtime, probe)
    tx = await call.last()
    row = await _row(tx, asked)
    if view(row).endpoint == found.endpoint:
        row.reachability = Reachability.UNREACHABLE if error else Reachability.REACHABLE
        row.last_error = error[:ERROR_CHARACTERS_MAX]
        if not error:
            row.last_success_at = tx.now
    return view(row), True


async def _ask(runtime: Runtime, probe: Probe) -> str:
    """Send a probe; return what is wrong, empty where nothing is.

    No credential goes along: none is known here.
    """
    trusted = [probe.trusted_host] if probe.trusted_host else []
    client = HttpClient([*runtime.settings.outgoing_allow_list, *trusted], probe.timeout_seconds)
    try:
        answer = await client.fetch(probe.url)
    except BillplaneError as error:
        return f"{error.reason}: {error.detail}"
    finally:
        await client.close()
    return domain.refusal(probe, answer.status)


def spec_of(row: ProviderRow) -> UtilityProviderSpec:
    """Return the spec that a row makes the service run."""
    return UtilityProviderSpec.parse(row.spec)


def view(row: ProviderRow) -> ProviderView:
    """Return a provider with what follows from its spec; a damaged spec asks nobody."""
    spec_hash = applied.hash_of(KIND, row)
    endpoint = domain.endpoint_of(spec_of(row), row.simulator_endpoint) if spec_hash else ""
    return ProviderView(row, spec_hash, endpoint)


def _forget_probes(row: ProviderRow, asked: str) -> None:
    """Forget what probes found at another address."""
    if view(row).endpoint != asked:
        row.reachability, row.last_error = Reachability.UNKNOWN, ""
        row.last_probe_at = None


async def _row(tx: ReadTransaction, provider: str) -> ProviderRow:
    row = await applied.by_id_or_name(tx, ProviderRow, provider)
    if row is None or row.removed_at is not None:
        raise ProviderNotFound(f"there is no provider {provider}")
    return row


async def _page(
    tx: ReadTransaction,
    page: Page,
    *,
    origin: str | None = None,
    category: str | None = None,
    country: str | None = None,
    region: str | None = None,
) -> tuple[Sequence[ProviderView], str | None]:
    rows, cursor = await repository.page_of_providers(
        tx, page, origin=origin, category=category, country=country, region=region
    )
    return [view(row) for row in rows], cursor
