"""Storage: one engine a database server, one transaction a request, tenants kept apart."""

from billplane.chassis.database.engine import Database, engine_for
from billplane.chassis.database.tables import service_base
from billplane.chassis.database.transaction import ReadTransaction, Transaction

__all__ = ["Database", "ReadTransaction", "Transaction", "engine_for", "service_base"]
