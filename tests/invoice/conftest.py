"""What tests of invoice ask for."""

import pytest

from tests.invoice.billing import Billing
from tests.invoice.client import Client


@pytest.fixture
async def billing(platform, request):
    """Give a billing run with a tenant of its own."""
    async with platform.channel() as channel:
        yield Billing(platform, f"ten_{request.node.name}"[:200], channel)


@pytest.fixture
def client(platform, request):
    """Give a developer with a tenant of its own."""
    return Client(platform, f"ten_{request.node.name}"[:200])
