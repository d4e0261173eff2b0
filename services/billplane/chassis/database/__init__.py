"""Storage: one engine a database server, one transaction a request, tenants kept apart."""

from billplane.chassis.database.engine import Database, engine_for
from billplane.chassis.database.tables import COLUMN_TYPES, service_metadata
from billplane.chassis.database.transaction import ReadTransaction, Transaction

__all__ = [
    "COLUMN_TYPES",
    "Database",
    "ReadTransaction",
    "Transaction",
    "engine_for",
    "service_metadata",
]
