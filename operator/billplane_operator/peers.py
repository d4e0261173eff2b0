"""The services as the operator sees them: the only module that talks to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785
from billplane.chassis.auth import InternalTokens, Principal, internal_seed
from billplane.chassis.channels import Channels
from billplane.chassis.errors import PeerError
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2, exchange_rate_pb2_grpc
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc
from billplane.protos.metering.v1 import metering_pb2, metering_pb2_grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc
from billplane.protos.utility_provider.v1 import utility_provider_pb2, utility_provider_pb2_grpc

from billplane_operator.kinds import Applied, Desired, Document, Key, Policy, Provided
from billplane_operator.settings import OperatorSettings

GRPC_PORT: Final = 50051
_PAGE: Final = 200
# A source may take its time, and its fallbacks theirs.
_FETCH_SECONDS: Final = 90
_PROBE_SECONDS: Final = 40
_COMPARE_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class _Api:
    """The service that runs a kind; the calls are named alike but for the noun."""

    service: str
    messages: Any
    stub: Any
    noun: str


_APIS: Final[Mapping[str, _Api]] = {
    "BillingPlan": _Api("pricing", pricing_pb2, pricing_pb2_grpc.PricingServiceStub, "Plan"),
    "ExchangeRateFeed": _Api(
        "exchange_rate", exchange_rate_pb2, exchange_rate_pb2_grpc.ExchangeRateServiceStub, "Feed"
    ),
    "Meter": _Api("metering", metering_pb2, metering_pb2_grpc.MeteringServiceStub, "Meter"),
    "UtilityProvider": _Api(
        "utility_provider",
        utility_provider_pb2,
        utility_provider_pb2_grpc.UtilityProviderServiceStub,
        "Provider",
    ),
}
APPLIED_KINDS: Final = tuple(_APIS)


class Peers:
    """Calls as the operator, for the tenant that a namespace is.

    `epoch` is told with each change; services refuse one that is lower than they have seen.
    """

    def __init__(
        self, settings: OperatorSettings, tenant_of: Callable[[str], str] = lambda name: name
    ) -> None:
        self.epoch = 0
        self._tenant_of = tenant_of
        form = settings.services_address or f"127.0.0.1:{GRPC_PORT + settings.port_offset}"
        services = ("identity", "subscription", *(api.service for api in _APIS.values()))
        # A host name has no underscore.
        addresses = {name: form.replace("{service}", name.replace("_", "-")) for name in services}
        tokens = InternalTokens(internal_seed(settings))
        self._channels = Channels(tokens, addresses, settings.peer_suffix)
        self._tenants: set[str] = set()

    async def close(self) -> None:
        """Close every channel."""
        await self._channels.close()

    async def wait_reachable(self) -> None:
        """Wait until the services answer at all: both are often started together."""
        await self._channels.get("identity").channel_ready()

    async def ensure_tenant(self, namespace: str) -> None:
        """Make the tenant that a namespace is, unless it is there.

        Raises: PeerError.
        """
        await self.create_tenant(self._tenant_of(namespace))

    async def create_tenant(self, tenant: str) -> None:
        """Make a tenant, unless it is there.

        Raises: PeerError.
        """
        if tenant in self._tenants:
            return
        stub = identity_pb2_grpc.IdentityServiceStub(self._channels.get("identity"))
        request = identity_pb2.CreateTenantRequest(id=tenant, name=tenant)
        await self._call(stub.CreateTenant, request, tenant)
        self._tenants.add(tenant)

    async def create_test_key(self, tenant: str, name: str) -> tuple[str, str]:
        """Make a test key of a tenant with every scope; return it and its id.

        Raises: PeerError.
        """
        stub = identity_pb2_grpc.IdentityServiceStub(self._channels.get("identity"))
        request = identity_pb2.CreateTestKeyRequest(name=name, scopes=["*"])
        made = await self._call(stub.CreateTestKey, request, tenant)
        return made.key, made.key_id

    def tenant_of(self, namespace: str) -> str:
        """Return the tenant that a namespace is.

        Raises: BillplaneError where it is not known yet.
        """
        return self._tenant_of(namespace)

    async def list_applied(self, kind: str, tenant: str) -> dict[str, Applied]:
        """Return what the kind's service runs of a tenant's resources, by uid.

        Raises: PeerError.
        """
        api = _APIS[kind]
        found: dict[str, Applied] = {}
        token = ""
        while True:
            request = api.messages.ListAppliedRequest(page_size=_PAGE, page_token=token)
            page = await self._call(self._stub(api).ListApplied, request, tenant)
            for item in page.applied:
                found[item.uid] = Applied(
                    item.id,
                    item.generation,
                    item.epoch,
                    item.spec_hash,
                    getattr(item, "endpoint", ""),
                    getattr(item, "source_digest", ""),
                )
            token = page.next_page_token
            if not token:
                return found

    async def apply(self, desired: Desired, generation: int, endpoint: str = "") -> Applied:
        """Make the kind's service run a spec; return what it runs now.

        Raises: PeerError.
        """
        api, key, epoch = _APIS[desired.key.kind], desired.key, self.epoch
        own = {"simulator_endpoint": endpoint} if key.kind == "UtilityProvider" else {}
        request = getattr(api.messages, f"Apply{api.noun}Request")(
            uid=desired.uid,
            namespace=key.namespace,
            name=key.name,
            generation=generation,
            epoch=epoch,
            spec_hash=desired.spec_hash,
            spec_json=_json_of(desired),
            adopt=desired.adopt,
            **own,
        )
        method = getattr(self._stub(api), f"Apply{api.noun}")
        answer = await self._ask(method, request, key.namespace)
        asked, held = getattr(answer, "endpoint", ""), getattr(answer, "source_digest", "")
        return Applied(answer.id, generation, epoch, answer.spec_hash, asked, held)

    async def remove(self, key: Key, uid: str, generation: int, policy: Policy) -> None:
        """Take what the kind's service has of a resource out of use.

        Raises: PeerError.
        """
        api = _APIS[key.kind]
        request = getattr(api.messages, f"Remove{api.noun}Request")(
            uid=uid,
            generation=generation,
            epoch=self.epoch,
            policy=api.messages.RemovePolicy.Value(f"REMOVE_POLICY_{policy.upper()}"),
        )
        await self._ask(getattr(self._stub(api), f"Remove{api.noun}"), request, key.namespace)

    async def details(self, key: Key, found_id: str) -> dict[str, Any]:
        """Return what the kind's status tells of an applied object.

        Raises: PeerError.
        """
        if key.kind == "ExchangeRateFeed":
            return await self._feed_details(key, found_id)
        if key.kind == "UtilityProvider":
            return await self._provider_details(key, found_id)
        if key.kind != "BillingPlan":
            return {}
        api = _APIS[key.kind]
        request = pricing_pb2.GetPlanRequest(id=found_id)
        answer = await self._ask(self._stub(api).GetPlan, request, key.namespace)
        return {"version": answer.plan.version, **await self._subscribers(key, found_id)}

    async def compare_bills(self, desired: Desired, found_id: str) -> Document:
        """Return what a spec would have done to the bills of a plan's subscribers.

        Those of live mode count; where there are none, those of test mode.

        Raises: PeerError.
        """
        stub = subscription_pb2_grpc.SubscriptionServiceStub(self._channels.get("subscription"))
        request = subscription_pb2.PreviewPlanChangeRequest(
            plan_id=found_id, spec_json=_json_of(desired)
        )
        tenant = self._tenant_of(desired.key.namespace)
        for livemode in (True, False):
            found = await self._call(
                stub.PreviewPlanChange, request, tenant, _COMPARE_SECONDS, livemode=livemode
            )
            if found.customers:
                break
        return {
            "specHash": desired.spec_hash,
            "mode": "Live" if livemode else "Test",
            "currency": found.currency_code,
            "customers": found.customers,
            "up": found.up,
            "down": found.down,
            "oldTotal": found.old_total,
            "newTotal": found.new_total,
        }

    async def _subscribers(self, key: Key, found_id: str) -> dict[str, Any]:
        """Count who has a plan; a plan is published also while nobody can tell."""
        stub = subscription_pb2_grpc.SubscriptionServiceStub(self._channels.get("subscription"))
        request = subscription_pb2.CountSubscriptionsRequest(plan_id=found_id)
        try:
            answer = await self._ask(stub.CountSubscriptions, request, key.namespace, 3)
        except PeerError:
            return {}
        return {"activeSubscriptions": answer.live}

    async def refresh_feed(self, key: Key, found_id: str) -> None:
        """Have a feed fetched now.

        Raises: PeerError.
        """
        stub = self._stub(_APIS["ExchangeRateFeed"])
        request = exchange_rate_pb2.RefreshFeedRequest(id=found_id)
        await self._ask(stub.RefreshFeed, request, key.namespace, _FETCH_SECONDS)

    async def provide_source(self, desired: Desired, provided: Provided) -> None:
        """Hand over what a feed or a plan names of its namespace.

        Raises: PeerError.
        """
        if desired.key.kind == "BillingPlan":
            await self._provide_secrets(desired, provided)
            return
        stub = self._stub(_APIS["ExchangeRateFeed"])
        values = [
            exchange_rate_pb2.SourceValue(**value.reference._asdict(), content=value.content)
            for value in provided.values
        ]
        request = exchange_rate_pb2.ProvideSourceRequest(
            uid=desired.uid, epoch=self.epoch, digest=provided.digest, values=values
        )
        await self._ask(stub.ProvideSource, request, desired.key.namespace)

    async def _provide_secrets(self, desired: Desired, provided: Provided) -> None:
        values = [
            pricing_pb2.SecretValue(
                name=value.reference.name, key=value.reference.key, content=value.content
            )
            for value in provided.values
        ]
        request = pricing_pb2.ProvideSecretsRequest(
            uid=desired.uid, epoch=self.epoch, digest=provided.digest, values=values
        )
        stub = self._stub(_APIS["BillingPlan"])
        await self._ask(stub.ProvideSecrets, request, desired.key.namespace)

    async def probe_provider(self, key: Key, found_id: str) -> None:
        """Have a utility asked whether it is there, unless it was asked a moment ago.

        Raises: PeerError.
        """
        stub = self._stub(_APIS["UtilityProvider"])
        request = utility_provider_pb2.ProbeProviderRequest(id=found_id)
        await self._ask(stub.ProbeProvider, request, key.namespace, _PROBE_SECONDS)

    async def _provider_details(self, key: Key, found_id: str) -> dict[str, Any]:
        stub = self._stub(_APIS["UtilityProvider"])
        request = utility_provider_pb2.GetProviderRequest(id=found_id)
        provider = (await self._ask(stub.GetProvider, request, key.namespace)).provider
        name = utility_provider_pb2.Reachability.Name(provider.reachability)
        found = {
            "endpoint": provider.endpoint,
            "reachability": name.removeprefix("REACHABILITY_").title(),
            "error": provider.last_error,
        }
        if provider.HasField("last_success_at"):
            found["lastSuccessTime"] = provider.last_success_at.ToJsonString()
        return found

    async def _feed_details(self, key: Key, found_id: str) -> dict[str, Any]:
        stub = self._stub(_APIS["ExchangeRateFeed"])
        request = exchange_rate_pb2.GetFeedRequest(id=found_id)
        feed = (await self._ask(stub.GetFeed, request, key.namespace)).feed
        found = {
            "asOf": feed.as_of,
            "rateCount": feed.rate_count,
            "stale": feed.stale,
            "error": feed.last_error,
        }
        for name, field in (
            ("lastSuccessTime", "last_success_at"),
            ("nextRefreshTime", "next_refresh_at"),
        ):
            if feed.HasField(field):
                found[name] = getattr(feed, field).ToJsonString()
        return found

    def _stub(self, api: _Api) -> Any:
        return api.stub(self._channels.get(api.service))

    async def _ask(
        self, method: Any, request: Any, namespace: str, timeout_seconds: float = 10
    ) -> Any:
        return await self._call(method, request, self._tenant_of(namespace), timeout_seconds)

    async def _call(
        self,
        method: Any,
        request: Any,
        tenant: str,
        timeout_seconds: float = 10,
        *,
        livemode: bool = False,
    ) -> Any:
        operator = Principal("operator", tenant, livemode, frozenset({"*"}))
        return await self._channels.ask(method, request, operator, timeout_seconds=timeout_seconds)


def _json_of(desired: Desired) -> str:
    return rfc8785.dumps(desired.spec.document()).decode()
