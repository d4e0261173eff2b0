"""A gateway of its own with small limits, and one whose services are in another process."""

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from billplane import catalog
from billplane.chassis.auth import Principal

ORIGIN = "https://app.example"
BEHIND = tuple(name for name in catalog.SERVICES if name not in ("gateway", "identity"))


class Loopback(AbstractResolver):
    """Finds every service on this machine, as the cluster's DNS finds it elsewhere."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        return None


def edge_of(platform):
    """Return the gateway's door of a platform."""
    return platform.platform.runtimes["gateway"].state


def limited(platform, tenant, *, livemode=False):
    """Give the headers of a caller to whom limits apply."""
    principal = Principal("key:k1", tenant, livemode, frozenset({"*"}))
    return {"Authorization": f"Bearer {platform.platform.tokens.mint(principal)}"}


async def answered(platform, method, path, **options):
    """Send a request; return status, headers and body."""
    async with platform.http.request(method, platform.url(path), **options) as response:
        return response.status, response.headers, await response.read()


@pytest.fixture(scope="module")
async def strict(make_stores, run_platform):
    """Run a platform whose limits are soon reached."""
    environ = {
        "BILLPLANE_GATEWAY_READS_PER_SECOND": "2",
        "BILLPLANE_GATEWAY_WRITES_PER_SECOND": "1",
        "BILLPLANE_GATEWAY_USAGE_EVENTS_PER_SECOND": "20",
        "BILLPLANE_GATEWAY_LOGINS_PER_MINUTE": "3",
        "BILLPLANE_GATEWAY_CORS_ORIGINS": ORIGIN,
        "BILLPLANE_GATEWAY_DEMO_TENANT": "demo",
        "BILLPLANE_IDENTITY_ACTIVATE_TENANTS": "true",
    }
    async with run_platform(await make_stores(), **environ) as found:
        yield found


@pytest.fixture(scope="module")
async def apart(make_stores, run_platform):
    """Run the gateway with its services in another process, as far as it can tell."""
    stores = await make_stores()
    async with run_platform(stores, BEHIND) as behind:
        environ = {
            "BILLPLANE_GATEWAY_UPSTREAM_PORT": str(8080 + behind.port_offset),
            # Two platforms share the pool of one address, and the first that stops closes it.
            "BILLPLANE_DATABASE_URL": f"{stores.database_url}?prepared_statement_cache_size=99",
        }
        async with run_platform(stores, ("gateway", "identity"), **environ) as door:
            edge = edge_of(door)
            edge._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=Loopback()), auto_decompress=False
            )
            yield door
