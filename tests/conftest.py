"""What every test may ask for."""

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.platform", "tests.fixtures.airport"]
