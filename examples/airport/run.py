"""The whole example on this machine: start the platform, apply, import January, bill, show.

What a person would type, in order; the calls that have no command of their own go to the REST API.
A second run finds everything there and changes nothing.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import prepare

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROFILE = "airport"
CLOCK_START, MONTH_END = "2013-01-01T05:00:00Z", "2013-02-01T05:00:00Z"
BILLPLANE = [sys.executable, "-m", "billplane_cli"]


class Api:
    """The REST API with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the answer; wait where the platform asks for patience."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.url + path, data, self._headers, method=method
        )
        for _ in range(60):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code in (429, 503):
                    time.sleep(float(error.headers.get("Retry-After") or 1))
                    continue
                raise SystemExit(f"{method} {path}: {error.read().decode()}") from None
        raise SystemExit(f"{method} {path}: the platform asks to wait for too long")

    def find(self, path: str) -> Any:
        """Return what a path leads to, None when it is not there."""
        request = urllib.request.Request(self.url + path, headers=self._headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in (401, 404):
                return None
            raise


def billplane(
    *arguments: str,
    env: dict[str, str] | None = None,
    capture: bool = False,
    check: bool = True,
) -> str:
    """Run one command of the command line; end with its exit code when it fails."""
    done = subprocess.run(  # noqa: S603 - our own program
        [*BILLPLANE, *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode and check:
        sys.exit(done.returncode)
    return done.stdout or ""


def key_of(url: str, folder: Path) -> str:
    """Return a test key of the example's tenant: the one of the run before, or a new one."""
    kept = folder / "key.json"
    if kept.exists():
        known = json.loads(kept.read_text())
        if known["url"] == url and Api(url, known["key"]).find("/auth/me"):
            return str(known["key"])
    email, password = f"airport-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(16)
    public = Api(url, "")
    credentials = {"email": email, "password": password}
    public.call("POST", "/auth/register", credentials)
    session = public.call("POST", "/auth/login", credentials)
    made = Api(url, session["access_token"]).call("POST", "/auth/api_keys", {"name": "airport"})
    kept.touch(mode=0o600)
    kept.write_text(json.dumps({"url": url, "key": made["key"]}))
    return str(made["key"])


def set_up(api: Api, document: dict[str, Any]) -> None:
    """Create the seller, the coupons, the test clock, and each airline with its subscription."""
    seller = document["seller"]
    api.call("PUT", "/v1/tax_settings", {"country": seller["country"]})
    api.call("PUT", "/v1/invoice_settings", {"seller": seller["invoice"]})
    for coupon in document["coupons"]:
        if api.find(f"/v1/coupons/{coupon['code']}") is None:
            api.call("POST", "/v1/coupons", coupon)
    clocks = api.call("GET", "/v1/test_clocks")["data"]
    clock = clocks[0] if clocks else api.call(
        "POST", "/v1/test_clocks", {"name": "2013", "now": CLOCK_START}
    )  # fmt: skip
    for customer in document["customers"]:
        wanted = dict(customer)
        subscription = wanted.pop("subscription")
        code = customer["external_id"]
        if api.find(f"/v1/customers/{code}") is None:
            api.call("POST", "/v1/customers", wanted | {"test_clock_id": clock["id"]})
        if not api.call("GET", f"/v1/subscriptions?customer_id={code}")["data"]:
            api.call("POST", "/v1/subscriptions", subscription | {"customer_id": code})


def bill(api: Api) -> None:
    """Let January end and wait until it is billed."""
    clock = api.call("GET", "/v1/test_clocks")["data"][0]
    if clock["now"] < MONTH_END:
        api.call("POST", f"/v1/test_clocks/{clock['id']}:advance", {"to": MONTH_END})
    run = api.call("POST", "/v1/billing_runs", {"at": MONTH_END})
    while run["state"] == "running":
        time.sleep(0.2)
        run = api.call("GET", f"/v1/billing_runs/{run['id']}")
    if run["errors"]:
        sys.exit(f"the billing run failed: {json.dumps(run['errors'][0])}")
    expected = len(api.call("GET", "/v1/customers?limit=200")["data"])
    while len(api.call("GET", "/v1/invoices?limit=200")["data"]) < expected:
        time.sleep(0.2)  # the run that the clock started by itself is still at it


def apply_here() -> str:
    """Start the platform on this machine, apply the quick start to it, and return its address."""
    billplane("up")
    url = json.loads(billplane("status", "--output", "json", capture=True))["url"]
    billplane("apply", "-f", str(ROOT / "examples" / "quickstart"), "--namespace", "default")
    return str(url)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "airport")
    parser.add_argument(
        "--url", help="gateway of an installation to which this folder was applied already"
    )
    parser.add_argument("--api-key", help="a test key of it")
    options = parser.parse_args()
    if bool(options.url) != bool(options.api_key):
        parser.error("--url and --api-key go together")
    url = options.url or apply_here()
    events, count, _ = prepare.prepare("2013-01", options.out)
    key = options.api_key or key_of(url, options.out)
    env = {"BILLPLANE_URL": url}
    billplane("login", "--api-key", key, "--profile", PROFILE, env=env, capture=True)
    env["BILLPLANE_PROFILE"] = PROFILE
    if not options.url:
        billplane("apply", "-f", str(HERE), "--timeout", "120", env=env)
    api = Api(url, key)
    with (HERE / "customers.toml").open("rb") as file:
        set_up(api, tomllib.load(file))
    print(f"\nImporting {count:,} departures of January 2013", flush=True)
    billplane("usage", "import", str(events), env=env)
    bill(api)
    print("\nInvoices of January 2013", flush=True)
    billplane("invoice", "list", "--limit", "50", env=env)
    print(f"""
Running:  {url}  (API reference at {url}/docs)
A PDF:    {ROOT}/.venv/bin/billplane invoice open TEST-2013-000001""")
    if not options.url:
        print("Stop:     make down\n")


if __name__ == "__main__":
    main()
