"""A platform that bills only when it is told to."""

import pytest

from tests.subscription.billing import Seller


@pytest.fixture(scope="module")
async def manual(make_stores, run_platform):
    """Run every service without automatic billing."""
    environ = {"BILLPLANE_SUBSCRIPTION_AUTOMATIC_BILLING": "false"}
    async with run_platform(await make_stores(), **environ) as found:
        yield found


@pytest.fixture
def seller(manual, request):
    """A tenant of the test's own that sells a plan."""
    return Seller(manual, f"ten_{abs(hash(request.node.nodeid)):x}")
