"""What every service asks identity: whose key is this, which keys sign user tokens."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from billplane.chassis.auth import KeyHolder, Principal, key_id, service_principal
from billplane.chassis.channels import Channels
from billplane.chassis.errors import BillplaneError
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc


class IdentityClient:
    """The chassis's own caller of identity."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._self = service_principal("chassis", "", livemode=False)

    async def key_holder(self, key: str) -> KeyHolder:
        """Return whom an API key stands for.

        Raises: PeerError UNAUTHENTICATED when identity does not accept it.
        """
        stub = identity_pb2_grpc.IdentityServiceStub(self._channels.get("identity"))
        answer = await self._channels.ask(
            stub.ValidateKey, identity_pb2.ValidateKeyRequest(key=key), self._self
        )
        principal = Principal(
            f"key:{answer.key_id}",
            answer.tenant_id,
            answer.livemode,
            frozenset(answer.scopes),
            answer.unlimited,
        )
        expires_at = answer.expires_at.seconds if answer.HasField("expires_at") else None
        return KeyHolder(principal, expires_at)

    async def staff_role(self, user_id: str) -> str:
        """Return a user's role at the operating company now, empty for who has none."""
        stub = identity_pb2_grpc.IdentityServiceStub(self._channels.get("identity"))
        answer = await self._channels.ask(
            stub.GetStaffRole, identity_pb2.GetStaffRoleRequest(user_id=user_id), self._self
        )
        return answer.role

    async def user_keys(self) -> dict[str, Ed25519PublicKey]:
        """Return the public keys that sign user tokens now, by key id."""
        stub = identity_pb2_grpc.IdentityServiceStub(self._channels.get("identity"))
        try:
            answer = await self._channels.ask(
                stub.ListSigningKeys, identity_pb2.ListSigningKeysRequest(), self._self
            )
        except BillplaneError:
            return {}
        keys = [Ed25519PublicKey.from_public_bytes(raw) for raw in answer.public_keys]
        return {key_id(key): key for key in keys}
