"""One test × catalog."""

import pytest
from billplane import catalog


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `service` once for every service of the catalog."""
    if "service" in metafunc.fixturenames:
        metafunc.parametrize("service", catalog.SERVICES)
