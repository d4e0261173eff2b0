"""A shop of its own for each test."""

import hashlib

import pytest

from tests.payment.shop import Shop


@pytest.fixture
def shop(platform, request):
    """Give a tenant that nobody else uses."""
    name = hashlib.blake2b(request.node.nodeid.encode(), digest_size=6).hexdigest()
    return Shop(platform, f"ten_pay_{name}")
