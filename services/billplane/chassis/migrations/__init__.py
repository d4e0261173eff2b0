"""Schema migrations: one numbered history a service, run by one environment."""

from billplane.chassis.migrations.foundation import create_foundation, drop_foundation
from billplane.chassis.migrations.tables import create_tenant_table, worker_function

__all__ = ["create_foundation", "create_tenant_table", "drop_foundation", "worker_function"]
