"""A platform as `billplane up` leaves it, and a shell beside it."""

from types import SimpleNamespace

import pytest
from billplane.chassis import ids

from tests.fixtures import remote
from tests.walkthroughs.notes import (
    API_KEY,
    LOGIN,
    REGISTER,
    Developer,
    Notes,
    apply_quickstart,
)

DEMO_TENANT = "default"


@pytest.fixture(scope="module")
async def laptop(run_platform, make_stores):
    """Run every service with the demo tenant and the quick start's resources applied to it.

    Where the environment names a platform it is that, on the ports that the notes say.
    """
    if remote.URL:
        yield SimpleNamespace(port_offset=0)
        return
    async with run_platform(
        await make_stores(),
        BILLPLANE_GATEWAY_DEMO_TENANT=DEMO_TENANT,
        BILLPLANE_IDENTITY_ACTIVATE_TENANTS="true",
    ) as platform:
        await apply_quickstart(platform, DEMO_TENANT)
        yield platform


@pytest.fixture
def notes(laptop, tmp_path):
    """Give the shell."""
    return Notes(laptop.port_offset, tmp_path)


@pytest.fixture
async def developer(notes):
    """Register once a test, under an address of its own."""
    email = f"{ids.new('dev')}@example.com"
    await notes.run(REGISTER.replace("dev@example.com", email), expect=201)
    session = await notes.run(LOGIN.replace("dev@example.com", email), expect=200)
    made = await notes.run(API_KEY, expect=201, TOKEN=session.json["access_token"])
    return Developer(notes, made.json["key"], email)
