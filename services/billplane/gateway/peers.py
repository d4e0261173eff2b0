"""What the gateway asks of others."""

from billplane.chassis.auth import service_principal
from billplane.chassis.runtime import Runtime
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc


async def ensure_tenant(runtime: Runtime, tenant_id: str) -> bool:
    """Make sure that a tenant exists; tell whether it has a live key."""
    stub = identity_pb2_grpc.IdentityServiceStub(runtime.channels.get("identity"))
    answer = await runtime.channels.ask(
        stub.CreateTenant,
        identity_pb2.CreateTenantRequest(id=tenant_id, name=tenant_id),
        service_principal("gateway", tenant_id, livemode=False),
    )
    return answer.tenant.has_live_key
