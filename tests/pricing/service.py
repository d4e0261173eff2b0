"""Plans of the running service for its tests: specs, applications, usage on the wire."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from billplane.chassis.rpc import to_timestamp
from billplane.protos.pricing.v1 import pricing_pb2 as pb
from billplane.resources import BillingPlanSpec, UsageQuery, spec_hash, usage_queries

from tests.pricing.oracle import Row

OPERATOR = {"subject": "operator"}
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def spec(*charges: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make the spec of a plan in EUR by calendar months, with one fee unless told otherwise."""
    given = list(charges) or [
        {"name": "platform", "recurring": {"amount": "49.00", "billed": "InAdvance"}}
    ]
    return {
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": given,
    } | fields


def application(document: dict[str, Any], **fields: Any) -> pb.ApplyPlanRequest:
    """Make what the operator sends for a plan."""
    values = {"uid": "uid-1", "namespace": "default", "name": "pro", "generation": 1, "epoch": 0}
    return pb.ApplyPlanRequest(spec_json=json.dumps(document), **(values | fields))


def hash_of(document: dict[str, Any]) -> str:
    """Give the hash of a spec."""
    return spec_hash(BillingPlanSpec.parse(document))


def usage_of(charge: str, query: UsageQuery, rows: Sequence[Row]) -> pb.ChargeUsage:
    """Write rows as metering would return them for a query."""
    return pb.ChargeUsage(
        charge=charge,
        rows=[
            pb.UsageRow(
                dimensions=[row.dimensions[name] for name in query.group_by],
                starts_at=to_timestamp(row.starts_at),
                seconds=row.seconds,
                quantity=format(row.quantity, "f"),
                event_count=row.events,
                properties=[format(row.amount or 0, "f")] if query.event_properties else [],
            )
            for row in rows
        ],
    )


def queries(document: dict[str, Any]) -> list[UsageQuery]:
    """Tell which usage a plan is rated from in January."""
    return usage_queries(BillingPlanSpec.parse(document), starts_at=JANUARY, ends_at=FEBRUARY)
