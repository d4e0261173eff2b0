"""A platform of which nobody else uses up the log-ins."""

import pytest

from tests.identity.people import STAFF_KEY, Person


@pytest.fixture(scope="module")
async def home(make_stores, run_platform):
    """Run identity behind the gateway, with tenants that must be activated."""
    environ = {"BILLPLANE_GATEWAY_LOGINS_PER_MINUTE": "100000", "BILLPLANE_ADMIN_KEY": STAFF_KEY}
    services = ("gateway", "identity", "tax")
    async with run_platform(await make_stores(), services, **environ) as found:
        yield found


@pytest.fixture
async def ada(home):
    """A person who has logged in."""
    return await Person.registered(home)
