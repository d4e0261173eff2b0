"""Makes an installed platform do its work, from beside it: what `helm test` runs.

Each trial acts as a tenant of its own, in test mode, with names that no other run has, and tells
what is not as it should be. Nothing of another tenant is read or changed.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import aiohttp
import asyncpg
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from billplane import catalog
from billplane.chassis import ids, logging
from billplane.chassis.auth import InternalTokens, Principal, internal_seed
from billplane.chassis.migrations.runner import has_history
from billplane.chassis.settings import Settings

_log = logging.get("trial")

TENANT = "ten_trial"
_WAIT_SECONDS = 60
_INTERVAL = {"unit": "Month", "anchor": "Calendar", "timeZone": "Europe/Berlin"}


class TrialFailed(Exception):
    """Something is not as it should be; the message says what and where."""


class Trial:
    """One caller of the gateway."""

    def __init__(self, settings: Settings, gateway: str, api_key: str) -> None:
        self.settings = settings
        self.gateway = gateway
        self.api_key = api_key
        self.run = ids.new("run").removeprefix("run_").lower()

    async def request(
        self, method: str, path: str, body: Any = None, *, expect: int, token: str | None = None
    ) -> Any:
        """Call the gateway as the trial's tenant, or with a credential; empty = with none.

        Raises: TrialFailed for another status than the expected one.
        """
        credential = self._token() if token is None else token
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        timeout = aiohttp.ClientTimeout(total=_WAIT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.gateway + path, json=body, headers=headers) as answer,
        ):
            text = await answer.text()
            if answer.status != expect:
                raise TrialFailed(
                    f"{method} {path} answered {answer.status}, not {expect}: {text[:500]}"
                )
            return await answer.json(content_type=None) if text else None

    async def post(self, path: str, body: Any = None, expect: int = 201) -> Any:
        """Send a body."""
        return await self.request("POST", path, body, expect=expect)

    def _token(self) -> str:
        principal = Principal("key:trial", TENANT, livemode=False, scopes=frozenset({"*"}))
        return InternalTokens(internal_seed(self.settings)).mint(principal)

    async def make_plan(self) -> tuple[str, str]:
        """Make a meter and a plan that prices it; return both names."""
        meter, plan = f"calls-{self.run}", f"plan-{self.run}"
        spec = {"eventType": meter, "aggregation": "Sum", "valueProperty": "$.units"}
        await self.post("/v1/meters", {"name": meter, "spec": spec})
        tiers = [{"upTo": "100", "unitAmount": "0"}, {"unitAmount": "0.02"}]
        charges = [
            {"name": "fee", "recurring": {"amount": "49.00", "billed": "InArrears"}},
            {"name": "calls", "usage": {"meter": meter, "model": {"graduated": {"tiers": tiers}}}},
        ]
        document = {"currency": "EUR", "interval": _INTERVAL, "charges": charges}
        await self.post("/v1/plans", {"name": plan, "spec": document})
        return meter, plan

    async def wait(self, what: str, look: Callable[[], Awaitable[Any]]) -> Any:
        """Look until there is something.

        Raises: TrialFailed after a minute.
        """
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while True:
                    if found := await look():
                        return found
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise TrialFailed(f"{what} did not come within {_WAIT_SECONDS} s") from None


async def gateway(trial: Trial) -> None:
    """The door answers, knows the first key and turns away who has none."""
    await trial.request("GET", "/health/ready", expect=200, token="")
    await trial.request("GET", "/v1/plans", expect=401, token="")
    if trial.api_key:
        await trial.request("GET", "/v1/plans", expect=200, token=trial.api_key)


async def services(trial: Trial) -> None:
    """Every service tells by gRPC that it serves, under the name of its contract."""
    for name in catalog.SERVICES:
        for servicer in catalog.load(name).rpc:
            address = f"dns:///{name.replace('_', '-')}{trial.settings.peer_suffix}:50051"
            await _serves(address, servicer.full_name)


async def _serves(address: str, contract: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=contract)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
        except grpc.aio.AioRpcError as error:
            raise TrialFailed(f"{contract} at {address}: {error.details()}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise TrialFailed(f"{contract} at {address} does not serve")


async def quote(trial: Trial) -> None:
    """A plan prices a quantity to the cent."""
    meter, plan = await trial.make_plan()
    items = [{"meter": meter, "quantity": "350"}]
    quoted = await trial.post("/v1/quotes", {"plan": plan, "items": items}, expect=200)
    _same("the quote", quoted["total_minor"], 54_00)


async def invoice(trial: Trial) -> None:
    """Usage that was sent is a line of the invoice after a billing run, to the cent."""
    meter, plan = await trial.make_plan()
    clock = await trial.post("/v1/test_clocks", {"now": "2026-01-01T00:00:00+01:00"})
    external = f"ada-{trial.run}"
    customer = {"name": "Ada", "external_id": external, "test_clock_id": clock["id"]}
    await trial.post("/v1/customers", {**customer, "address": {"country": "DE"}})
    subscription = await trial.post("/v1/subscriptions", {"customer_id": external, "plan": plan})
    events = [_event(trial, meter, external, number) for number in range(100)]
    answer = await trial.post("/v1/usage_events", events, expect=202)
    _same("the events taken in", answer["accepted"], 100)
    answer = await trial.post("/v1/usage_events", events[:3], expect=202)
    _same("the events sent again", answer["duplicates"], 3)
    to = {"to": "2026-02-01T00:00:00+01:00"}
    await trial.post(f"/v1/test_clocks/{clock['id']}:advance", to, expect=200)
    run = await trial.post("/v1/billing_runs", {}, expect=202)

    async def ended() -> Any:
        found = await trial.request("GET", f"/v1/billing_runs/{run['id']}", expect=200)
        return found if found["state"] != "running" else None

    await trial.wait("the end of the billing run", ended)

    async def billed() -> Any:
        listed = await trial.request("GET", "/v1/invoices?limit=200", expect=200)
        return [item for item in listed["data"] if item["subscription_id"] == subscription["id"]]

    (made,) = await trial.wait("the invoice", billed)
    _same("the invoice's net amount", made["net_minor"], 52_00)
    _same("its total with tax", made["total_minor"], 61_88)
    _same("its state", made["state"], "finalized")


def _event(trial: Trial, meter: str, subject: str, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": meter,
        "source": "trial",
        "id": f"{trial.run}-{number}",
        "subject": subject,
        "time": "2026-01-15T12:00:00Z",
        "data": {"units": "2.5"},
    }


async def roles(trial: Trial) -> None:
    """No service's role may pass row security, see another's schema, or rows without a tenant."""
    connection = await asyncpg.connect(trial.settings.database_url, timeout=20)
    owning = [name for name in catalog.SERVICES if has_history(name)]
    try:
        mighty = await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE (rolsuper OR rolbypassrls)"
            " AND (rolname = current_user OR rolname = ANY($1))",
            [f"{name}_app" for name in owning],
        )
        _same("the roles that pass row security", [row["rolname"] for row in mighty], [])
        for index, name in enumerate(owning):
            # Another's rows, and its own while no tenant is set.
            await _refused(connection, name, owning[index - 1])
            await _refused(connection, name, name)
    finally:
        await connection.close()


async def _refused(connection: "asyncpg.Connection[Any]", service: str, schema: str) -> None:
    await connection.execute(f"SET ROLE {service}_app")
    try:
        await connection.fetch(f"SELECT 1 FROM {schema}.idempotency")  # noqa: S608 - of the catalog
    except asyncpg.InsufficientPrivilegeError:
        return
    except asyncpg.RaiseError as error:
        if "tenant" in str(error):
            return
        raise
    finally:
        await connection.execute("RESET ROLE")
    raise TrialFailed(f"{service}_app may read {schema}.idempotency without a tenant")


def _same(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise TrialFailed(f"{what}: {found!r}, not {wanted!r}")


TRIALS: Mapping[str, Callable[[Trial], Coroutine[None, None, None]]] = {
    "gateway": gateway,
    "services": services,
    "quote": quote,
    "invoice": invoice,
    "roles": roles,
}


async def _in_time(work: Coroutine[None, None, None]) -> None:
    async with asyncio.timeout(300):
        await work


def run(names: list[str], settings: Settings, gateway_url: str, api_key: str) -> int:
    """Run some trials one after the other; 1 when one fails.

    Raises: KeyError for a name that is none.
    """
    failed = 0
    for name in names:
        if name not in TRIALS:
            raise KeyError(f"no trial {name!r}; there are {', '.join(TRIALS)}")
    for name in names or list(TRIALS):
        trial = Trial(settings, gateway_url.rstrip("/"), api_key)
        try:
            asyncio.run(_in_time(TRIALS[name](trial)))
        except (TrialFailed, aiohttp.ClientError, OSError, asyncpg.PostgresError) as error:
            failed = 1
            sys.stderr.write(f"{name}: failed: {error}\n")
        else:
            sys.stdout.write(f"{name}: ok\n")
    return failed
