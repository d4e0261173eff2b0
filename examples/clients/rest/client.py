"""A client in the cluster: taxes a sale, sends usage, reads the estimate; all by REST with a key.

It needs Python alone. Every call is safe to repeat, and is repeated while a service restarts:
what changes something carries an Idempotency-Key or, as usage does, ids of its own.

Environment: API_KEY (required), GATEWAY_URL, TAX_URL, RUNS (how often; 1).
"""

import http.client
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from decimal import Decimal
from typing import Any

GATEWAY = os.environ.get("GATEWAY_URL", "http://gateway:8080")
TAX = os.environ.get("TAX_URL", "http://tax:8001")
RETRIED = (429, 502, 503, 504)
PATIENCE_SECONDS = 60
METER = {"eventType": "client.request", "aggregation": "Sum", "valueProperty": "$.units"}
PLAN = {
    "currency": "EUR",
    "charges": [
        {
            "name": "requests",
            "usage": {"meter": "client-requests", "model": {"perUnit": {"unitAmount": "0.25"}}},
        }
    ],
}


def call(
    method: str, url: str, body: Any = None, *, expect: tuple[int, ...] = (200,), key: str = ""
) -> Any:
    """Send a request until it is answered for good; return the answer's JSON."""
    headers = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if key:
        headers["Idempotency-Key"] = key
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - ours
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            status, text = 503, str(error).encode()
        if status in expect:
            return json.loads(text) if text else None
        in_use = status == 409 and b"IDEMPOTENCY_KEY_IN_USE" in text
        if not (status in RETRIED or in_use) or time.monotonic() > deadline:
            raise SystemExit(f"{method} {url} answered {status}: {text.decode()}")
        time.sleep(0.5)


def prepare() -> None:
    """Make the meter and the plan, unless an earlier run has."""
    for path, name, spec in (
        ("meters", "client-requests", METER),
        ("plans", "client-example", PLAN),
    ):
        call("POST", f"{GATEWAY}/v1/{path}", {"name": name, "spec": spec}, expect=(201, 409))


def run() -> dict[str, Any]:
    """Do what a program beside the platform does; return what it saw."""
    name = f"client-{secrets.token_hex(6)}"
    sale = {
        "customer": {"country": "DE"},
        "currency_code": "EUR",
        "lines": [{"line_id": "1", "amount_minor": 10_000}],
        "reference": name,
    }
    taxed = call("POST", f"{TAX}/v1/tax_calculations", sale, expect=(201,), key=f"{name}-tax")
    customer = {"name": "A client in the cluster", "external_id": name}
    call("POST", f"{GATEWAY}/v1/customers", customer, expect=(201,), key=f"{name}-customer")
    subscription = {"customer_id": name, "plan": "client-example"}
    call("POST", f"{GATEWAY}/v1/subscriptions", subscription, expect=(201,), key=f"{name}-plan")
    events = [
        {"type": "client.request", "source": name, "id": str(number), "subject": name}
        | {"data": {"units": number}}
        for number in range(1, 5)
    ]
    call("POST", f"{GATEWAY}/v1/usage_events", events, expect=(202,))
    estimate = call("GET", f"{GATEWAY}/api/v1/billing/{name}")
    if estimate["total_minor"] != 250:
        raise SystemExit(f"10 units at 0.25 EUR are not {estimate['total_minor']} cents")
    return {
        "customer": name,
        "tax_minor": taxed["tax_minor"],
        "estimate": str(Decimal(estimate["total_minor"]).scaleb(-2)),
        "currency_code": estimate["currency_code"],
    }


def main() -> None:
    """Run as often as asked, one line of JSON each."""
    if call("GET", f"{GATEWAY}/health")["status"] != "ok":
        raise SystemExit("the gateway is not well")
    prepare()
    for _ in range(int(os.environ.get("RUNS", "1"))):
        print(json.dumps(run()), flush=True)


if __name__ == "__main__":
    main()
