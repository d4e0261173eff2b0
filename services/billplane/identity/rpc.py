"""gRPC of identity."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from billplane.chassis.auth import decode_user_token, user_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, to_timestamp
from billplane.identity.models import TenantRow
from billplane.identity.service import keys, sessions, staff, tenants
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


@rpc.steps
async def GetStaffRole(call: Call, request: pb.GetStaffRoleRequest) -> pb.GetStaffRoleResponse:
    """Tell a user's role at the operating company."""
    role = await staff.get_role(call.runtime, call.principal, request.user_id)
    return pb.GetStaffRoleResponse(role=role)


@rpc.steps
async def GrantStaff(call: Call, request: pb.GrantStaffRequest) -> pb.GrantStaffResponse:
    """Make a user a member of the staff."""
    member = await staff.grant_staff(
        call.runtime,
        call.principal,
        user_id=request.user_id,
        role=request.role,
        granted_by=request.granted_by,
    )
    return pb.GrantStaffResponse(member=_member(member))


@rpc.steps
async def RevokeStaff(call: Call, request: pb.RevokeStaffRequest) -> pb.RevokeStaffResponse:
    """End a user's membership of the staff."""
    member = await staff.revoke_staff(call.runtime, call.principal, user_id=request.user_id)
    return pb.RevokeStaffResponse(member=_member(member))


@rpc.steps
async def ListStaff(call: Call, request: pb.ListStaffRequest) -> pb.ListStaffResponse:
    """List the staff."""
    page = Page.of(request.page_size, request.page_token)
    members, cursor = await staff.list_staff(call.runtime, call.principal, page)
    return pb.ListStaffResponse(
        members=[_member(member) for member in members], next_page_token=cursor or ""
    )


def _member(member: staff.Member) -> pb.StaffMember:
    return pb.StaffMember(
        user_id=member.user_id,
        email=member.email,
        role=member.role,
        granted_by=member.granted_by,
        granted_at=to_timestamp(member.granted_at),
    )


def _tenant(row: TenantRow, has_live_key: bool) -> pb.Tenant:
    return pb.Tenant(
        id=row.tenant_id,
        name=row.name,
        live=row.live,
        created_at=to_timestamp(row.created_at),
        has_live_key=has_live_key,
    )
