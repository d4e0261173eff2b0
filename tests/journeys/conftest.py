"""Journeys run on a platform of the test's own, or on the one that the environment names."""

import aiohttp
import pytest

from tests.fixtures import remote

if remote.URL:

    @pytest.fixture(scope="session")
    async def platform():
        """Give the platform that is named."""
        async with aiohttp.ClientSession() as http:
            yield remote.Remote(http)
