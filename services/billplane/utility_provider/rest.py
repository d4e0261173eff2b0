"""REST of utility_provider."""

from fastapi import Response

from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.utility_provider import schemas, service
from billplane.utility_provider.domain import Reachability
from billplane.utility_provider.service import ProviderView

rest = router(tags=["utility_provider"])


@rest.post("/v1/utility_providers", status_code=201)
async def create_provider(
    body: schemas.ProviderBody, tx: Writer, response: Response
) -> schemas.Provider:
    """Create a provider."""
    found = await service.create_provider(tx, body.name, body.spec)
    response.headers["Location"] = f"/v1/utility_providers/{found.row.id}"
    return _provider(found)


@rest.get("/v1/utility_providers")
async def list_providers(
    tx: Reader,
    page: PageQuery,
    category: schemas.Category | None = None,
    country: schemas.Country | None = None,
    region: schemas.Region | None = None,
) -> schemas.ProviderList:
    """List providers by what they supply and where."""
    found, cursor = await service.list_providers(
        tx, page, category=category, country=country, region=region
    )
    return schemas.ProviderList(**listing([_provider(item) for item in found], cursor))


@rest.post("/v1/utility_providers/{provider}:probe")
async def probe_provider(provider: str, call: Steps) -> schemas.Probed:
    """Ask the utility whether it is there, as often as its limits allow."""
    found, probed = await service.probe_provider(call, provider)
    return schemas.Probed(provider=_provider(found), probed=probed)


@rest.get("/v1/utility_providers/{provider}")
async def get_provider(provider: str, tx: Reader) -> schemas.Provider:
    """Return a provider by id or name."""
    return _provider(await service.get_provider(tx, provider))


@rest.patch("/v1/utility_providers/{provider}")
async def update_provider(
    provider: str, body: schemas.ProviderPatch, tx: Writer
) -> schemas.Provider:
    """Merge a patch into a provider's spec."""
    return _provider(await service.update_provider(tx, provider, body.spec))


@rest.delete("/v1/utility_providers/{provider}", status_code=204)
async def delete_provider(provider: str, tx: Writer) -> None:
    """Take a provider out of use."""
    await service.delete_provider(tx, provider)


def _provider(found: ProviderView) -> schemas.Provider:
    row = found.row
    return schemas.Provider(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=found.spec_hash,
        spec=row.spec,
        endpoint=found.endpoint or None,
        reachability=Reachability(row.reachability),
        last_probe_at=row.last_probe_at,
        last_success_at=row.last_success_at,
        last_error=row.last_error,
        created_at=row.created_at,
    )
