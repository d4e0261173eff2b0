"""The design that metering replaced, and a server that does nothing: references of a load test.

Run as `python -m bench.replaced_engine PORT REDIS_URL`.
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis


class Usage(BaseModel):
    """One quantity."""

    customer_id: str
    resource_type: str
    quantity: float


def engine(redis_url: str) -> Any:
    """Return the app: one counter in Redis a request; beside it a raw answer of nothing."""
    redis = Redis.from_url(redis_url)
    api = FastAPI()

    @api.post("/api/v1/usage", status_code=202)
    async def record(usage: Usage) -> dict[str, str]:
        name = f"usage:{usage.customer_id}:{usage.resource_type}"
        await redis.incrbyfloat(name, usage.quantity)
        return {"status": "accepted"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/static":
            headers = [(b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        await api(scope, receive, send)

    return app


if __name__ == "__main__":
    uvicorn.run(engine(sys.argv[2]), port=int(sys.argv[1]), log_level="error", access_log=False)
