"""Tables of utility_provider."""

from datetime import datetime

from sqlalchemy.orm import DeclarativeBase, Mapped

from billplane.chassis.applied import AppliedColumns
from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `utility_provider`."""

    metadata = service_metadata("utility_provider")
    type_annotation_map = COLUMN_TYPES


class ProviderRow(AppliedColumns, Base):
    """A utility and what the last probe of it found."""

    __tablename__ = "providers"

    simulator_endpoint: Mapped[str]
    reachability: Mapped[str]
    last_probe_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_error: Mapped[str]
