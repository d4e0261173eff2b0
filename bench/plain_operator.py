"""The reference of bar 13: a Kopf operator as its documentation has it, with its defaults."""

import json
import os
from typing import Any

import grpc
import kopf
from billplane.chassis.auth import INTERNAL_INFO, InternalTokens, Principal, derive_seed
from billplane.protos.metering.v1 import metering_pb2, metering_pb2_grpc

TOKENS = InternalTokens(derive_seed(os.environ["BILLPLANE_JWT_SECRET"], INTERNAL_INFO))
ADDRESS = f"127.0.0.1:{50051 + int(os.environ['BILLPLANE_PORT_OFFSET'])}"


@kopf.on.resume("billplane.io", "v1alpha1", "meters")
@kopf.on.create("billplane.io", "v1alpha1", "meters")
@kopf.on.update("billplane.io", "v1alpha1", "meters")
async def apply(spec: Any, meta: Any, uid: str, memo: Any, patch: Any, **_: Any) -> None:
    """Have metering run a meter, and say so in its status."""
    if "stub" not in memo:
        memo.stub = metering_pb2_grpc.MeteringServiceStub(grpc.aio.insecure_channel(ADDRESS))
    tenant = meta["namespace"].replace("bench-", "ten_bench_")
    principal = Principal("operator", tenant, livemode=False, scopes=frozenset({"*"}))
    request = metering_pb2.ApplyMeterRequest(
        uid=uid,
        namespace=meta["namespace"],
        name=meta["name"],
        generation=meta["generation"],
        epoch=1,
        spec_json=json.dumps(dict(spec)),
    )
    metadata = (("authorization", f"Bearer {TOKENS.mint(principal)}"),)
    await memo.stub.ApplyMeter(request, metadata=metadata, timeout=30)
    patch.status["observedGeneration"] = meta["generation"]
