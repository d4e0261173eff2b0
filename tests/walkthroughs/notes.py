"""Runs the commands that a user has in their notes, as they are, against the platform of a test."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from billplane.protos.metering.v1 import metering_pb2, metering_pb2_grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from billplane.resources import spec_hash, validate_spec

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
# What the notes leave to the reader's eye: quiet, and the status on the other stream.
_CURLRC = 'silent\nshow-error\nwrite-out = "%{stderr}%{http_code}"\n'

GRPC_PORTS = (50051, 50052, 50053, 50054, 50055)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and the status that it was answered with."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Notes:
    """A shell in which `localhost:8080` is the test's platform, and nothing else is changed."""

    def __init__(self, port_offset: int, home: Path) -> None:
        self._offset = port_offset
        self._home = home
        (home / ".curlrc").write_text(_CURLRC)

    async def python(self, program: str, **variables: str) -> str:
        """Run a program with the distribution's stubs; return what it printed."""
        for port in GRPC_PORTS:
            program = program.replace(f"localhost:{port}", f"localhost:{port + self._offset}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            cwd=self._home,
            env={**os.environ, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            printed, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return printed.decode()

    async def run(self, command: str, *, expect: int, **variables: str) -> Answer:
        """Run one command; `$NAME` in it is a shell variable."""
        for port in (8080, 8001, 8002, 8003, 8081):
            command = command.replace(f"localhost:{port}", f"localhost:{port + self._offset}")
        process = await asyncio.create_subprocess_shell(
            command,
            cwd=self._home,
            env={**os.environ, **variables, "CURL_HOME": str(self._home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        body, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, errors.decode()
        answer = Answer(int(errors.decode()[-3:]), body)
        assert answer.status == expect, f"{answer.status} {body[:2000]!r}"
        return answer


async def apply_quickstart(platform: Any, tenant_id: str) -> None:
    """Do what the operator does with examples/quickstart/ in the folder of a tenant."""
    metadata = platform.metadata(tenant_id, subject="operator")
    async with platform.channel() as channel:
        metering = metering_pb2_grpc.MeteringServiceStub(channel)
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        calls = {
            "Meter": (metering.ApplyMeter, metering_pb2.ApplyMeterRequest),
            "BillingPlan": (pricing.ApplyPlan, pricing_pb2.ApplyPlanRequest),
        }
        texts = [(QUICKSTART / name).read_text() for name in ("meters.yaml", "billing_plan.yaml")]
        for text in texts:
            for manifest in yaml.safe_load_all(text):
                kind, name = manifest["kind"], manifest["metadata"]["name"]
                call, request = calls[kind]
                await call(
                    request(
                        uid=f"{kind}/{name}",
                        namespace=tenant_id,
                        name=name,
                        generation=1,
                        spec_hash=spec_hash(validate_spec(kind, manifest["spec"])),
                        spec_json=json.dumps(manifest["spec"]),
                    ),
                    metadata=metadata,
                )
