"""A tenant that takes payments, and how its tests speak to the service."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import asyncpg
from billplane.chassis.jobs import Worker
from billplane.payment import jobs
from stripe._encode import _api_encode


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal."""
        found: dict[str, Any] = self.body["error"]
        return found


@dataclass
class Shop:
    """A tenant in test mode, by forms as the SDKs send them."""

    platform: Any
    tenant: str
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, path: str, form: Any = None, **options: Any) -> Answer:
        """Send a request; a dictionary travels as a form with brackets."""
        headers = {
            **self.platform.headers(self.tenant),
            "Stripe-Version": "2026-01-01",
            **self.headers,
            **options.pop("headers", {}),
        }
        data = None
        if form is not None:
            data = encoded(form)
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        async with self.platform.http.request(
            method, self.platform.url(path, 8004), data=data, headers=headers, **options
        ) as response:
            text = await response.text()
            body = json.loads(text) if text.startswith(("{", "[")) else text
            return Answer(response.status, response.headers, body)

    async def make(self, path: str, form: Any = None, expect: int = 200, **options: Any) -> Any:
        """Send a request that has to be answered so, and return the object."""
        answer = await self.send("POST", path, form or {}, **options)
        assert answer.status == expect, answer
        return answer.body

    async def get(self, path: str, expect: int = 200) -> Any:
        """Read an object."""
        answer = await self.send("GET", path)
        assert answer.status == expect, answer
        return answer.body

    async def paid(self, amount: int = 1000, card: str = "pm_card_visa", **more: Any) -> Any:
        """Create an intent and confirm it at once."""
        form = {"amount": amount, "currency": "eur", "payment_method": card, "confirm": True}
        return await self.make("/v1/payment_intents", {**form, **more})

    async def facts(self, wire_type: str, count: int) -> list[dict[str, Any]]:
        """Read what payment told of this tenant, once the audit log has so many of a type."""
        async with asyncio.timeout(20):
            while True:
                rows = await self.query(
                    "SELECT envelope FROM listener.audit_entries WHERE tenant_id = $1"
                    f" AND event_type = '{wire_type}' ORDER BY sequence"
                )
                if len(rows) >= count:
                    return [json.loads(row["envelope"])["payload"] for row in rows]
                await asyncio.sleep(0.05)

    async def query(self, sql: str) -> list[Any]:
        """Ask the database as its administrator; $1 is the tenant."""
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        rows = await connection.fetch(sql, self.tenant)
        await connection.close()
        return list(rows)

    async def until(self, path: str, holds: Any) -> Any:
        """Read an object again and again until something holds of it."""
        async with asyncio.timeout(15):
            while True:
                found = await self.get(path)
                if holds(found):
                    return found
                await asyncio.sleep(0.05)


def encoded(form: Any) -> bytes:
    """Write a form as the official SDK writes it."""
    return urlencode(list(_api_encode(form))).encode()


async def run_janitor(platform: Any) -> None:
    """Take up every attempt without an outcome, however young."""
    runtime = platform.platform.runtimes["payment"]
    state, before = runtime.state, runtime.state.settings
    state.settings = before.model_copy(update={"stale_attempt_seconds": 0})
    try:
        await jobs.resume_attempts(Worker(runtime))
    finally:
        state.settings = before
