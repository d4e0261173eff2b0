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
]
