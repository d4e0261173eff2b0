"""The main job on real input, in the cluster: the same sixteen invoices as anywhere."""

import subprocess
import sys
import time

from tests.cluster.kube import GATEWAY, ROOT

SHARED = ("currency", "subtotal_minor", "discount_minor", "tax_minor", "total_minor")


def test_january_of_the_airport_equals_the_independent_computation(
    kube, api, airport_source, tmp_path, monkeypatch, record_figure
):
    started = time.monotonic()
    kube.kubectl("apply", "-f", "examples/airport/", namespace="default")
    for kind, name in (
        ("meter", "flights"),
        ("meter", "flight-miles"),
        ("exchangeratefeed", "ecb-2013"),
        ("billingplan", "departures"),
    ):
        kube.wait_ready(kind, name, "default", 120)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = subprocess.run(
        [
            *(sys.executable, "examples/airport/run.py", "--out", str(tmp_path / "out")),
            *("--url", GATEWAY, "--api-key", api.key),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = time.monotonic() - started
    record_figure("kubectl apply of the airport to sixteen invoices", seconds, "s")
    invoices = {
        invoice["customer"]["external_id"]: invoice
        for invoice in api.call("GET", "/v1/invoices?limit=200")["data"]
        if invoice["customer"]["external_id"]
    }
    expected = airport_source.expected("2013-01")
    assert expected.keys() <= invoices.keys()
    differing = {}
    for airline, wanted in expected.items():
        invoice = invoices[airline]
        found = {
            "currency": invoice["currency_code"],
            "subtotal_minor": invoice["subtotal_minor"],
            "discount_minor": invoice["discount_minor"],
            "tax_minor": invoice["tax_minor"],
            "total_minor": invoice["total_minor"],
        }
        if found != {name: wanted[name] for name in SHARED}:
            differing[airline] = (found, wanted)
    assert differing == {}
