"""What every test may ask for."""

import os

import pytest

# Tests start programs as other users, which forks a process that has gRPC's threads: its fork
# handlers crash the child before it becomes the program.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.platform",
    "tests.fixtures.brokers",
    "tests.fixtures.airport",
    "tests.fixtures.left_out",
]

IN_A_CLUSTER = os.environ.get("BILLPLANE_TEST_CLUSTER") == "1"
collect_ignore = [] if IN_A_CLUSTER else ["cluster"]


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups down
def pytest_collection_modifyitems(items):
    """Keep the tests of a module that share a platform of its own on one worker.

    Each worker would start one of its own otherwise.
    """
    for item in items:
        definitions = item._fixtureinfo.name2fixturedefs.values()
        shared = any(found[-1].scope in ("module", "package") for found in definitions)
        if shared and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_terminal_summary(terminalreporter):
    """Say what was left out."""
    if not IN_A_CLUSTER:
        terminalreporter.write_line("not run: tests/cluster, which needs a cluster (make e2e)")
