"""What tests of metering ask for."""

import pytest

from tests.metering.usage import Usage


@pytest.fixture(scope="session")
async def channel(platform):
    """Give one gRPC channel to the platform."""
    async with platform.channel() as opened:
        yield opened


@pytest.fixture
def usage(platform, channel, request):
    """Give usage of a tenant of the test's own."""
    return Usage(platform, f"ten_{request.node.name}"[:200], channel)
