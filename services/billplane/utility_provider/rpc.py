"""gRPC of utility_provider."""

import json
from typing import Any

from billplane.chassis.applied import application_of, told
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, to_timestamp
from billplane.protos.utility_provider.v1 import utility_provider_pb2 as pb
from billplane.utility_provider import service
from billplane.utility_provider.service import ProviderView

rpc = Rpc(pb.DESCRIPTOR.services_by_name["UtilityProviderService"])


@rpc.write
async def ApplyProvider(
    tx: Transaction, request: pb.ApplyProviderRequest
) -> pb.ApplyProviderResponse:
    """Make the service run a provider's spec."""
    found = await service.apply_provider(tx, application_of(request), request.simulator_endpoint)
    return pb.ApplyProviderResponse(
        id=found.row.id,
        version=found.row.version,
        spec_hash=found.spec_hash,
        endpoint=found.endpoint,
    )


@rpc.write
async def RemoveProvider(
    tx: Transaction, request: pb.RemoveProviderRequest
) -> pb.RemoveProviderResponse:
    """Take a provider whose resource is gone out of use."""
    await service.remove_provider(tx, request.uid, request.generation, request.epoch)
    return pb.RemoveProviderResponse()


@rpc.read
async def ListApplied(
    tx: ReadTransaction, request: pb.ListAppliedRequest
) -> pb.ListAppliedResponse:
    """List what the operator applied."""
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await service.list_applied(tx, page)
    return pb.ListAppliedResponse(
        applied=[
            pb.Applied(**told(item.row, item.spec_hash), endpoint=item.endpoint) for item in found
        ],
        next_page_token=cursor or "",
    )


@rpc.write
async def CreateProvider(
    tx: Transaction, request: pb.CreateProviderRequest
) -> pb.CreateProviderResponse:
    """Create a provider by the API."""
    found = await service.create_provider(tx, request.name, _json(request.spec_json))
    return pb.CreateProviderResponse(provider=_provider(found))


@rpc.write
async def UpdateProvider(
    tx: Transaction, request: pb.UpdateProviderRequest
) -> pb.UpdateProviderResponse:
    """Merge a patch into a provider's spec."""
    found = await service.update_provider(tx, request.id, _json(request.spec_json))
    return pb.UpdateProviderResponse(provider=_provider(found))


@rpc.read
async def GetProvider(
    tx: ReadTransaction, request: pb.GetProviderRequest
) -> pb.GetProviderResponse:
    """Return one provider."""
    return pb.GetProviderResponse(provider=_provider(await service.get_provider(tx, request.id)))


@rpc.read
async def ListProviders(
    tx: ReadTransaction, request: pb.ListProvidersRequest
) -> pb.ListProvidersResponse:
    """List providers by what they supply and where."""
    found, cursor = await service.list_providers(
        tx,
        Page.of(request.page_size, request.page_token),
        category=request.category or None,
        country=request.country or None,
        region=request.region or None,
    )
    return pb.ListProvidersResponse(
        providers=[_provider(item) for item in found], next_page_token=cursor or ""
    )


@rpc.steps
async def ProbeProvider(call: Call, request: pb.ProbeProviderRequest) -> pb.ProbeProviderResponse:
    """Ask the utility whether it is there."""
    found, probed = await service.probe_provider(call, request.id)
    return pb.ProbeProviderResponse(provider=_provider(found), probed=probed)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid([FieldError("spec_json", "BODY_MALFORMED", "not JSON")]) from None


def _provider(found: ProviderView) -> pb.Provider:
    row = found.row
    return pb.Provider(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=found.spec_hash,
        spec_json=json.dumps(row.spec),
        endpoint=found.endpoint,
        reachability=pb.Reachability.Value(f"REACHABILITY_{row.reachability.upper()}"),
        last_probe_at=to_timestamp(row.last_probe_at),
        last_success_at=to_timestamp(row.last_success_at),
        last_error=row.last_error,
        created_at=to_timestamp(row.created_at),
    )
