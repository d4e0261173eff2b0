"""gRPC of identity."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from billplane.chassis.auth import decode_user_token, user_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rpc import Call, Rpc, to_timestamp
from billplane.identity.models import TenantRow
from billplane.identity.service import keys, sessions, tenants
from billplane.protos.identity.v1 import identity_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["IdentityService"])


@rpc.steps
async def ValidateKey(call: Call, request: pb.ValidateKeyRequest) -> pb.ValidateKeyResponse:
    """Tell whose key this is."""
    call.principal.require_internal()
    row = await keys.validate_key(call.runtime, request.key)
    return pb.ValidateKeyResponse(
        key_id=row.id,
        tenant_id=row.tenant_id,
        livemode=row.livemode,
        scopes=row.scopes,
        expires_at=to_timestamp(row.expires_at),
        unlimited=row.unlimited,
    )


@rpc.steps
async def ValidateToken(call: Call, request: pb.ValidateTokenRequest) -> pb.ValidateTokenResponse:
    """Tell whose user token this is."""
    call.principal.require_internal()
    public = sessions.public_keys(call.runtime.settings)  # type: ignore[arg-type]
    claims = decode_user_token(request.token, public)
    principal = user_principal(claims, livemode=False)
    answer = pb.ValidateTokenResponse(
        user_id=str(claims["sub"]),
        tenant_id=principal.tenant_id,
        role=str(claims["role"]),
        scopes=sorted(principal.scopes),
    )
    answer.expires_at.FromSeconds(int(claims["exp"]))
    return answer


@rpc.steps
async def ListSigningKeys(
    call: Call, _request: pb.ListSigningKeysRequest
) -> pb.ListSigningKeysResponse:
    """List the public keys of user tokens."""
    public = sessions.public_keys(call.runtime.settings)  # type: ignore[arg-type]
    raw = [key.public_bytes(Encoding.Raw, PublicFormat.Raw) for key in public]
    return pb.ListSigningKeysResponse(public_keys=raw)


@rpc.read
async def GetUser(tx: ReadTransaction, request: pb.GetUserRequest) -> pb.GetUserResponse:
    """Return one user of the tenant."""
    tx.authorize("users:read")
    row, role = await sessions.get_user(tx, request.id)
    user = pb.User(id=row.id, email=row.email, role=role, created_at=to_timestamp(row.created_at))
    return pb.GetUserResponse(user=user)


@rpc.steps
async def CreateTenant(call: Call, request: pb.CreateTenantRequest) -> pb.CreateTenantResponse:
    """Create a tenant, or return the one that has the id."""
    row, has_live_key = await tenants.create_tenant(
        call.runtime, call.principal, tenant_id=request.id, name=request.name
    )
    return pb.CreateTenantResponse(tenant=_tenant(row, has_live_key))


@rpc.steps
async def GetTenant(call: Call, request: pb.GetTenantRequest) -> pb.GetTenantResponse:
    """Return one tenant."""
    row, has_live_key = await tenants.get_tenant(call.runtime, call.principal, request.id)
    return pb.GetTenantResponse(tenant=_tenant(row, has_live_key))


@rpc.write
async def CreateTestKey(
    tx: Transaction, request: pb.CreateTestKeyRequest
) -> pb.CreateTestKeyResponse:
    """Make a test key for the tenant."""
    key, row = await keys.create_test_key(tx, name=request.name, scopes=list(request.scopes))
    return pb.CreateTestKeyResponse(key=key, key_id=row.id)


def _tenant(row: TenantRow, has_live_key: bool) -> pb.Tenant:
    return pb.Tenant(
        id=row.tenant_id,
        name=row.name,
        live=row.live,
        created_at=to_timestamp(row.created_at),
        has_live_key=has_live_key,
    )
