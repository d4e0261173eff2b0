"""What every test may ask for."""

import os

# Tests start programs as other users, which forks a process that has gRPC's threads: its fork
# handlers crash the child before it becomes the program.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.platform",
    "tests.fixtures.brokers",
    "tests.fixtures.airport",
    "tests.fixtures.left_out",
    "tests.fixtures.scheduling",
]

IN_A_CLUSTER = os.environ.get("BILLPLANE_TEST_CLUSTER") == "1"
collect_ignore = [] if IN_A_CLUSTER else ["cluster"]


def pytest_terminal_summary(terminalreporter):
    """Say what was left out."""
    if not IN_A_CLUSTER:
        terminalreporter.write_line("not run: tests/cluster, which needs a cluster (make e2e)")
