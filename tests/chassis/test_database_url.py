"""Addresses of databases as other programs write them reach the driver."""

import pytest
from billplane.chassis.database.engine import async_url


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            "postgresql://app:p%40ss@db:5432/billplane",
            "postgresql+asyncpg://app:p%40ss@db:5432/billplane",
        ),
        ("postgres://app@db/billplane", "postgresql+asyncpg://app@db/billplane"),
        (
            "postgresql://app@db/billplane?sslmode=verify-full",
            "postgresql+asyncpg://app@db/billplane?ssl=verify-full",
        ),
        (
            "postgresql://app@/billplane?host=/run/postgres&port=5433",
            "postgresql+asyncpg://app@/billplane?host=/run/postgres&port=5433",
        ),
    ],
)
def test_an_address_as_libpq_reads_it_names_our_driver_and_its_tls(given, wanted):
    assert async_url(given).replace("%2F", "/") == wanted
