"""What tests of billing_core share."""

import itertools

import pytest

from tests.billing_core.purse import Purse

_TENANTS = itertools.count()


@pytest.fixture
async def purse(platform):
    """Open a wallet in euros of a tenant of its own."""
    purse = Purse(platform, f"ten_purse_{next(_TENANTS)}")
    await purse.open()
    return purse
