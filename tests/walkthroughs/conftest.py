"""A platform as `billplane up` leaves it, and a shell beside it."""

import pytest

from tests.walkthroughs.notes import Notes, apply_quickstart

DEMO_TENANT = "default"


@pytest.fixture(scope="module")
async def laptop(run_platform, make_stores):
    """Run every service with the demo tenant and the quick start's resources applied to it."""
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
