"""A client in the cluster: asks pricing for a price by gRPC, with the stubs of the distribution.

Stubs come as `billplane.protos` with `pip install billplane`, and so with the image. The key goes
into the metadata as it would into an HTTP header. Calls that find nobody are repeated by gRPC.

Environment: API_KEY (required), PRICING_ADDRESS, RUNS (how often; 1).
"""

import json
import os
import sys
from decimal import Decimal
from typing import Any

import grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

ADDRESS = os.environ.get("PRICING_ADDRESS", "pricing:50053")
SERVICE = "billplane.pricing.v1.PricingService"
PATIENCE_SECONDS = 60
Metadata = list[tuple[str, str]]
OPTIONS = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
PLAN = {
    "currency": "EUR",
    "charges": [
        {
            "name": "requests",
            "usage": {
                "meter": "client-requests",
                "model": {"graduated": {"tiers": [{"upTo": "10", "unitAmount": "1"},
                                                  {"unitAmount": "0.50"}]}},
            },
        }
    ],
}  # fmt: skip


def check_health(channel: grpc.Channel) -> None:
    """Ask the standard health service about the service by name."""
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    answer = stub.Check(request, timeout=PATIENCE_SECONDS, wait_for_ready=True)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise SystemExit(f"{SERVICE} is not serving")


def services(channel: grpc.Channel) -> list[str]:
    """List what the server offers, by reflection."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = stub.ServerReflectionInfo(iter([request]), timeout=PATIENCE_SECONDS)
    return [item.name for answer in answers for item in answer.list_services_response.service]


def ensure_plan(stub: pricing_pb2_grpc.PricingServiceStub, metadata: Metadata) -> None:
    """Make the plan, unless an earlier run has."""
    request = pricing_pb2.CreatePlanRequest(name="client-tiers", spec_json=json.dumps(PLAN))
    try:
        stub.CreatePlan(request, metadata=metadata, timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise


def price(
    stub: pricing_pb2_grpc.PricingServiceStub, metadata: Metadata, quantity: str
) -> dict[str, Any]:
    """Return the price of a quantity."""
    request = pricing_pb2.CalculatePriceRequest(
        plan_id="client-tiers", meter="client-requests", quantity=quantity
    )
    answer = stub.CalculatePrice(request, metadata=metadata, timeout=PATIENCE_SECONDS)
    return {
        "quantity": quantity,
        "amount": str(Decimal(answer.total_minor).scaleb(-2)),
        "currency_code": answer.currency_code,
        "version": answer.version,
    }


def main() -> None:
    """Check, list, and ask as often as wanted; one line of JSON each."""
    metadata = [("authorization", f"Bearer {os.environ['API_KEY']}")]
    options = [("grpc.service_config", json.dumps(OPTIONS))]
    with grpc.insecure_channel(ADDRESS, options=options) as channel:
        check_health(channel)
        offered = services(channel)
        if SERVICE not in offered:
            raise SystemExit(f"{SERVICE} is not among {offered}")
        stub = pricing_pb2_grpc.PricingServiceStub(channel)
        ensure_plan(stub, metadata)
        for _ in range(int(os.environ.get("RUNS", "1"))):
            found = price(stub, metadata, "14")
            if found["amount"] != "12.00":
                raise SystemExit(f"10 at 1 and 4 at 0.50 EUR are not {found['amount']}")
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
