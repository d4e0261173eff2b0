"""Usage of one tenant, as tests send and read it."""

from datetime import UTC, datetime
from io import BytesIO

from billplane.chassis.rpc import to_timestamp
from billplane.protos.metering.v1 import metering_pb2 as pb
from billplane.protos.metering.v1 import metering_pb2_grpc

NOON = "2026-01-15T12:00:00Z"
JANUARY = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


def event(number, subject="ada", **values):
    """Make a structured CloudEvent; what is None is left out."""
    made = {
        "specversion": "1.0",
        "type": "api.request",
        "source": "tests",
        "id": f"e{number}",
        "subject": subject,
        "time": NOON,
        "data": {"units": 1},
        **values,
    }
    return {name: value for name, value in made.items() if value is not None}


class Usage:
    """A tenant that meters."""

    def __init__(self, platform, tenant, channel, *, livemode=False):
        self.platform = platform
        self.tenant = tenant
        self.livemode = livemode
        self.headers = platform.headers(tenant, livemode=livemode)
        self.stub = metering_pb2_grpc.MeteringServiceStub(channel)

    def metadata(self, **options):
        return self.platform.metadata(self.tenant, livemode=self.livemode, **options)

    async def request(self, method, path, expect, **options):
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.platform.request(method, path, headers=headers, expect=expect, **options)

    async def meter(self, name="units", expect=201, **spec):
        """Make a meter; a sum of `units` unless told otherwise."""
        spec = {"eventType": "api.request", "aggregation": "Sum", **spec}
        if spec["aggregation"] != "Count":
            spec.setdefault("valueProperty", "$.units")
        return await self.request("POST", "/v1/meters", expect, json={"name": name, "spec": spec})

    async def send(self, *events, expect=202, headers=None):
        """Send events: one alone, several as a list."""
        body = events[0] if len(events) == 1 else list(events)
        return await self.request(
            "POST", "/v1/usage_events", expect, json=body, headers=headers or {}
        )

    async def send_raw(self, body, expect=202, path="/v1/usage_events", **headers):
        """Send bytes as they are."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("content-type", "application/json")
        return await self.request("POST", path, expect, data=BytesIO(body), headers=headers)

    async def kept(self, expect=202, headers=None, **body):
        """Send one quantity on the kept path."""
        body = {"customer_id": "ada", "resource_type": "api.request", **body}
        return await self.request("POST", "/api/v1/usage", expect, json=body, headers=headers or {})

    async def rows(self, meter="units", subject="ada", expect=200, bounds=JANUARY, **query):
        """Read usage."""
        starts_at, ends_at = bounds
        parameters = {
            "meter": meter,
            "customer_id": subject,
            "starts_at": starts_at,
            "ends_at": ends_at,
            **query,
        }
        pairs = [
            (name, str(item))
            for name, value in parameters.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        return await self.request("GET", "/v1/usage", expect, params=pairs)

    async def quantity(self, meter="units", subject="ada", **query):
        """Read the one quantity of a period, and how many events made it."""
        found = (await self.rows(meter, subject, **query))["data"]
        if not found:
            return "0", 0
        (row,) = found
        return row["quantity"], row["event_count"]

    async def query(self, meter="units", subject="ada", **values):
        """Read a page of usage over gRPC."""
        starts_at, ends_at = (datetime.fromisoformat(text).astimezone(UTC) for text in JANUARY)
        values.setdefault("starts_at", to_timestamp(starts_at))
        values.setdefault("ends_at", to_timestamp(ends_at))
        request = pb.QueryUsageRequest(customer_id=subject, meter=meter, **values)
        return await self.stub.QueryUsage(request, metadata=self.metadata())

    async def flush(self):
        """Wait until everything acknowledged is stored."""
        await self.stub.FlushUsage(pb.FlushUsageRequest(), metadata=self.metadata())

    async def conflicts(self):
        """List events whose id had been used before."""
        return (await self.request("GET", "/v1/usage_events/conflicts", 200))["data"]
